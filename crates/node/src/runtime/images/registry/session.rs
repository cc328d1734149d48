//! Requests to one repository of one registry, authenticated when the registry asks for it.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_RANGE, RANGE, USER_AGENT, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::challenge::{self, Challenge};
use super::transport::{Transport, is_loopback, read};
use super::{Credential, RegistryError, token};
use crate::runtime::images::Reference;
use crate::runtime::images::store::encode;

/// What a manifest may be. Docker's schema 1 is not asked for.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
/// Larger ones are refused, as other clients do.
const MANIFEST_LIMIT: usize = 4 << 20;

/// One repository.
pub(crate) struct Registry {
    transport: Arc<Transport>,
    /// As the image's name has it.
    host: String,
    /// `https://registry-1.docker.io`.
    base: String,
    repository: String,
    credential: Option<Credential>,
    authorization: std::sync::Mutex<Option<HeaderValue>>,
}

/// A manifest and the digest it was found to have.
pub(crate) struct Fetched {
    pub(crate) bytes: Bytes,
    pub(crate) digest: String,
}

/// A blob's content on its way.
pub(crate) struct Blob {
    /// Where in the blob it begins.
    pub(crate) offset: u64,
    pub(crate) body: Incoming,
}

impl Registry {
    /// Finds out how the registry is reached: https, but this machine's own over plain http if they speak that.
    pub(crate) async fn open(
        transport: Arc<Transport>,
        reference: &Reference,
        credential: Option<Credential>,
    ) -> Result<Self, RegistryError> {
        let host = reference.registry.clone();
        let address = if host == "docker.io" { "registry-1.docker.io" } else { host.as_str() };
        let mut registry = Self {
            base: format!("https://{address}"),
            transport,
            repository: reference.repository.clone(),
            credential,
            authorization: std::sync::Mutex::default(),
            host: host.clone(),
        };
        if is_loopback(&host) {
            let plain = format!("http://{address}");
            let ping = registry.request(Method::GET, &format!("{plain}/v2/"), &[])?;
            match registry.transport.send(ping).await {
                // A TLS server answers plain requests with 400, or not in HTTP at all.
                Ok(answer) if answer.status() != StatusCode::BAD_REQUEST => registry.base = plain,
                Ok(_) => {}
                Err(error) if refused(&error) => return Err(registry.named(error)),
                Err(_) => {}
            }
        }
        Ok(registry)
    }

    /// The manifest or index under a tag or digest.
    pub(crate) async fn manifest(&self, name: &str) -> Result<Fetched, RegistryError> {
        let path = format!("manifests/{name}");
        let response = self.ask(Method::GET, &path, &[(ACCEPT, MANIFESTS)]).await?;
        let bytes = read(&self.host, response, MANIFEST_LIMIT).await?;
        let digest = format!("sha256:{}", encode(&Sha256::digest(&bytes)));
        if name.starts_with("sha256:") && name != digest {
            let cause = format!("it was asked for as {name} and has digest {digest}");
            return Err(self.malformed("manifest", cause));
        }
        Ok(Fetched { bytes, digest })
    }

    /// The digest that a tag leads to, if the registry says it without sending the manifest.
    pub(crate) async fn digest(&self, tag: &str) -> Result<Option<String>, RegistryError> {
        let path = format!("manifests/{tag}");
        let response = self.ask(Method::HEAD, &path, &[(ACCEPT, MANIFESTS)]).await?;
        let header = response.headers().get("docker-content-digest");
        Ok(header.and_then(|value| value.to_str().ok()).map(str::to_owned))
    }

    /// A small blob.
    pub(crate) async fn small_blob(&self, digest: &str, limit: usize) -> Result<Bytes, RegistryError> {
        let response = self.ask(Method::GET, &format!("blobs/{digest}"), &[]).await?;
        let bytes = read(&self.host, response, limit).await?;
        let found = format!("sha256:{}", encode(&Sha256::digest(&bytes)));
        if found == digest {
            return Ok(bytes);
        }
        Err(self.malformed("image configuration", format!("it is {digest} and has digest {found}")))
    }

    /// A blob from `offset` on, or from its beginning if the registry cannot do otherwise.
    pub(crate) async fn blob(&self, digest: &str, offset: u64) -> Result<Blob, RegistryError> {
        let range = format!("bytes={offset}-");
        let headers: &[_] = if offset > 0 { &[(RANGE, range.as_str())] } else { &[] };
        let response = self.ask(Method::GET, &format!("blobs/{digest}"), headers).await?;
        let partial = response.status() == StatusCode::PARTIAL_CONTENT && {
            let range = response.headers().get(CONTENT_RANGE).and_then(|v| v.to_str().ok());
            range.is_some_and(|r| r.starts_with(&format!("bytes {offset}-")))
        };
        Ok(Blob { offset: if partial { offset } else { 0 }, body: response.into_body() })
    }

    /// An answer that went well; on a challenge, the request is repeated once with what it asks for.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(http::HeaderName, &str)],
    ) -> Result<Response<Incoming>, RegistryError> {
        let uri = format!("{}/v2/{}/{path}", self.base, self.repository);
        let send = || async {
            let request = self.request(method.clone(), &uri, headers)?;
            self.transport.send(request).await.map_err(|e| self.named(e))
        };
        let mut response = send().await?;
        if response.status() == StatusCode::UNAUTHORIZED && self.authenticate(&response).await? {
            response = send().await?;
        }
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = read(&self.host, response, MANIFEST_LIMIT).await.unwrap_or_default();
        Err(self.refusal(status, path, message(&body, status)))
    }

    fn request(
        &self,
        method: Method,
        uri: &str,
        headers: &[(http::HeaderName, &str)],
    ) -> Result<Request<Bytes>, RegistryError> {
        let mut request = Request::builder().method(method).uri(uri);
        request = request.header(USER_AGENT, concat!("sealane/", env!("CARGO_PKG_VERSION")));
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        if let Some(authorization) = self.authorization().clone() {
            request = request.header(AUTHORIZATION, authorization);
        }
        request.body(Bytes::new()).map_err(|e| self.malformed("address", e.to_string()))
    }

    /// Gets what the registry wants to see; false if there is nothing to show, or it was shown already.
    async fn authenticate(&self, response: &Response<Incoming>) -> Result<bool, RegistryError> {
        let headers = response.headers().get_all(WWW_AUTHENTICATE).iter();
        let challenges: Vec<Challenge> =
            headers.filter_map(|h| h.to_str().ok()).filter_map(challenge::parse).collect();
        let bearer = challenges.iter().find(|c| **c != Challenge::Basic);
        let header = match (bearer.or(challenges.first()), &self.credential) {
            (Some(Challenge::Bearer { realm, service, scope }), credential) => {
                let wanted = format!("repository:{}:pull", self.repository);
                let scope = if scope.is_empty() { &wanted } else { scope };
                token::bearer(&self.transport, (realm, service, scope), credential.as_ref()).await?
            }
            (Some(Challenge::Basic), Some(credential)) => token::basic(credential),
            _ => return Ok(false),
        };
        let before = self.authorization().replace(header.clone());
        Ok(before.as_ref() != Some(&header))
    }

    fn authorization(&self) -> std::sync::MutexGuard<'_, Option<HeaderValue>> {
        self.authorization.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn refusal(&self, status: StatusCode, path: &str, message: String) -> RegistryError {
        let (host, status_code) = (self.host.clone(), status.as_u16());
        let what = format!(
            "{} of {}",
            path.replacen("manifests/", "manifest ", 1).replacen("blobs/", "blob ", 1),
            self.repository
        );
        match status_code {
            401 | 403 => RegistryError::Denied {
                host,
                repository: self.repository.clone(),
                status: status_code,
                message,
            },
            404 => RegistryError::NotFound { host, what, message },
            status => RegistryError::Status { host, what, status, message },
        }
    }

    fn malformed(&self, what: &'static str, cause: String) -> RegistryError {
        RegistryError::Malformed { host: self.host.clone(), what, cause }
    }

    /// The image's own name for the registry, in place of the host that stands for it.
    fn named(&self, error: RegistryError) -> RegistryError {
        let stands_for = |host: &str| self.base.ends_with(&format!("//{host}"));
        match error {
            RegistryError::NotDialled(host) if stands_for(&host) => {
                RegistryError::NotDialled(self.host.clone())
            }
            RegistryError::Unreachable { host, cause } if stands_for(&host) => {
                RegistryError::Unreachable { host: self.host.clone(), cause }
            }
            other => other,
        }
    }
}

/// Whether nothing listens there: then https is no use either.
fn refused(error: &RegistryError) -> bool {
    matches!(error, RegistryError::Unreachable { cause, .. } if cause.contains("Connection refused"))
}

/// What an error's body says, `errors[].message`, or else the status in words.
pub(super) fn message(body: &[u8], status: StatusCode) -> String {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let listed = value["errors"].as_array().into_iter().flatten().filter_map(|e| e["message"].as_str());
    let listed: Vec<&str> = listed.filter(|m| !m.is_empty()).collect();
    let single = value["details"].as_str().or(value["message"].as_str());
    match (listed.is_empty(), single) {
        (false, _) => listed.join(", "),
        (true, Some(text)) => text.to_owned(),
        _ => status.canonical_reason().unwrap_or("no reason given").to_owned(),
    }
}
