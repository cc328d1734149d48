//! The `server` process: API, store and controllers, in the host's namespace, with a second listener on the wire.

use crate::cli::CommandError;
use crate::cluster::Cluster;
use crate::pki;
use crate::wire::{self, Residence};
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Node;
use kube::runtime::WatchStreamExt;
use kube::{Api, Client};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sealane_apiserver::ApiServer;
use sealane_storage::EmbeddedStore;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Serves until it is told to end.
pub(super) fn run(cluster: &Cluster) -> Result<(), CommandError> {
    super::serve(2, |shutdown| serve(cluster, shutdown))
}

async fn serve(cluster: &Cluster, shutdown: CancellationToken) -> Result<(), CommandError> {
    let paths = cluster.paths();
    let addresses = cluster.addresses();
    let store = Arc::new(EmbeddedStore::open(&paths.store())?);
    let server = ApiServer::new(config(cluster)?, store);
    server.bootstrap().await?;
    let tls = tls(cluster)?;
    let host = tokio::net::TcpListener::bind(addresses.host_api).await?;
    let residence = Residence::new(paths.netns("wire"))?;
    let on_wire = residence.run(move || std::net::TcpListener::bind(addresses.api)).await?;
    on_wire.set_nonblocking(true)?;
    let on_wire = tokio::net::TcpListener::from_std(on_wire)?;
    let controllers = controllers_config(cluster)?;
    let client = server.client("system:kube-controller-manager", &["system:masters"]);
    let wire_path = paths.netns("wire");
    tokio::try_join!(
        async { Ok(server.clone().serve(host, tls.clone(), shutdown.clone()).await?) },
        async { Ok(server.clone().serve(on_wire, tls.clone(), shutdown.clone()).await?) },
        async { Ok(sealane_controllers::run(controllers, client.clone(), shutdown.clone()).await?) },
        route_pods(wire_path, client.clone(), shutdown.clone()),
    )
    .map(|_: ((), (), (), ())| ())
}

fn config(cluster: &Cluster) -> Result<sealane_apiserver::Config, CommandError> {
    let directory = cluster.paths().pki();
    let service = cluster.service_cidr;
    Ok(sealane_apiserver::Config {
        service_cidrs: vec![(service.address.into(), service.prefix)],
        node_ports: cluster.node_ports.first..=cluster.node_ports.last,
        advertise: cluster.addresses().api,
        cluster_domain: crate::cluster::DOMAIN.into(),
        issuer: format!("https://kubernetes.default.svc.{}", crate::cluster::DOMAIN),
        token_key_pkcs8: pki::token_key(&directory)?,
        ca_pem: pki::ca_pem(&directory)?,
        kubernetes_version: crate::cluster::KUBERNETES_VERSION.into(),
    })
}

fn controllers_config(cluster: &Cluster) -> Result<sealane_controllers::Config, CommandError> {
    let addresses = cluster.addresses();
    let pods = (cluster.pod_cidr.address.into(), cluster.pod_cidr.prefix);
    let ca = pki::ca_pem(&cluster.paths().pki())?;
    Ok(sealane_controllers::Config::new(addresses.api, addresses.dns.into(), pods, ca))
}

fn tls(cluster: &Cluster) -> Result<Arc<rustls::ServerConfig>, CommandError> {
    let directory = cluster.paths().pki();
    let own = pki::identity(&directory, "server")?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pki::ca_pem(&directory)?.as_bytes())?)?;
    let verifier =
        rustls::server::WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
            .allow_unauthenticated()
            .build()?;
    let chain = vec![CertificateDer::from_pem_slice(own.certificate.as_bytes())?];
    let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes())?;
    let builder =
        rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_client_cert_verifier(verifier).with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Keeps a route on the wire to every node's Pods, so that the API's answers reach them.
async fn route_pods(wire: PathBuf, client: Client, shutdown: CancellationToken) -> Result<(), CommandError> {
    let mut links = wire::in_namespace(&wire)?;
    let nodes = kube::runtime::watcher(Api::<Node>::all(client), kube::runtime::watcher::Config::default());
    let mut nodes = std::pin::pin!(nodes.default_backoff().applied_objects());
    loop {
        let next =
            tokio::select! { next = nodes.try_next() => next, () = shutdown.cancelled() => return Ok(()) };
        match next {
            Ok(Some(node)) => {
                if let Some((range, address)) = pod_route(&node)
                    && let Err(error) = wire::route_pods(&mut links, range, address)
                {
                    tracing::warn!("{error}");
                }
            }
            Ok(None) => return Ok(()),
            Err(error) => tracing::debug!(%error, "watching nodes for routes"),
        }
    }
}

fn pod_route(node: &Node) -> Option<((Ipv4Addr, u8), Ipv4Addr)> {
    let (range, prefix) = node.spec.as_ref()?.pod_cidr.as_ref()?.split_once('/')?;
    let addresses = node.status.as_ref()?.addresses.as_ref()?;
    let address = addresses.iter().find(|a| a.type_ == "InternalIP")?.address.parse().ok()?;
    Some(((range.parse().ok()?, prefix.parse().ok()?), address))
}
