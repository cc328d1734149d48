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
    /// Where the server is.
    pub(super) server: String,
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
    if let Some(context) =
        options.context.as_ref().filter(|name| !kubeconfig.contexts.iter().any(|c| c.name == **name))
    {
        let known: Vec<&str> = kubeconfig.contexts.iter().map(|context| context.name.as_str()).collect();
        return Err(format!("the kubeconfig has no context {context}, only: {}", known.join(", ")).into());
    }
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(no_cluster)?;
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(READ);
    let host = config.cluster_url.host().unwrap_or_default().to_owned();
    let exempt =
        ["NO_PROXY", "no_proxy"].iter().find_map(|name| std::env::var(name).ok()).unwrap_or_default();
    if is_direct(&host, &exempt) {
        config.proxy_url = None;
    }
    if let Some(proxy) = &config.proxy_url {
        return Err(format!(
            "{host} is reached through the proxy {proxy}, and sealane goes through none; run `kubectl proxy` beside it, and name a \
             kubeconfig whose server is http://127.0.0.1:8001 with --kubeconfig"
        )
        .into());
    }
    let namespace = look.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let server = config.cluster_url.to_string();
    let client = kube::Client::try_from(config.clone())?;
    config.default_retry = false;
    Ok(Connection { client, once: kube::Client::try_from(config)?, namespace, server })
}

/// Whether a proxy of the environment is not for that host: this machine, or what `NO_PROXY` names (as Go's HTTP client has it).
fn is_direct(host: &str, exempt: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let named = |name: &str| {
        let name = name.trim().trim_start_matches('.');
        !name.is_empty() && (name == "*" || address == name || address.ends_with(&format!(".{name}")))
    };
    host == "localhost" || is_loopback || exempt.split(',').any(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_not_for_this_machine_nor_for_what_is_exempt() {
        for (host, exempt) in [
            ("localhost", ""),
            ("127.0.0.1", ""),
            ("[::1]", ""),
            ("10.0.0.1", "example.com, 10.0.0.1"),
            ("api.example.com", ".example.com"),
            ("api.example.com", "*"),
        ] {
            assert!(is_direct(host, exempt), "{host} {exempt}");
        }
        for (host, exempt) in [("10.0.0.1", ""), ("api.example.com", "ample.com"), ("api.example.com", ",")] {
            assert!(!is_direct(host, exempt), "{host} {exempt}");
        }
    }
}
