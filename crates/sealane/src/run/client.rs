//! Clients of the API for the cluster's own processes: each with its own certificate.

use crate::cli::CommandError;
use crate::cluster::Cluster;
use crate::pki;
use base64::Engine;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{ClientBuilder, ConfigExt};
use kube::config::{KubeConfigOptions, Kubeconfig};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceBuilder;

/// A client that reaches the API at the host's address.
pub(crate) async fn for_host(cluster: &Cluster, identity: &str) -> Result<kube::Client, CommandError> {
    client(cluster, cluster.addresses().host_api, identity).await
}

/// A client that reaches the API over the wire.
pub(crate) async fn for_wire(cluster: &Cluster, identity: &str) -> Result<kube::Client, CommandError> {
    client(cluster, cluster.addresses().api, identity).await
}

/// How long a silent connection is trusted: a node that was dark must not wait for TCP's own back-off, which grows with the outage.
const SILENCE: Duration = Duration::from_secs(5);
/// Probes without an answer until the connection is given up.
const PROBES: u32 = 3;

/// How the processes of a cluster call themselves.
const AGENT: &str = concat!("sealane/", env!("CARGO_PKG_VERSION"));

/// A client whose connections end soon after their peer has become unreachable. Proxies of the environment are not used.
fn connect(mut config: kube::Config) -> Result<kube::Client, CommandError> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(SILENCE));
    tcp.set_keepalive(Some(SILENCE));
    tcp.set_keepalive_interval(Some(SILENCE));
    tcp.set_keepalive_retries(Some(PROBES));
    tcp.set_tcp_user_timeout(Some(SILENCE * PROBES));
    let https = config.rustls_https_connector_with_connector(tcp)?;
    let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(https);
    // who manages the fields that it writes
    config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static(AGENT)));
    let headers = config.extra_headers_layer()?;
    let service = ServiceBuilder::new().layer(config.base_uri_layer()).layer(headers).service(client);
    Ok(ClientBuilder::new(service, config.default_namespace).build())
}

async fn client(cluster: &Cluster, server: SocketAddr, identity: &str) -> Result<kube::Client, CommandError> {
    let directory = cluster.paths().pki();
    let own = pki::identity(&directory, identity)?;
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let kubeconfig: Kubeconfig = serde_json::from_value(json!({
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {
            "server": format!("https://{server}"), "certificate-authority-data": encode(&pki::ca_pem(&directory)?),
        }}],
        "users": [{"name": "c", "user": {
            "client-certificate-data": encode(&own.certificate), "client-key-data": encode(&own.key),
        }}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    }))?;
    connect(kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
}

/// The TLS settings of a client with that identity, for connections that are not plain requests.
pub(crate) fn tls(cluster: &Cluster, identity: &str) -> Result<Arc<rustls::ClientConfig>, CommandError> {
    let directory = cluster.paths().pki();
    let own = pki::identity(&directory, identity)?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pki::ca_pem(&directory)?.as_bytes())?)?;
    let chain = vec![CertificateDer::from_pem_slice(own.certificate.as_bytes())?];
    let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes())?;
    let builder =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let config = builder.with_safe_default_protocol_versions()?.with_root_certificates(roots);
    Ok(Arc::new(config.with_client_auth_cert(chain, key)?))
}
