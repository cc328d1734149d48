//! What a new cluster starts with: namespaces, the ServiceCIDR, Service `kubernetes`, the RBAC policy. Whatever is there
//! already stays as it is, but for the RBAC policy: that gets what this version adds.

use crate::ApiServer;
use crate::auth::{self, Reconciled};
use crate::kinds::{self, Kind, RBAC};
use crate::managed::Writer;
use crate::registry::{DeleteOptions, Location, Tracking};
use crate::status::ApiError;
use crate::strategy::Part;
use serde_json::{Value, json};
use std::net::IpAddr;

/// Who manages what a cluster starts with.
const MANAGER: &str = "kube-apiserver";
const NAMESPACES: &[&str] = &["default", "kube-system", "kube-public", "kube-node-lease"];

impl ApiServer {
    /// Writes what a cluster cannot be without and does not have yet.
    ///
    /// # Errors
    /// The store fails, or an object of ours is refused.
    pub async fn bootstrap(&self) -> Result<(), ApiError> {
        for name in NAMESPACES {
            self.ensure("", "Namespace", "", json!({"metadata": {"name": name}})).await?;
        }
        let cidrs: Vec<String> =
            self.config.service_cidrs.iter().map(|(a, len)| format!("{a}/{len}")).collect();
        let cidr = json!({"metadata": {"name": "kubernetes"}, "spec": {"cidrs": cidrs}});
        self.ensure("networking.k8s.io", "ServiceCIDR", "", cidr).await?;
        for object in crate::auth::bootstrap_policy() {
            let kind = object["kind"].as_str().unwrap_or_default().to_owned();
            let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
            self.ensure(RBAC, &kind, &namespace, object).await?;
        }
        self.ensure("", "Service", "default", self.kubernetes_service()).await
    }

    async fn ensure(&self, group: &str, kind: &str, namespace: &str, object: Value) -> Result<(), ApiError> {
        let kind: &'static Kind = kinds::of(group, kind)
            .ok_or_else(|| ApiError::internal(format_args!("bootstrapping: {kind} is not served")))?;
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let at = Location { kind, version: kind.stored_version(), namespace, name: &name };
        let writer = Writer { manager: MANAGER.to_owned(), subresource: "", kind, version: at.version };
        if self.registry.entry(&at).is_ok() {
            let keep = group != RBAC || self.reconcile(&at, &object, &writer).await?;
            if keep {
                return Ok(());
            }
        }
        let at = Location { name: "", ..at };
        match self.registry.create(&at, object, Tracking::Update(&writer), false).await {
            Ok(_) => Ok(()),
            Err(e) if e.reason == "AlreadyExists" => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Brings a role or binding up to date; false if it had to go and is to be made anew.
    async fn reconcile(
        &self,
        at: &Location<'_>,
        wanted: &Value,
        writer: &Writer<'_>,
    ) -> Result<bool, ApiError> {
        match auth::reconcile(&self.registry.get(at)?, wanted) {
            Reconciled::Same => Ok(true),
            Reconciled::Update(_) => {
                let change = |standing: &Value| {
                    Ok(match auth::reconcile(standing, wanted) {
                        Reconciled::Update(new) => new,
                        Reconciled::Same | Reconciled::Recreate => standing.clone(),
                    })
                };
                let tracking = Tracking::Update(writer);
                self.registry.update(at, Part::Main, &change, tracking, false).await.map(|_| true)
            }
            Reconciled::Recreate => self.registry.delete(at, &DeleteOptions::default()).await.map(|_| false),
        }
    }

    /// The API as a Service, at the first address of the range.
    fn kubernetes_service(&self) -> Value {
        let mut service = json!({
            "metadata": {"name": "kubernetes", "labels": {"component": "apiserver", "provider": "kubernetes"}},
            "spec": {
                "type": "ClusterIP",
                "sessionAffinity": "None",
                "ports": [{"name": "https", "protocol": "TCP", "port": 443,
                    "targetPort": self.config.advertise.port()}],
            },
        });
        if let Some((network, _)) = self.config.service_cidrs.first() {
            let address = first_address(*network).to_string();
            service["spec"]["clusterIP"] = json!(address);
            service["spec"]["clusterIPs"] = json!([address]);
        }
        service
    }
}

/// The address after the network's own.
fn first_address(network: IpAddr) -> IpAddr {
    match network {
        IpAddr::V4(a) => IpAddr::V4((u32::from(a).wrapping_add(1)).into()),
        IpAddr::V6(a) => IpAddr::V6((u128::from(a).wrapping_add(1)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_address_follows_the_network() {
        for (network, first) in [("10.96.0.0", "10.96.0.1"), ("fd00::", "fd00::1")] {
            assert_eq!(first_address(network.parse().unwrap()), first.parse::<IpAddr>().unwrap());
        }
    }
}
