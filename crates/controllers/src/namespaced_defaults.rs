//! What every namespace has: ServiceAccount `default` and ConfigMap `kube-root-ca.crt`.

use crate::cluster::Cluster;
use crate::error::Error;
use crate::objects::{Key, Write};
use crate::queue::{Next, Queue};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

const ROOT_CA: &str = "kube-root-ca.crt";
const DEFAULT: &str = "default";
/// Namespaces that are worked on at the same time.
const AT_ONCE: usize = 8;

/// Registers for changes; the future works until `shutdown`.
pub(crate) fn start(cluster: &Arc<Cluster>, shutdown: CancellationToken) -> impl Future<Output = ()> + use<> {
    let queue = Arc::new(Queue::new("namespaced-defaults"));
    let adder = queue.clone();
    cluster.namespaces.on_change(move |change| {
        if change.old.is_none() {
            adder.add(change.key.name.clone());
        }
    });
    let adder = queue.clone();
    cluster.service_accounts.on_change(move |change| {
        if change.key.name == DEFAULT && change.new.is_none() {
            adder.add(change.key.namespace.clone());
        }
    });
    let adder = queue.clone();
    cluster.config_maps.on_change(move |change| {
        if change.key.name == ROOT_CA {
            adder.add(change.key.namespace.clone());
        }
    });
    let cluster = cluster.clone();
    async move {
        cluster.synced().await;
        queue.run(AT_ONCE, &shutdown, |namespace| reconcile(&cluster, namespace)).await;
    }
}

async fn reconcile(cluster: &Cluster, namespace: String) -> Result<Next, Error> {
    let lives = cluster.namespaces.get(&Key::new("", &namespace));
    if lives.is_none_or(|namespace| namespace.metadata.deletion_timestamp.is_some()) {
        return Ok(Next::Wait);
    }
    let (account, certificate) =
        futures::join!(service_account(cluster, &namespace), root_ca(cluster, &namespace));
    for result in [account, certificate] {
        match result {
            Err(error) if error.is_namespace_terminating() || error.is_already_exists() => {}
            other => other?,
        }
    }
    Ok(Next::Wait)
}

async fn service_account(cluster: &Cluster, namespace: &str) -> Result<(), Error> {
    if cluster.service_accounts.get(&Key::new(namespace, DEFAULT)).is_none() {
        cluster.service_accounts.create(namespace, json!({"metadata": {"name": DEFAULT}})).await?;
    }
    Ok(())
}

async fn root_ca(cluster: &Cluster, namespace: &str) -> Result<(), Error> {
    let key = Key::new(namespace, ROOT_CA);
    let ca = &cluster.config.ca_pem;
    if cluster.config_maps.get(&key).is_none() {
        let annotation = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal \
                          endpoints such as the internal service IP or kubernetes.default.svc. No other usage is \
                          guaranteed across distributions of Kubernetes clusters.";
        let metadata = json!({"name": ROOT_CA, "annotations": {"kubernetes.io/description": annotation}});
        cluster.config_maps.create(namespace, json!({"metadata": metadata, "data": {"ca.crt": ca}})).await?;
        return Ok(());
    }
    let current: Value = match cluster.config_maps.fetch(&key).await {
        Err(error) if error.is_not_found() => return Ok(()),
        other => other?,
    };
    if current["data"] != json!({"ca.crt": ca}) {
        let data = crate::patch::difference(&current["data"], &json!({"ca.crt": ca}));
        cluster.config_maps.patch(&key, Write::Merge, &json!({"data": data})).await?;
    }
    Ok(())
}
