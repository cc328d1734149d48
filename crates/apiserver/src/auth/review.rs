//! The review APIs and the token request: from the object that was sent to the object that is answered.

use super::authorizer::Authorizer;
use super::token::{Authenticator, BoundPod, TokenSubject, issue_token};
use super::{Attributes, User};
use crate::Config;
use crate::registry::{key::object_key, object};
use crate::status::{ApiError, FieldError};
use crate::strategy::access::{at, has, int, pairs, set, strings, text};
use jiff::{SignedDuration, Timestamp};
use sealane_storage::Store;
use serde_json::{Value, json};

const AUTHORIZATION: &str = "authorization.k8s.io";
/// The shortest lifetime of a token, in seconds.
const SECONDS_MIN: i64 = 600;
const SECONDS_DEFAULT: i64 = 3600;
const SECONDS_MAX: i64 = 1 << 32;

fn answered(mut review: Value, status: Value) -> Value {
    set(&mut review, "status", status);
    review
}

/// TokenReview: who sent this token.
#[must_use]
pub fn token_review(authenticator: &Authenticator, review: Value, now: Timestamp) -> Value {
    let spec = at(&review, &["spec"]);
    let audiences: Vec<String> = strings(spec, "audiences").into_iter().map(str::to_owned).collect();
    let status = match authenticator.authenticate(text(spec, "token"), &audiences, now) {
        Ok((user, audiences)) => {
            json!({"authenticated": true, "user": user.to_json(), "audiences": audiences})
        }
        Err(error) => json!({"user": {}, "error": error.to_string()}),
    };
    answered(review, status)
}

/// SelfSubjectReview: who am I.
#[must_use]
pub fn self_subject_review(user: &User, review: Value) -> Value {
    answered(review, json!({"userInfo": user.to_json()}))
}

/// SubjectAccessReview: may somebody do this.
///
/// # Errors
/// 422 if the review says not what is asked, or not about whom.
pub fn subject_access_review(authorizer: &Authorizer, review: Value) -> Result<Value, ApiError> {
    let spec = at(&review, &["spec"]);
    let mut wrong = asked_errors(spec);
    let groups = strings(spec, "groups");
    if text(spec, "user").is_empty() && groups.is_empty() {
        let why = "at least one of user or group must be specified";
        wrong.push(FieldError::invalid("spec.user", &json!(""), why));
    }
    if !wrong.is_empty() {
        return Err(ApiError::invalid(AUTHORIZATION, "SubjectAccessReview", "", &wrong));
    }
    let user = User {
        name: text(spec, "user").to_owned(),
        uid: text(spec, "uid").to_owned(),
        groups: groups.into_iter().map(str::to_owned).collect(),
        extra: extra(spec),
    };
    let status = decision(authorizer, &user, spec);
    Ok(answered(review, status))
}

/// LocalSubjectAccessReview: may somebody do this in the namespace of the request.
///
/// # Errors
/// As [`subject_access_review`]; 400 if the review names another namespace.
pub fn local_subject_access_review(
    authorizer: &Authorizer,
    namespace: &str,
    review: Value,
) -> Result<Value, ApiError> {
    let resource = at(&review, &["spec", "resourceAttributes"]);
    if resource.is_null() || text(resource, "namespace") != namespace {
        let why = format!("spec.resourceAttributes.namespace must match namespace: {namespace}");
        return Err(ApiError::bad_request(why));
    }
    subject_access_review(authorizer, review)
}

/// SelfSubjectAccessReview: may I do this.
///
/// # Errors
/// 422 if the review does not say what is asked.
pub fn self_subject_access_review(
    authorizer: &Authorizer,
    user: &User,
    review: Value,
) -> Result<Value, ApiError> {
    let spec = at(&review, &["spec"]);
    let wrong = asked_errors(spec);
    if !wrong.is_empty() {
        return Err(ApiError::invalid(AUTHORIZATION, "SelfSubjectAccessReview", "", &wrong));
    }
    let status = decision(authorizer, user, spec);
    Ok(answered(review, status))
}

/// SelfSubjectRulesReview: what may I do in a namespace.
///
/// # Errors
/// 400 if the review names no namespace.
pub fn self_subject_rules_review(
    authorizer: &Authorizer,
    user: &User,
    review: Value,
) -> Result<Value, ApiError> {
    let namespace = text(at(&review, &["spec"]), "namespace");
    if namespace.is_empty() {
        return Err(ApiError::bad_request("no namespace on request"));
    }
    let (resources, urls) = authorizer.rules(user, namespace).to_json();
    let status = json!({"resourceRules": resources, "nonResourceRules": urls, "incomplete": false});
    Ok(answered(review, status))
}

fn asked_errors(spec: &Value) -> Vec<FieldError> {
    let resource = has(spec, "resourceAttributes");
    if resource != has(spec, "nonResourceAttributes") {
        return Vec::new();
    }
    let (field, why) = if resource {
        ("spec.nonResourceAttributes", "cannot be specified in combination with resourceAttributes")
    } else {
        (
            "spec.resourceAttributes",
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        )
    };
    vec![FieldError::invalid(field, at(spec, &[field.trim_start_matches("spec.")]), why)]
}

fn extra(spec: &Value) -> std::collections::BTreeMap<String, Vec<String>> {
    let values = |v: &Value| {
        v.as_array().into_iter().flatten().filter_map(|s| s.as_str().map(str::to_owned)).collect()
    };
    pairs(spec, "extra").map(|(key, value)| (key.to_lowercase(), values(value))).collect()
}

fn decision(authorizer: &Authorizer, user: &User, spec: &Value) -> Value {
    let resource = at(spec, &["resourceAttributes"]);
    let own = |key: &str| text(resource, key).to_owned();
    let asked = if resource.is_null() {
        let url = at(spec, &["nonResourceAttributes"]);
        Attributes { verb: text(url, "verb").into(), path: text(url, "path").into(), ..Attributes::default() }
    } else {
        Attributes {
            verb: own("verb"),
            group: own("group"),
            // An empty resource is no path: it asks for nothing that a rule without `*` could allow.
            resource: Some(own("resource")).filter(|r| !r.is_empty()).unwrap_or_else(|| "*".into()),
            subresource: own("subresource"),
            namespace: own("namespace"),
            name: own("name"),
            path: String::new(),
        }
    };
    match authorizer.decide(user, &asked) {
        Some(reason) if reason.is_empty() => json!({"allowed": true}),
        Some(reason) => json!({"allowed": true, "reason": reason}),
        None => json!({"allowed": false}),
    }
}

/// The TokenRequest subresource of a ServiceAccount: the request with its token.
///
/// # Errors
/// 404 if account or Pod do not exist, 409 if the Pod has another uid, 422 for a bad lifetime, 400 if the Pod runs as
/// somebody else.
pub fn token_request(
    config: &Config,
    store: &dyn Store,
    namespace: &str,
    name: &str,
    mut request: Value,
    now: Timestamp,
) -> Result<Value, ApiError> {
    let account = standing(store, "serviceaccounts", namespace, name)?;
    let spec = at(&request, &["spec"]);
    let seconds = match int(spec, "expirationSeconds") {
        0 => SECONDS_DEFAULT,
        seconds => seconds,
    };
    check_seconds(seconds)?;
    let mut audiences: Vec<String> = strings(spec, "audiences").into_iter().map(str::to_owned).collect();
    if audiences.is_empty() {
        audiences.push(config.issuer.clone());
    }
    let pod = bound_pod(store, namespace, name, at(spec, &["boundObjectRef"]))?;
    let bound = pod.as_ref().map(|pod| BoundPod {
        name: object::meta(pod, "name"),
        uid: object::meta(pod, "uid"),
        node: text(at(pod, &["spec"]), "nodeName"),
    });
    let subject = TokenSubject { namespace, name, uid: object::meta(&account, "uid"), pod: bound };
    let token = issue_token(config, &subject, &audiences, seconds, now).map_err(ApiError::internal)?;
    let expires = now + SignedDuration::from_secs(seconds);
    request["spec"]["expirationSeconds"] = json!(seconds);
    request["spec"]["audiences"] = json!(audiences);
    object::set_meta(&mut request, "name", json!(name));
    object::set_meta(&mut request, "namespace", json!(namespace));
    object::set_meta(&mut request, "creationTimestamp", json!(object::timestamp(now)));
    Ok(answered(request, json!({"token": token, "expirationTimestamp": object::timestamp(expires)})))
}

fn check_seconds(seconds: i64) -> Result<(), ApiError> {
    let why = match seconds {
        ..SECONDS_MIN => "may not specify a duration less than 10 minutes",
        SECONDS_MIN..=SECONDS_MAX => return Ok(()),
        _ => "may not specify a duration larger than 2^32 seconds",
    };
    let error = FieldError::invalid("spec.expirationSeconds", &json!(seconds), why);
    Err(ApiError::invalid("authentication.k8s.io", "TokenRequest", "", &[error]))
}

fn standing(store: &dyn Store, plural: &str, namespace: &str, name: &str) -> Result<Value, ApiError> {
    let entry = store.get(&object_key("", plural, namespace, name));
    object::decode(&entry.ok_or_else(|| ApiError::not_found("", plural, name))?)
}

fn bound_pod(
    store: &dyn Store,
    namespace: &str,
    account: &str,
    reference: &Value,
) -> Result<Option<Value>, ApiError> {
    if reference.is_null() {
        return Ok(None);
    }
    let kind = text(reference, "kind");
    if kind != "Pod" {
        return Err(ApiError::bad_request(format!("cannot bind token to object of type {kind}")));
    }
    let name = text(reference, "name");
    let pod = standing(store, "pods", namespace, name)?;
    if text(at(&pod, &["spec"]), "serviceAccountName") != account {
        let why = format!(
            "cannot bind token for serviceaccount \"{account}\" to pod running with different serviceaccount name."
        );
        return Err(ApiError::bad_request(why));
    }
    let (wanted, uid) = (text(reference, "uid"), object::meta(&pod, "uid"));
    if !wanted.is_empty() && wanted != uid {
        let why = format!(
            "the UID in the bound object reference ({wanted}) does not match the UID in record. The object \
                     might have been deleted and then recreated"
        );
        return Err(ApiError::conflict("", "pods", name, &why));
    }
    Ok(Some(pod))
}
