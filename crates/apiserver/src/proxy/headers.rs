//! The headers of proxied requests and answers. Pure.

use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue};

/// Headers that are about one connection (RFC 9110, 7.6.1).
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether a request asks for another protocol.
pub(super) fn asks_for_upgrade(headers: &HeaderMap) -> bool {
    let connection = headers.get_all(header::CONNECTION).iter().filter_map(|v| v.to_str().ok());
    let asks =
        connection.flat_map(|v| v.split(',')).any(|token| token.trim().eq_ignore_ascii_case("upgrade"));
    asks && headers.contains_key(header::UPGRADE)
}

/// Takes out what is between the client and this server: the connection's headers, and who the client is or pretends to be.
pub(super) fn clean_request(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
    headers.remove(header::AUTHORIZATION);
    let ours = |name: &HeaderName| {
        let name = name.as_str();
        name.starts_with("impersonate-") || name.starts_with("x-remote-") || name.starts_with("x-sealane-")
    };
    let ours: Vec<HeaderName> = headers.keys().filter(|name| ours(name)).cloned().collect();
    for name in ours {
        headers.remove(name);
    }
}

/// Takes out of an answer what is about the connection to the backend, and what would let other sites' scripts read pages
/// of this one.
pub(super) fn clean_answer(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
    for name in [
        header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        header::ACCESS_CONTROL_ALLOW_METHODS,
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
    ] {
        headers.remove(name);
    }
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .map(|name| name.trim().to_lowercase())
        .collect();
    for name in HOP_BY_HOP.iter().copied().chain(named.iter().map(String::as_str)) {
        headers.remove(name);
    }
}

/// Adds what tells the backend under which address it is seen.
pub(super) fn forwarded(headers: &mut HeaderMap, prefix: &str, rest: &str) {
    if let Ok(value) = HeaderValue::from_str(&format!("{prefix}{rest}")) {
        headers.insert(HeaderName::from_static("x-forwarded-uri"), value);
    }
}

/// Makes a redirect to the backend itself one to the same place behind `prefix`. `backend` is its address with the port,
/// `host` what the client calls this server.
pub(super) fn rewrite_location(location: &str, prefix: &str, backend: &str, host: &str) -> String {
    let (scheme, after) = match location.split_once("://") {
        Some((scheme, after)) if !scheme.contains(['/', '?', '#']) => (scheme, Some(after)),
        _ => ("", location.strip_prefix("//")),
    };
    let (authority, tail) = match after {
        Some(after) => after.split_at(after.find(['/', '?', '#']).unwrap_or(after.len())),
        None => ("", location),
    };
    let elsewhere = !authority.is_empty() && authority != backend && authority != host;
    if elsewhere || !tail.starts_with('/') {
        return location.to_owned();
    }
    let own = !authority.is_empty() && authority == host;
    let base = match (own, scheme) {
        (true, "") => format!("//{authority}"),
        (true, scheme) => format!("{scheme}://{authority}"),
        (false, _) => String::new(),
    };
    let prefix = if tail.starts_with(prefix) { "" } else { prefix };
    format!("{base}{prefix}{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn what_is_between_client_and_server_stays_there() {
        let mut headers = map(&[
            ("authorization", "Bearer x"),
            ("impersonate-user", "jane"),
            ("x-remote-group", "system:masters"),
            ("connection", "keep-alive, X-Hop"),
            ("x-hop", "1"),
            ("transfer-encoding", "chunked"),
            ("cookie", "a=b"),
            ("x-mine", "2"),
        ]);
        clean_request(&mut headers);
        assert_eq!(headers, map(&[("cookie", "a=b"), ("x-mine", "2")]));
        let mut headers = map(&[("access-control-allow-origin", "*"), ("upgrade", "h2c"), ("etag", "1")]);
        clean_answer(&mut headers);
        assert_eq!(headers, map(&[("etag", "1")]));
    }

    #[test]
    fn upgrades_are_asked_for_by_two_headers() {
        assert!(asks_for_upgrade(&map(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")])));
        assert!(!asks_for_upgrade(&map(&[("connection", "keep-alive"), ("upgrade", "websocket")])));
        assert!(!asks_for_upgrade(&map(&[("connection", "upgrade")])));
    }

    #[test]
    fn redirects_stay_behind_the_proxy() {
        let rewrite = |location: &str| {
            rewrite_location(location, "/api/v1/nodes/n/proxy", "10.0.0.1:80", "localhost:8001")
        };
        for (location, expected) in [
            ("/login?next=/", "/api/v1/nodes/n/proxy/login?next=/"),
            ("/", "/api/v1/nodes/n/proxy/"),
            ("http://10.0.0.1:80/a#b", "/api/v1/nodes/n/proxy/a#b"),
            ("http://localhost:8001/a", "http://localhost:8001/api/v1/nodes/n/proxy/a"),
            ("//localhost:8001/a", "//localhost:8001/api/v1/nodes/n/proxy/a"),
            ("/api/v1/nodes/n/proxy/a", "/api/v1/nodes/n/proxy/a"),
            ("https://example.com/a", "https://example.com/a"),
            ("//example.com/a", "//example.com/a"),
            ("next", "next"),
            ("?page=http://x/", "?page=http://x/"),
            ("http://10.0.0.1:80", "http://10.0.0.1:80"),
        ] {
            assert_eq!(rewrite(location), expected, "{location}");
        }
    }
}
