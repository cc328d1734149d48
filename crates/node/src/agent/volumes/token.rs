//! Service-account tokens of Pods: asked for through TokenRequest, renewed at 80 % of their life
//! (pkg/kubelet/token in Kubernetes).

use std::collections::HashMap;
use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount, ServiceAccountTokenProjection};
use kube::api::{Api, PostParams};

use crate::agent::context::Context;

/// The tokens that Pods have, so that a look at a volume does not ask for a new one.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    known: Mutex<HashMap<Key, Known>>,
}

/// Pod, volume, path.
type Key = (String, String, String);

#[derive(Debug, Clone)]
struct Known {
    token: String,
    renew: Timestamp,
}

impl Tokens {
    fn get(&self, key: &Key, now: Timestamp) -> Option<Known> {
        self.lock().get(key).filter(|k| k.renew > now).cloned()
    }

    /// Forgets the tokens of a Pod that is gone.
    pub(crate) fn forget(&self, pod_uid: &str) {
        self.lock().retain(|(uid, _, _), _| uid != pod_uid);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Known>> {
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

const DEFAULT_LIFE_S: i64 = 3600;

/// The token for one projection, and when to renew it.
///
/// # Errors
/// When the API server gives none.
pub(super) async fn token(
    context: &Context,
    pod: &Pod,
    volume: &str,
    projection: &ServiceAccountTokenProjection,
) -> Result<(String, Timestamp), String> {
    let now = Timestamp::now();
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    let key = (uid.clone(), volume.to_owned(), projection.path.clone());
    if let Some(known) = context.tokens.get(&key, now) {
        return Ok((known.token, known.renew));
    }
    let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
    let account = pod.spec.as_ref().and_then(|s| s.service_account_name.as_deref()).filter(|s| !s.is_empty());
    let account = account.unwrap_or("default");
    let request = TokenRequest {
        spec: TokenRequestSpec {
            audiences: projection.audience.iter().filter(|a| !a.is_empty()).cloned().collect(),
            expiration_seconds: projection.expiration_seconds.or(Some(DEFAULT_LIFE_S)),
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: pod.metadata.name.clone(),
                uid: Some(uid),
            }),
        },
        ..Default::default()
    };
    let api: Api<ServiceAccount> = Api::namespaced(context.client.clone(), namespace);
    let answer = api
        .create_token_request(account, &PostParams::default(), &request)
        .await
        .map_err(|e| format!("failed to fetch token: {}", super::super::context::text(&e)))?;
    let status = answer.status.ok_or("failed to fetch token: the answer has none")?;
    let known = Known { token: status.token, renew: renewal(now, status.expiration_timestamp.0) };
    context.tokens.lock().insert(key, known.clone());
    Ok((known.token, known.renew))
}

/// At 80 % of the life, and after a day at the latest.
fn renewal(now: Timestamp, expires: Timestamp) -> Timestamp {
    let life_s = expires.duration_since(now).as_secs();
    now.checked_add(SignedDuration::from_secs((life_s / 5 * 4).clamp(1, 86_400))).unwrap_or(expires)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::testing::at;

    #[test]
    fn renewed_at_four_fifths() {
        for (life, wanted) in [(3600, 2880), (3607, 2884), (10, 8), (0, 1), (-5, 1), (1_000_000, 86_400)] {
            assert_eq!(renewal(at(0), at(life)), at(wanted), "{life}");
        }
    }
}
