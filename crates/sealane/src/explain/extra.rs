//! What a look at one namespace needs from elsewhere, and what nodes of ours say of themselves.

use super::connect::Connection;
use super::read::{escape, get, pages, why};
use futures::future::join_all;
use sealane_explain::objects::Word;
use sealane_explain::{Kind, Snapshot, Subject, Unread, View};

/// How many Pods of other namespaces are looked at for an empty Service: enough to name some.
const SOME: usize = 50;
/// How many empty Services are searched for elsewhere.
const SEARCHES: usize = 20;

/// The cluster DNS: every client needs it, whatever its namespace.
pub(super) async fn cluster_dns(connection: &Connection, snapshot: &mut Snapshot) {
    if connection.namespace == "kube-system" {
        return;
    }
    let mut part = Snapshot::default();
    let read = async {
        let labelled = "&labelSelector=k8s-app%3Dkube-dns";
        pages(connection, Kind::Service, &Kind::Service.path(Some("kube-system")), labelled, &mut part)
            .await?;
        pages(connection, Kind::Pod, &Kind::Pod.path(Some("kube-system")), labelled, &mut part).await?;
        let names: Vec<&str> = part.services.iter().map(|s| s.metadata.name.as_str()).collect();
        let of = escape(&format!("kubernetes.io/service-name in ({})", names.join(",")));
        let (path, of) = (Kind::EndpointSlice.path(Some("kube-system")), format!("&labelSelector={of}"));
        if !names.is_empty() {
            pages(connection, Kind::EndpointSlice, &path, &of, &mut part).await?;
        }
        Ok(())
    };
    let elsewhere =
        "none there has the label k8s-app=kube-dns; `sealane check -A` looks for it in every namespace";
    match read.await {
        Ok(()) if part.services.is_empty() => {
            snapshot.unread.push(Unread { kind: Kind::ClusterDns, why: Some(elsewhere.into()) });
        }
        Ok(()) => snapshot.absorb(part),
        Err(error) => snapshot.unread.push(Unread { kind: Kind::ClusterDns, why: why(&error) }),
    }
}

/// For Services that select nothing: Pods with those labels in other namespaces. Who may not read them goes without.
pub(super) async fn other_namespaces(connection: &Connection, snapshot: &mut Snapshot) {
    let selectors: Vec<String> = {
        let view = View::new(snapshot);
        let empty = snapshot.services.iter().filter(|service| {
            let asks = !service.spec.selector.is_empty() && !service.is_external_name();
            asks && Subject::new(&view, service).pods.is_empty()
        });
        let words = empty.map(|service| {
            let pairs: Vec<String> = service.spec.selector.iter().map(|(k, v)| format!("{k}={v}")).collect();
            pairs.join(",")
        });
        words.take(SEARCHES).collect()
    };
    for selector in selectors {
        let mut part = Snapshot::default();
        let query = format!("?limit={SOME}&labelSelector={}", escape(&selector));
        for kind in [Kind::Pod, Kind::ReplicaSet] {
            if let Ok(page) = get(&connection.client, &format!("{}{query}", kind.path(None))).await {
                // What is no list of Pods names none.
                let _ = part.take(kind, page.as_bytes());
            }
        }
        part.pods.retain(|pod| pod.metadata.namespace != connection.namespace);
        part.workloads.retain(|workload| workload.metadata.namespace != connection.namespace);
        snapshot.absorb(part);
    }
}

/// Asks nodes of ours, and no others: a kubelet has nothing to say at that path.
pub(super) async fn words(connection: &Connection, snapshot: &mut Snapshot) {
    let nodes = snapshot.nodes.iter().filter(|node| node.is_sealane() && node.is_ready());
    let names: Vec<String> = nodes.map(|node| node.metadata.name.clone()).collect();
    let asked = names.iter().map(|name| async move {
        let path = format!("/api/v1/nodes/{name}/proxy/sealane/v1/explain");
        (name, get(&connection.once, &path).await)
    });
    for (name, said) in join_all(asked).await {
        match said {
            Ok(text) => {
                // An older node's word may be another: then it says nothing.
                let word = serde_json::from_str::<Word>(&text);
                snapshot.words.extend(word.ok().map(|word| (name.clone(), word)));
            }
            Err(kube::Error::Api(status)) if status.code == 403 => {
                let why = Some(status.message.clone());
                snapshot.unread.push(Unread { kind: Kind::NodeProxy, why });
                return;
            }
            // It has gone dark meanwhile, or is older than its path.
            Err(error) => tracing::debug!(%error, node = name, "a node does not say how it is"),
        }
    }
}
