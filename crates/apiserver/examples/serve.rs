//! An API server over a store in memory, with a kubeconfig for its administrator:
//! `cargo run -p sealane-apiserver --example serve -- 6443 /tmp/kubeconfig`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    PKCS_ECDSA_P256_SHA256,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sealane_apiserver::{ApiServer, Config};
use sealane_storage::MemoryStore;
use std::error::Error;
use std::sync::Arc;

struct Pair {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

fn issue(ca: &Issuer<'_, KeyPair>, name: &str, group: &str, hosts: &[&str]) -> Result<Pair, rcgen::Error> {
    let mut params = CertificateParams::new(hosts.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>())?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::OrganizationName, group);
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate()?;
    Ok(Pair { certificate: params.signed_by(&key, ca)?, key })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().unwrap_or_else(|| "6443".into()).parse()?;
    let kubeconfig = arguments.next().unwrap_or_else(|| "/tmp/kubeconfig".into());

    let ca_key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&ca_key)?;
    let issuer = Issuer::new(params, ca_key);
    let server = issue(&issuer, "kube-apiserver", "sealane", &["localhost", "127.0.0.1"])?;
    let admin = issue(&issuer, "admin", "system:masters", &[])?;

    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca.der().clone())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .allow_unauthenticated()
            .build()?;
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![server.certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(server.key.serialize_der())),
        )?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];

    let api = ApiServer::new(
        Config {
            service_cidrs: vec![("10.96.0.0".parse()?, 16)],
            node_ports: 30000..=32767,
            advertise: ([127, 0, 0, 1], port).into(),
            cluster_domain: "cluster.local".into(),
            issuer: "https://kubernetes.default.svc.cluster.local".into(),
            token_key_pkcs8: KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?.serialize_der(),
            ca_pem: ca.pem(),
            kubernetes_version: "v1.33.0".into(),
        },
        Arc::new(MemoryStore::new()),
    );
    api.bootstrap().await?;
    std::fs::write(
        &kubeconfig,
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: serve\n\
             clusters: [{{name: serve, cluster: {{server: 'https://127.0.0.1:{port}', certificate-authority-data: {}}}}}]\n\
             users: [{{name: admin, user: {{client-certificate-data: {}, client-key-data: {}}}}}]\n\
             contexts: [{{name: serve, context: {{cluster: serve, user: admin}}}}]\n",
            STANDARD.encode(ca.pem()),
            STANDARD.encode(admin.certificate.pem()),
            STANDARD.encode(admin.key.serialize_pem()),
        ),
    )?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let shutdown = tokio_util::sync::CancellationToken::new();
    tokio::spawn({
        let shutdown = shutdown.clone();
        async move {
            let _ = tokio::signal::ctrl_c().await;
            shutdown.cancel();
        }
    });
    api.serve(listener, Arc::new(tls), shutdown).await?;
    Ok(())
}
