//! A connection to the API server that a kubeconfig names, as kubectl makes it.

use crate::cli::{CommandError, LookArgs};
use crate::kubeconfig::context_name;
use kube::config::{KubeConfigOptions, Kubeconfig};
use std::time::Duration;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer may pause: a list of thousands begins late on a busy server.
const READ: Duration = Duration::from_secs(60);

/// An API server, and the namespace that is meant.
pub(super) struct Connection {
    /// For lists: asks again where the server is busy.
    pub(super) client: kube::Client,
    /// For what need not answer: Pods that are tried, nodes.
    pub(super) once: kube::Client,
    pub(super) namespace: String,
}

/// Reads the kubeconfig. Nothing is asked yet, but by what the kubeconfig itself runs to log in.
pub(super) async fn connect(look: &LookArgs) -> Result<Connection, CommandError> {
    let kubeconfig = match &look.kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    let no_cluster = |error: kube::config::KubeconfigError| {
        let why = crate::terminal::sentence(&error);
        format!(
            "no cluster to look at: {why}; name a kubeconfig with --kubeconfig, or make a cluster: sudo sealane up"
        )
    };
    let context = look.context.clone().or_else(|| look.name.as_deref().map(context_name));
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    let kubeconfig = kubeconfig.map_err(no_cluster)?;
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(no_cluster)?;
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(READ);
    if config.cluster_url.host().is_some_and(is_loopback) {
        // as Go's HTTP client does: a proxy of the environment is not for this machine
        config.proxy_url = None;
    }
    let namespace = look.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let client = kube::Client::try_from(config.clone())?;
    config.default_retry = false;
    Ok(Connection { client, once: kube::Client::try_from(config)?, namespace })
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
