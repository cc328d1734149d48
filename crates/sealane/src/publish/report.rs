//! Says on the Service that a port of the host is taken, and by whom.

use super::listeners::Taken;
use crate::preflight::port_holder;
use k8s_openapi::api::core::v1::{Event, ObjectReference, Service};
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use std::collections::BTreeSet;

/// Remembers what was said, so that each trouble is one Event.
pub(super) struct Report {
    client: Client,
    said: BTreeSet<(String, String, u16)>,
}

impl Report {
    pub(super) fn new(client: Client) -> Self {
        Self { client, said: BTreeSet::new() }
    }

    /// Writes an Event for every port that is newly taken.
    pub(super) fn taken(&mut self, taken: &[Taken]) {
        let key = |t: &Taken| (t.published.namespace.clone(), t.published.service.clone(), t.published.port);
        let now: BTreeSet<_> = taken.iter().map(key).collect();
        for trouble in taken.iter().filter(|t| !self.said.contains(&key(t))) {
            let holder = port_holder(trouble.published.port)
                .map(|h| format!(" It is held by {h}."))
                .unwrap_or_default();
            let message = format!(
                "Port {} of the host could not be published: {}.{holder} It is tried again until it is free.",
                trouble.published.port, trouble.error
            );
            tracing::warn!("{message}");
            let (namespace, service) =
                (trouble.published.namespace.clone(), trouble.published.service.clone());
            let client = self.client.clone();
            tokio::spawn(async move {
                if let Err(error) = write(client, &namespace, &service, message).await {
                    tracing::warn!(%error, service, "writing an Event");
                }
            });
        }
        self.said = now;
    }
}

async fn write(client: Client, namespace: &str, name: &str, message: String) -> Result<(), kube::Error> {
    let service = Api::<Service>::namespaced(client.clone(), namespace).get(name).await?;
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let involved = ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Service".into()),
        name: Some(name.into()),
        namespace: Some(namespace.into()),
        uid: service.uid(),
        ..Default::default()
    };
    let event: Event = serde_json::from_value(json!({
        "metadata": {"generateName": format!("{name}.")},
        "involvedObject": involved, "type": "Warning", "reason": "PortTaken", "message": message,
        "source": {"component": "sealane-publish"}, "firstTimestamp": now, "lastTimestamp": now, "count": 1,
    }))
    .map_err(kube::Error::SerdeError)?;
    Api::<Event>::namespaced(client, namespace).create(&PostParams::default(), &event).await?;
    Ok(())
}
