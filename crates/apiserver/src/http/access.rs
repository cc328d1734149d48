//! Who asks, and whether they may.

use super::path::Info;
use super::{Peer, Request};
use crate::ApiServer;
use crate::auth::{Attributes, User};
use crate::registry::Location;
use crate::status::ApiError;
use http::{HeaderMap, Method};
use serde_json::json;

/// What anybody may ask without saying who they are.
const PUBLIC: &[&str] = &["/healthz", "/livez", "/readyz", "/version"];

impl ApiServer {
    /// The user that a request comes from, after impersonation.
    pub(super) fn authenticate(
        &self,
        headers: &HeaderMap,
        path: &str,
        peer: &Peer,
    ) -> Result<User, ApiError> {
        let user = match peer {
            Peer::InProcess(user) | Peer::Certificate(user) => user.clone(),
            Peer::Unknown => match bearer(headers) {
                Some(token) => self.authenticator.token(token).ok_or_else(ApiError::unauthorized)?,
                None if is_public(path) => User::anonymous(),
                None => return Err(ApiError::unauthorized()),
            },
        };
        let Some(target) = impersonated(headers)? else { return Ok(user) };
        for attributes in Attributes::impersonations(&target) {
            self.check(&user, &attributes)?;
        }
        Ok(with_implied_groups(target))
    }

    /// Refuses with 403 what the user may not do.
    pub(super) fn authorize(&self, request: &Request, info: &Info) -> Result<(), ApiError> {
        if !info.resource && is_public(&request.path) {
            return Ok(());
        }
        self.check(&request.user, &attributes(request, info))
    }

    /// Refuses with 403 an apply that would create what the user may not create.
    pub(super) fn may_create(&self, request: &Request, at: &Location<'_>) -> Result<(), ApiError> {
        let attributes = Attributes {
            verb: "create".to_owned(),
            group: at.kind.group.to_owned(),
            resource: at.kind.plural.to_owned(),
            subresource: String::new(),
            namespace: at.namespace.to_owned(),
            name: at.name.to_owned(),
            path: request.path.clone(),
        };
        self.check(&request.user, &attributes)
    }

    fn check(&self, user: &User, attributes: &Attributes) -> Result<(), ApiError> {
        if user.is_master() {
            return Ok(());
        }
        self.authorizer.authorize(user, attributes).map_err(|why| denied(attributes, &why))
    }
}

fn denied(attributes: &Attributes, why: &str) -> ApiError {
    if attributes.resource.is_empty() {
        let mut error = ApiError::new(403, "Forbidden", format!("forbidden: {why}"));
        error.details = json!({});
        return error;
    }
    ApiError::forbidden(&attributes.group, &attributes.resource, &attributes.name, why)
}

fn is_public(path: &str) -> bool {
    PUBLIC.iter().any(|p| path == *p || path.strip_prefix(p).is_some_and(|rest| rest.starts_with('/')))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The user that the `Impersonate-…` headers name.
fn impersonated(headers: &HeaderMap) -> Result<Option<User>, ApiError> {
    let texts = |name: &str| -> Vec<String> {
        headers.get_all(name).iter().filter_map(|v| v.to_str().ok().map(str::to_owned)).collect()
    };
    let mut user = User {
        name: texts("impersonate-user").pop().unwrap_or_default(),
        uid: texts("impersonate-uid").pop().unwrap_or_default(),
        groups: texts("impersonate-group"),
        ..User::default()
    };
    for (name, value) in headers {
        let (Some(key), Ok(value)) = (name.as_str().strip_prefix("impersonate-extra-"), value.to_str())
        else {
            continue;
        };
        user.extra.entry(super::query::decode(key)).or_default().push(value.to_owned());
    }
    if !user.name.is_empty() {
        return Ok(Some(user));
    }
    if user == User::default() {
        return Ok(None);
    }
    let why = "requested impersonation of groups, a uid or extra fields without impersonating a user";
    Err(ApiError::internal(why))
}

/// A service account is in its groups, everybody but the anonymous is authenticated.
fn with_implied_groups(mut user: User) -> User {
    let account = user.name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    if let Some((namespace, _)) = account.filter(|_| user.groups.is_empty()) {
        user.groups =
            vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
    }
    let implied =
        if user.name == "system:anonymous" { "system:unauthenticated" } else { "system:authenticated" };
    if !user.is_in(implied) {
        user.groups.push(implied.to_owned());
    }
    user
}

/// What a request asks for.
fn attributes(request: &Request, info: &Info) -> Attributes {
    let method = request.method.as_str().to_lowercase();
    if !info.resource {
        return Attributes { verb: method, path: request.path.clone(), ..Attributes::default() };
    }
    let named = !info.name.is_empty();
    let verb = match request.method {
        Method::GET | Method::HEAD if request.query.flag("watch") && info.subresource.is_empty() => "watch",
        Method::GET if matches!(info.subresource.as_str(), "exec" | "attach" | "portforward") => "create",
        Method::GET | Method::HEAD if named => "get",
        Method::GET | Method::HEAD => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if named => "delete",
        Method::DELETE => "deletecollection",
        _ => method.as_str(),
    };
    // a request for one namespace is a request in it
    let is_namespace = info.group.is_empty() && info.plural == "namespaces";
    Attributes {
        verb: verb.to_owned(),
        group: info.group.clone(),
        resource: info.plural.clone(),
        subresource: info.subresource.clone(),
        namespace: if is_namespace { info.name.clone() } else { info.namespace.clone() },
        name: info.name.clone(),
        path: request.path.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_paths_are_whole_segments() {
        for path in ["/healthz", "/readyz/ping", "/version"] {
            assert!(is_public(path), "{path}");
        }
        for path in ["/healthzz", "/api", "/", "/versions"] {
            assert!(!is_public(path), "{path}");
        }
    }

    #[test]
    fn impersonation_headers() {
        let mut headers = HeaderMap::new();
        assert_eq!(impersonated(&headers).unwrap(), None);
        headers.insert("impersonate-group", "g".parse().unwrap());
        assert_eq!(impersonated(&headers).unwrap_err().code, 500);
        headers.insert("impersonate-user", "system:serviceaccount:a:b".parse().unwrap());
        headers.remove("impersonate-group");
        headers.insert("impersonate-extra-scopes%2fx", "v".parse().unwrap());
        let user = with_implied_groups(impersonated(&headers).unwrap().unwrap());
        assert_eq!(
            user.groups,
            ["system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"]
        );
        assert_eq!(user.extra["scopes/x"], ["v"]);
    }
}
