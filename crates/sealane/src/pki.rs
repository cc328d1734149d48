//! The cluster's own certificate authority and the certificates and keys made with it, kept in the data directory.

use crate::cluster::{Cluster, write_atomically};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Why certificates could not be made or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PkiError {
    #[error("cannot make the certificate {name}")]
    Make {
        name: String,
        #[source]
        source: rcgen::Error,
    },
    #[error("cannot {doing} {path}", path = .path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

/// A certificate with its key, as PEM.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// Makes what is missing: the CA, the server's certificate, one for the administrator, `publish` and each node, and the key that
/// signs service-account tokens.
pub(crate) fn ensure(cluster: &Cluster) -> Result<(), PkiError> {
    let directory = cluster.paths().pki();
    std::fs::create_dir_all(&directory).map_err(|source| PkiError::Io {
        doing: "make",
        path: directory.clone(),
        source,
    })?;
    if !directory.join("ca.crt").exists() {
        write_authority(&directory)?;
    }
    let ca = authority(&directory)?;
    if !directory.join("token.key").exists() {
        let key = KeyPair::generate().map_err(|source| PkiError::Make { name: "token".into(), source })?;
        write(&directory, "token.key", &key.serialize_pem())?;
    }
    issue(&directory, &ca, "server", || server_params(cluster))?;
    issue(&directory, &ca, "admin", || Ok(client_params("kubernetes-admin", "system:masters")))?;
    issue(&directory, &ca, "publish", || Ok(client_params("system:sealane-publish", "system:masters")))?;
    for node in cluster.node_names() {
        issue(&directory, &ca, &node, || Ok(client_params(&format!("system:node:{node}"), "system:nodes")))?;
    }
    Ok(())
}

/// Reads the certificate and key called `name`.
pub(crate) fn identity(directory: &Path, name: &str) -> Result<Identity, PkiError> {
    Ok(Identity {
        certificate: read(directory, &format!("{name}.crt"))?,
        key: read(directory, &format!("{name}.key"))?,
    })
}

/// The CA's certificate as PEM.
pub(crate) fn ca_pem(directory: &Path) -> Result<String, PkiError> {
    read(directory, "ca.crt")
}

/// The key that signs service-account tokens, as PKCS#8 DER.
pub(crate) fn token_key(directory: &Path) -> Result<Vec<u8>, PkiError> {
    let pem = read(directory, "token.key")?;
    let key = KeyPair::from_pem(&pem).map_err(|source| PkiError::Make { name: "token".into(), source })?;
    Ok(key.serialize_der())
}

fn write_authority(directory: &Path) -> Result<(), PkiError> {
    let make = || {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "sealane");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        set_validity(&mut params);
        let certificate = params.self_signed(&key)?;
        Ok((certificate.pem(), key.serialize_pem()))
    };
    let (certificate, key) = make().map_err(|source| PkiError::Make { name: "ca".into(), source })?;
    write(directory, "ca.key", &key)?;
    write(directory, "ca.crt", &certificate)
}

fn authority(directory: &Path) -> Result<Issuer<'static, KeyPair>, PkiError> {
    let ca = identity(directory, "ca")?;
    let make = || Issuer::from_ca_cert_pem(&ca.certificate, KeyPair::from_pem(&ca.key)?);
    make().map_err(|source| PkiError::Make { name: "ca".into(), source })
}

fn issue(
    directory: &Path,
    ca: &Issuer<'static, KeyPair>,
    name: &str,
    params: impl FnOnce() -> Result<CertificateParams, rcgen::Error>,
) -> Result<(), PkiError> {
    if directory.join(format!("{name}.crt")).exists() {
        return Ok(());
    }
    let make = || {
        let key = KeyPair::generate()?;
        let certificate = params()?.signed_by(&key, ca)?;
        Ok((certificate.pem(), key.serialize_pem()))
    };
    let (certificate, key) = make().map_err(|source| PkiError::Make { name: name.into(), source })?;
    write(directory, &format!("{name}.key"), &key)?;
    write(directory, &format!("{name}.crt"), &certificate)
}

fn server_params(cluster: &Cluster) -> Result<CertificateParams, rcgen::Error> {
    let names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ];
    let mut params = CertificateParams::new(
        names.map(str::to_owned).into_iter().chain(["localhost".to_owned()]).collect::<Vec<_>>(),
    )?;
    let addresses = cluster.addresses();
    let ips: [IpAddr; 4] =
        [addresses.host_api.ip(), addresses.wire.into(), addresses.kubernetes.into(), cluster.publish];
    params.subject_alt_names.extend(ips.map(SanType::IpAddress));
    params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    set_validity(&mut params);
    Ok(params)
}

fn client_params(user: &str, group: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, user);
    params.distinguished_name.push(DnType::OrganizationName, group);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    set_validity(&mut params);
    params
}

/// From the day before, for clocks that are set back, for ten years, as kubeadm's CA.
fn set_validity(params: &mut CertificateParams) {
    let days = |n: i64| std::time::Duration::from_secs(u64::try_from(n * 86_400).unwrap_or(0));
    let now = std::time::SystemTime::now();
    params.not_before = (now - days(1)).into();
    params.not_after = (now + days(3650)).into();
}

fn read(directory: &Path, file: &str) -> Result<String, PkiError> {
    let path = directory.join(file);
    std::fs::read_to_string(&path).map_err(|source| PkiError::Io { doing: "read", path, source })
}

fn write(directory: &Path, file: &str, content: &str) -> Result<(), PkiError> {
    let path = directory.join(file);
    write_atomically(&path, content.as_bytes(), 0o600).map_err(|source| PkiError::Io {
        doing: "write",
        path,
        source,
    })
}
