//! Tokens made and taken.

use super::*;
use crate::auth::token_request;
use sealane_storage::{MemoryStore, Op};

struct Fixture {
    config: Config,
    store: Arc<MemoryStore>,
    authenticator: Authenticator,
}

const NOW: i64 = 1_800_000_000;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn config() -> Config {
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    Config {
        service_cidrs: Vec::new(),
        node_ports: 30000..=32767,
        advertise: "10.123.0.1:6443".parse().unwrap(),
        cluster_domain: "cluster.local".into(),
        issuer: "https://kubernetes.default.svc.cluster.local".into(),
        token_key_pkcs8: key.as_ref().to_vec(),
        ca_pem: String::new(),
        kubernetes_version: "v1.33.0".into(),
    }
}

impl Fixture {
    async fn new() -> Self {
        let config = config();
        let store = Arc::new(MemoryStore::new());
        let authenticator = Authenticator::new(&config, store.clone());
        let fixture = Self { config, store, authenticator };
        fixture.put("serviceaccounts", "web", json!({"metadata": {"name": "web", "uid": "u1"}})).await;
        let pod = json!({"metadata": {"name": "p", "uid": "u2"},
            "spec": {"serviceAccountName": "web", "nodeName": "node-1"}});
        fixture.put("pods", "p", pod).await;
        fixture
    }

    async fn put(&self, plural: &str, name: &str, object: Value) {
        let op = Op::Put(object_key("", plural, "default", name), object.to_string().into());
        self.store.txn(vec![], vec![op]).await.unwrap();
    }

    fn issue(&self, audiences: &[&str]) -> String {
        let pod = BoundPod { name: "p", uid: "u2", node: "node-1" };
        let subject = TokenSubject { namespace: "default", name: "web", uid: "u1", pod: Some(pod) };
        let audiences: Vec<String> = audiences.iter().map(|a| (*a).to_owned()).collect();
        issue_token(&self.config, &subject, &audiences, 600, now()).unwrap()
    }

    fn at(&self, token: &str, seconds: i64) -> Result<User, TokenError> {
        let time = Timestamp::from_second(NOW + seconds).unwrap();
        self.authenticator.authenticate(token, &[], time).map(|(user, _)| user)
    }
}

#[tokio::test]
async fn a_token_names_its_account_and_pod_until_it_expires() {
    let f = Fixture::new().await;
    let token = f.issue(&[]);
    let user = f.at(&token, 599).unwrap();
    assert_eq!(user.name, "system:serviceaccount:default:web");
    assert_eq!(user.uid, "u1");
    assert_eq!(
        user.groups,
        ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"]
    );
    assert_eq!(user.extra["authentication.kubernetes.io/pod-name"], ["p"]);
    assert!(matches!(f.at(&token, 600), Err(TokenError::Expired)));
    assert!(matches!(f.at(&token, -1), Err(TokenError::Expired)));
}

#[tokio::test]
async fn forgeries_are_refused() {
    let f = Fixture::new().await;
    let token = f.issue(&[]);
    let parts: Vec<&str> = token.split('.').collect();
    let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    claims["sub"] = json!("system:serviceaccount:kube-system:admin");
    let none = encode(json!({"alg": "none"}));
    for forged in [
        format!("{}.{}.{}", parts[0], encode(claims), parts[2]),
        format!("{none}.{}.", parts[1]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}", parts[0], parts[1]),
        "x".into(),
        String::new(),
        "..".into(),
    ] {
        assert!(matches!(f.at(&forged, 0), Err(TokenError::Invalid)), "{forged}");
    }
    let other = Authenticator::new(&config(), f.store.clone());
    assert!(matches!(other.authenticate(&token, &[], now()), Err(TokenError::Invalid)));
}

#[tokio::test]
async fn an_audience_must_fit() {
    let f = Fixture::new().await;
    let token = f.issue(&["vault", "db"]);
    assert!(matches!(f.at(&token, 0), Err(TokenError::Audience { .. })));
    let wanted = ["db".to_owned(), "x".to_owned()];
    assert_eq!(f.authenticator.authenticate(&token, &wanted, now()).unwrap().1, ["db"]);
}

#[tokio::test]
async fn a_token_dies_with_what_it_is_bound_to() {
    let f = Fixture::new().await;
    let token = f.issue(&[]);
    let deletion = Timestamp::from_second(NOW).unwrap().to_string();
    f.put("pods", "p", json!({"metadata": {"name": "p", "uid": "u2", "deletionTimestamp": deletion}})).await;
    assert!(f.at(&token, 60).is_ok());
    assert!(matches!(f.at(&token, 61), Err(TokenError::Gone)));
    f.put("pods", "p", json!({"metadata": {"name": "p", "uid": "another"}})).await;
    assert!(matches!(f.at(&token, 0), Err(TokenError::Gone)));
    f.put("pods", "p", json!({"metadata": {"name": "p", "uid": "u2"}})).await;
    assert!(f.at(&token, 0).is_ok());
    f.store.txn(vec![], vec![Op::Delete(object_key("", "serviceaccounts", "default", "web"))]).await.unwrap();
    assert!(matches!(f.at(&token, 0), Err(TokenError::Gone)));
}

#[tokio::test]
async fn token_requests() {
    let f = Fixture::new().await;
    let ask =
        |spec: Value| token_request(&f.config, &*f.store, "default", "web", json!({"spec": spec}), now());
    let pod = |uid: &str| json!({"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": uid});
    let made = ask(json!({"boundObjectRef": pod("u2")})).unwrap();
    assert_eq!(made["spec"]["expirationSeconds"], 3600);
    assert_eq!(made["spec"]["audiences"], json!([f.config.issuer]));
    assert_eq!(made["status"]["expirationTimestamp"], "2027-01-15T09:00:00Z");
    assert!(f.at(made["status"]["token"].as_str().unwrap(), 3599).is_ok());
    let short = ask(json!({"expirationSeconds": 599})).unwrap_err();
    assert!(short.message.ends_with("may not specify a duration less than 10 minutes"), "{short}");
    assert_eq!(ask(json!({"boundObjectRef": pod("u3")})).unwrap_err().code, 409);
    let missing = json!({"kind": "Pod", "apiVersion": "v1", "name": "q"});
    assert_eq!(ask(json!({"boundObjectRef": missing})).unwrap_err().code, 404);
    let nobody = token_request(&f.config, &*f.store, "default", "x", json!({}), now()).unwrap_err();
    assert_eq!(nobody.message, "serviceaccounts \"x\" not found");
}
