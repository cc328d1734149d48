//! Tokens of a registry's authorisation service (distribution's `auth/token` and `auth/oauth`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request};
use serde::Deserialize;

use super::transport::{Transport, host, read};
use super::{Credential, RegistryError};

/// More than any token takes.
const LIMIT: usize = 1 << 20;
/// Who we say we are to an OAuth service.
const CLIENT: &str = "sealane";

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
}

/// `Authorization` with name and password.
pub(super) fn basic(credential: &Credential) -> HeaderValue {
    let pair = STANDARD.encode(format!("{}:{}", credential.username, credential.password));
    secret(&format!("Basic {pair}"))
}

/// Gets a token and returns the `Authorization` that carries it.
pub(super) async fn bearer(
    transport: &Transport,
    (realm, service, scope): (&str, &str, &str),
    credential: Option<&Credential>,
) -> Result<HeaderValue, RegistryError> {
    let request = request(realm, service, scope, credential);
    let malformed = |cause: String| RegistryError::Malformed { host: realm.to_owned(), what: "token", cause };
    let request = request.map_err(|e| malformed(e.to_string()))?;
    let at = host(request.uri());
    let response = transport.send(request).await?;
    let status = response.status();
    let body = read(&at, response, LIMIT).await?;
    if !status.is_success() {
        let message = super::session::message(&body, status);
        let repository = scope.to_owned();
        return Err(RegistryError::Denied { host: at, repository, status: status.as_u16(), message });
    }
    let answer: Answer = serde_json::from_slice(&body).map_err(|e| malformed(e.to_string()))?;
    let token = if answer.token.is_empty() { answer.access_token } else { answer.token };
    if token.is_empty() {
        Err(malformed("it is empty".to_owned()))
    } else {
        Ok(secret(&format!("Bearer {token}")))
    }
}

fn request(
    realm: &str,
    service: &str,
    scope: &str,
    credential: Option<&Credential>,
) -> Result<Request<Bytes>, http::Error> {
    let pairs = [("service", service), ("scope", scope)];
    if let Some(identity) = credential.map(|c| c.identity_token.as_str()).filter(|t| !t.is_empty()) {
        let own = [("grant_type", "refresh_token"), ("client_id", CLIENT), ("refresh_token", identity)];
        let form = query(&[&own[..], &pairs].concat());
        let request = Request::post(realm).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        return request.body(Bytes::from(form));
    }
    let separator = if realm.contains('?') { '&' } else { '?' };
    let mut request = Request::get(format!("{realm}{separator}{}", query(&pairs)));
    if let Some(credential) = credential {
        request = request.header(AUTHORIZATION, basic(credential));
    }
    request.body(Bytes::new())
}

/// `key=value&…`, without the empty ones.
fn query(pairs: &[(&str, &str)]) -> String {
    let given = pairs.iter().filter(|(_, value)| !value.is_empty());
    given.map(|(key, value)| format!("{key}={}", escape(value))).collect::<Vec<_>>().join("&")
}

fn escape(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// A header's value that no log shows; what cannot be one is empty.
fn secret(text: &str) -> HeaderValue {
    let mut value = HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_asked_for_by_name_or_by_refresh_token() {
        let plain = request("https://a/t?x=1", "reg istry", "repository:a/b:pull", None).unwrap();
        assert_eq!(plain.uri().to_string(), "https://a/t?x=1&service=reg%20istry&scope=repository:a/b:pull");
        assert!(plain.headers().is_empty());
        let named = Credential { username: "u".into(), password: "p".into(), ..Default::default() };
        let named = request("https://a/t", "", "s", Some(&named)).unwrap();
        assert_eq!(
            (named.uri().query(), named.headers()[AUTHORIZATION].to_str().unwrap()),
            (Some("scope=s"), "Basic dTpw")
        );
        let refresh = Credential { identity_token: "r&r".into(), ..Default::default() };
        let refresh = request("https://a/t", "", "s", Some(&refresh)).unwrap();
        assert_eq!(refresh.method(), "POST");
        assert_eq!(refresh.body(), "grant_type=refresh_token&client_id=sealane&refresh_token=r%26r&scope=s");
    }
}
