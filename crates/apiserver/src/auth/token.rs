//! Service-account tokens: JWTs (RFC 7519) signed with ES256, bound to a ServiceAccount and perhaps a Pod.
//!
//! A token is good while it is not expired, was signed by this cluster's key for an audience of ours, and the
//! ServiceAccount and Pod that it names still exist with the uids that it names.

use super::User;
use crate::Config;
use crate::registry::{key::object_key, object};
use crate::strategy::access::{at, int, strings, text};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use sealane_storage::Store;
use serde_json::{Value, json};
use std::sync::Arc;

/// A Pod's token outlives the Pod's deletion by this many seconds, so that it can say goodbye.
const GOODBYE_SECONDS: i64 = 60;
const EXTRA: &str = "authentication.kubernetes.io";

/// Why a token was not made or not taken.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The signing key is no PKCS#8 of an ES256 key.
    #[error("reading the key that signs service-account tokens: {0}")]
    Key(ring::error::KeyRejected),
    /// Signing failed.
    #[error("signing a service-account token")]
    Sign,
    /// It is no JWT of this cluster.
    #[error("invalid bearer token")]
    Invalid,
    /// It is over, or not yet begun.
    #[error("service account token has expired")]
    Expired,
    /// It is for somebody else.
    #[error("token audiences {got:?} is invalid for the target audiences {wanted:?}")]
    Audience {
        /// The token's audiences.
        got: Vec<String>,
        /// Those that would do.
        wanted: Vec<String>,
    },
    /// What it is bound to is gone.
    #[error("service account token has been invalidated")]
    Gone,
}

/// The Pod that a token is bound to.
#[derive(Debug, Clone, Copy)]
pub struct BoundPod<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its uid.
    pub uid: &'a str,
    /// The node that it is on; empty if none yet.
    pub node: &'a str,
}

/// Whom a token is for.
#[derive(Debug, Clone, Copy)]
pub struct TokenSubject<'a> {
    /// The ServiceAccount's namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its uid.
    pub uid: &'a str,
    /// The Pod it is bound to, if any.
    pub pod: Option<BoundPod<'a>>,
}

/// Makes a token, good for `seconds` from `now`; no audience means the cluster's own.
///
/// # Errors
/// The key is bad.
pub fn issue_token(
    config: &Config,
    subject: &TokenSubject<'_>,
    audiences: &[String],
    seconds: i64,
    now: Timestamp,
) -> Result<String, TokenError> {
    let keys = key_pair(config)?;
    let own = [config.issuer.clone()];
    let audiences = if audiences.is_empty() { own.as_slice() } else { audiences };
    let TokenSubject { namespace, name, uid, pod } = subject;
    let mut bound = json!({"namespace": namespace, "serviceaccount": {"name": name, "uid": uid}});
    if let Some(pod) = pod {
        bound["pod"] = json!({"name": pod.name, "uid": pod.uid});
        if !pod.node.is_empty() {
            bound["node"] = json!({"name": pod.node});
        }
    }
    let now = now.as_second();
    let claims = json!({
        "aud": audiences, "exp": now + seconds, "iat": now, "nbf": now, "iss": config.issuer,
        "jti": object::new_uid(), "sub": format!("system:serviceaccount:{namespace}:{name}"),
        "kubernetes.io": bound,
    });
    let header = json!({"alg": "ES256", "kid": key_id(&keys), "typ": "JWT"});
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(&header), encode(&claims));
    let signature = keys.sign(&SystemRandom::new(), signed.as_bytes()).map_err(|_| TokenError::Sign)?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

fn key_pair(config: &Config) -> Result<EcdsaKeyPair, TokenError> {
    let random = SystemRandom::new();
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &config.token_key_pkcs8, &random)
        .map_err(TokenError::Key)
}

fn key_id(keys: &EcdsaKeyPair) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, keys.public_key().as_ref());
    URL_SAFE_NO_PAD.encode(digest)
}

/// Finds out who sent a bearer token.
pub struct Authenticator {
    store: Arc<dyn Store>,
    issuer: String,
    /// Empty if the key is bad: then no token is good.
    public_key: Vec<u8>,
}

impl Authenticator {
    /// An authenticator of a cluster's service accounts.
    #[must_use]
    pub fn new(config: &Config, store: Arc<dyn Store>) -> Self {
        let public_key =
            key_pair(config).map(|keys| keys.public_key().as_ref().to_vec()).unwrap_or_else(|error| {
                tracing::error!(%error, "no service-account token will be accepted");
                Vec::new()
            });
        Self { store, issuer: config.issuer.clone(), public_key }
    }

    /// The user of a token for this API; `None` if it is not good.
    #[must_use]
    pub fn token(&self, bearer: &str) -> Option<User> {
        match self.authenticate(bearer, &[], Timestamp::now()) {
            Ok((user, _)) => Some(user),
            Err(error) => {
                tracing::debug!(%error, "a bearer token was refused");
                None
            }
        }
    }

    /// The user of a token and those of the wanted audiences that it is for; no audience means the cluster's own.
    ///
    /// # Errors
    /// Why it is not good.
    pub fn authenticate(
        &self,
        token: &str,
        audiences: &[String],
        now: Timestamp,
    ) -> Result<(User, Vec<String>), TokenError> {
        let claims = self.verified(token)?;
        let second = now.as_second();
        if text(&claims, "iss") != self.issuer {
            return Err(TokenError::Invalid);
        }
        if second >= int(&claims, "exp") || second < int(&claims, "nbf") {
            return Err(TokenError::Expired);
        }
        let own = [self.issuer.clone()];
        let wanted = if audiences.is_empty() { own.as_slice() } else { audiences };
        let got: Vec<String> = strings(&claims, "aud").into_iter().map(str::to_owned).collect();
        let shared: Vec<String> = wanted.iter().filter(|w| got.contains(w)).cloned().collect();
        if shared.is_empty() {
            return Err(TokenError::Audience { got, wanted: wanted.to_vec() });
        }
        self.check_bound(at(&claims, &["kubernetes.io"]), now)?;
        Ok((user(&claims), shared))
    }

    /// The claims of a token that this cluster signed.
    fn verified(&self, token: &str) -> Result<Value, TokenError> {
        let invalid = || TokenError::Invalid;
        let (signed, signature) = token.rsplit_once('.').ok_or_else(invalid)?;
        let (header, claims) = signed.split_once('.').ok_or_else(invalid)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Invalid);
        let json =
            |part: &str| serde_json::from_slice::<Value>(&decode(part)?).map_err(|_| TokenError::Invalid);
        if text(&json(header)?, "alg") != "ES256" {
            return Err(TokenError::Invalid);
        }
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.public_key);
        key.verify(signed.as_bytes(), &decode(signature)?).map_err(|_| TokenError::Invalid)?;
        json(claims)
    }

    fn check_bound(&self, bound: &Value, now: Timestamp) -> Result<(), TokenError> {
        let namespace = text(bound, "namespace");
        let account = at(bound, &["serviceaccount"]);
        self.stands("serviceaccounts", namespace, account, now)?;
        match at(bound, &["pod"]) {
            Value::Null => Ok(()),
            pod => self.stands("pods", namespace, pod, now),
        }
    }

    fn stands(&self, plural: &str, namespace: &str, named: &Value, now: Timestamp) -> Result<(), TokenError> {
        let entry = self.store.get(&object_key("", plural, namespace, text(named, "name")));
        let object = object::decode(&entry.ok_or(TokenError::Gone)?).map_err(|_| TokenError::Gone)?;
        if object::meta(&object, "uid") != text(named, "uid") {
            return Err(TokenError::Gone);
        }
        let deleted = object::meta(&object, "deletionTimestamp").parse::<Timestamp>();
        let late = |at: Timestamp| now.duration_since(at) > SignedDuration::from_secs(GOODBYE_SECONDS);
        if deleted.is_ok_and(late) { Err(TokenError::Gone) } else { Ok(()) }
    }
}

fn user(claims: &Value) -> User {
    let bound = at(claims, &["kubernetes.io"]);
    let namespace = text(bound, "namespace");
    let groups = ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
    let mut user = User::new(text(claims, "sub"), groups);
    user.uid = text(at(bound, &["serviceaccount"]), "uid").to_owned();
    let credential = format!("JTI={}", text(claims, "jti"));
    let extra = [
        ("credential-id", credential.as_str()),
        ("pod-name", text(at(bound, &["pod"]), "name")),
        ("pod-uid", text(at(bound, &["pod"]), "uid")),
        ("node-name", text(at(bound, &["node"]), "name")),
    ];
    for (key, value) in extra.into_iter().filter(|(_, value)| !value.is_empty()) {
        user.extra.insert(format!("{EXTRA}/{key}"), vec![value.to_owned()]);
    }
    user
}

#[cfg(test)]
mod tests;
