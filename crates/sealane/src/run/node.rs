//! The `node` process: agent, proxy and DNS of one node, in the node's network namespace.

use super::client;
use crate::cli::CommandError;
use crate::cluster::{Cluster, DOMAIN, Egress, KUBERNETES_VERSION};
use crate::resolver;
use sealane_model::Snapshot;
use sealane_node::Components;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Enters the node's namespace, then serves until it is told to end.
pub(super) fn run(cluster: &Cluster, node: &str) -> Result<(), CommandError> {
    // Names outside the cluster are asked from the host's namespace, where its own resolver listens.
    let host = Arc::new(File::open("/proc/self/ns/net")?);
    // Before any thread exists: threads inherit the namespace of their maker.
    sealane_netlink::namespace::enter(&cluster.paths().netns(node))?;
    super::serve(2, |shutdown| serve(cluster, node, host, shutdown))
}

async fn serve(
    cluster: &Cluster,
    node: &str,
    host: Arc<File>,
    shutdown: CancellationToken,
) -> Result<(), CommandError> {
    let addresses = cluster.addresses();
    let own = IpAddr::V4(
        cluster.node_address(node).ok_or_else(|| format!("{node} has no address in this cluster"))?,
    );
    tokio::select! { () = api_listens(addresses.api) => {}, () = shutdown.cancelled() => return Ok(()) }
    let client = client::for_wire(cluster, node).await?;
    let (sender, snapshots) = watch::channel(Arc::new(Snapshot::default()));
    let status = watch::Sender::new(sealane_proxy::Status::default());
    let told = status.subscribe();
    let components = Components::default().with("proxy", move || proxy_says(&told.borrow(), Instant::now()));
    tokio::try_join!(
        async {
            sealane_edge::run(client.clone(), sender, shutdown.clone()).await;
            Ok(())
        },
        async {
            let config = sealane_proxy::Config { status: Some(status), ..proxy_config(cluster, node, own) };
            Ok(sealane_proxy::run(config, client.clone(), snapshots.clone(), shutdown.clone()).await?)
        },
        async {
            Ok(sealane_dns::run(dns_config(cluster, own, host), snapshots.clone(), shutdown.clone()).await?)
        },
        async {
            let config = sealane_node::Config { components, ..agent_config(cluster, node, own)? };
            Ok(sealane_node::run(config, client.clone(), shutdown.clone()).await?)
        },
    )
    .map(|_: ((), (), (), ())| ())
}

/// Waits until the API takes connections, so that no client begins with a failure and its back-off.
async fn api_listens(api: SocketAddr) {
    while tokio::net::TcpStream::connect(api).await.is_err() {
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

fn proxy_config(cluster: &Cluster, node: &str, own: IpAddr) -> sealane_proxy::Config {
    sealane_proxy::Config {
        node_addresses: vec![own],
        service_cidrs: vec![(cluster.service_cidr.address.into(), cluster.service_cidr.prefix)],
        ..sealane_proxy::Config::new(node)
    }
}

/// What the node tells of its proxy: for how many whole seconds the kernel has lacked a change of Services, and why the last
/// try failed, if it did.
fn proxy_says(status: &sealane_proxy::Status, now: Instant) -> Value {
    let mut said = json!({"behindSeconds": status.behind(now).as_secs()});
    if let Some(error) = &status.error {
        said["error"] = json!(error);
    }
    said
}

fn dns_config(cluster: &Cluster, own: IpAddr, host: Arc<File>) -> sealane_dns::Config {
    let upstream = resolver::upstreams(cluster.egress);
    tracing::info!(?upstream, "names outside the cluster");
    sealane_dns::Config {
        upstream,
        forwarding: sealane_dns::Forwarding { namespace: Some(host), ..Default::default() },
        listen: vec![(own, 53).into()],
        metrics_listen: vec![(own, 9153).into()],
        cluster_domain: DOMAIN.into(),
        ..sealane_dns::Config::default()
    }
}

fn agent_config(cluster: &Cluster, node: &str, own: IpAddr) -> Result<sealane_node::Config, CommandError> {
    let (paths, addresses) = (cluster.paths(), cluster.addresses());
    let shim: Vec<OsString> = vec![std::env::current_exe()?.into(), "run".into(), "pod-shim".into()];
    Ok(sealane_node::Config {
        cluster: cluster.name.clone(),
        node_name: node.to_owned(),
        node_ips: vec![own],
        dns_address: addresses.dns.into(),
        cluster_domain: DOMAIN.into(),
        run_dir: paths.node_run(node),
        data_dir: paths.node_data(node),
        images_dir: paths.images(),
        pull_socket: paths.pull_socket(),
        shim_command: shim,
        cgroup: format!("{}/{node}", paths.cgroup),
        api: addresses.api,
        api_name: None,
        tls: client::tls(cluster, node)?,
        egress: cluster.egress == Egress::Nat,
        host_resolv_conf: resolver::file_for_pods(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        kubernetes_version: KUBERNETES_VERSION.to_owned(),
        components: Components::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealane_proxy::Status;

    #[test]
    fn the_proxy_says_how_far_it_is_behind_and_why() {
        let now = Instant::now();
        assert_eq!(proxy_says(&Status::default(), now), json!({"behindSeconds": 0}));
        let since = now.checked_sub(Duration::from_millis(12_900));
        let behind = Status { behind_since: since, ..Status::default() };
        assert_eq!(proxy_says(&behind, now), json!({"behindSeconds": 12}));
        let failed = Status { error: Some("it refused".into()), ..behind };
        assert_eq!(proxy_says(&failed, now), json!({"behindSeconds": 12, "error": "it refused"}));
    }
}
