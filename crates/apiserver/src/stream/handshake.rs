//! The handshake of a connection that is to be upgraded: a websocket (RFC 6455, KEP-4006) or SPDY/3.1, and the protocol within,
//! which is a subprotocol of the one and in `X-Stream-Protocol-Version` of the other.

use crate::http::Response;
use crate::http::answer;
use crate::status::ApiError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, header};

/// The header in which SPDY's clients offer protocols.
const STREAM_PROTOCOL: &str = "x-stream-protocol-version";

/// What a connection becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carrier {
    WebSocket,
    Spdy,
}

impl Carrier {
    /// As nodes call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::Spdy => "spdy",
        }
    }
}

/// A carrier and a protocol within.
pub(super) type Choice = (Carrier, &'static str);

/// What exec and attach are served over, the best first.
pub(super) const RUN: &[Choice] = &[
    (Carrier::WebSocket, "v5.channel.k8s.io"),
    (Carrier::WebSocket, "v4.channel.k8s.io"),
    (Carrier::Spdy, "v4.channel.k8s.io"),
];
/// What portforward is served over.
pub(super) const PORT_FORWARD: &[Choice] = &[
    (Carrier::WebSocket, "SPDY/3.1+portforward.k8s.io"),
    (Carrier::WebSocket, "v4.channel.k8s.io"),
    (Carrier::Spdy, "portforward.k8s.io"),
];

/// A handshake that can be answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Handshake {
    pub(super) carrier: Carrier,
    pub(super) protocol: &'static str,
    /// `Sec-WebSocket-Accept`; empty for SPDY.
    accept: String,
}

impl Handshake {
    /// What a client asks for, as far as it is served.
    ///
    /// # Errors
    /// 400 if it asks for no upgrade, 403 if nothing that it offers is served.
    pub(super) fn of(headers: &HeaderMap, served: &[Choice]) -> Result<Self, ApiError> {
        let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let upgrade = text("upgrade").to_lowercase();
        let key = text("sec-websocket-key");
        let (carrier, offers) = match upgrade.as_str() {
            "websocket" if !key.is_empty() && text("sec-websocket-version") == "13" => {
                (Carrier::WebSocket, "sec-websocket-protocol")
            }
            "spdy/3.1" => (Carrier::Spdy, STREAM_PROTOCOL),
            _ => return Err(ApiError::bad_request("Upgrade request required")),
        };
        let offered: Vec<&str> = headers
            .get_all(offers)
            .iter()
            .filter_map(|v| v.to_str().ok())
            .flat_map(|v| v.split(','))
            .map(str::trim)
            .collect();
        let mut protocols = served.iter().filter(|(c, _)| *c == carrier).map(|(_, p)| *p);
        let protocol = protocols.find(|p| offered.contains(p));
        let protocol = protocol.ok_or_else(|| none_served(&offered, carrier, served))?;
        let accept = if carrier == Carrier::WebSocket { accept_key(key) } else { String::new() };
        Ok(Self { carrier, protocol, accept })
    }

    /// The 101 (RFC 6455, 4.2.2).
    pub(super) fn response(&self) -> Response {
        let mut response = answer::bytes(101, "text/plain", "");
        let headers = response.headers_mut();
        headers.clear();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        let protocol = HeaderValue::from_static(self.protocol);
        match self.carrier {
            Carrier::WebSocket => {
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
                if let Ok(accept) = HeaderValue::from_str(&self.accept) {
                    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
                }
            }
            Carrier::Spdy => {
                headers.insert(header::UPGRADE, HeaderValue::from_static("SPDY/3.1"));
                headers.insert(STREAM_PROTOCOL, protocol);
            }
        }
        response
    }
}

fn none_served(offered: &[&str], carrier: Carrier, served: &[Choice]) -> ApiError {
    let served: Vec<&str> = served.iter().filter(|(c, _)| *c == carrier).map(|(_, p)| *p).collect();
    let why = format!(
        "unable to upgrade: unable to negotiate protocol: client supports {offered:?}, server supports {served:?}"
    );
    ApiError::new(403, "Forbidden", why)
}

/// RFC 6455, 4.2.2.
fn accept_key(key: &str) -> String {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(pairs: &[(&'static str, &str)], served: &[Choice]) -> Result<Choice, u16> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        Handshake::of(&headers, served).map(|h| (h.carrier, h.protocol)).map_err(|e| e.code)
    }

    #[test]
    fn the_best_protocol_that_both_speak_is_chosen() {
        let websocket = |protocols| {
            [
                ("upgrade", "websocket"),
                ("sec-websocket-version", "13"),
                ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
                ("sec-websocket-protocol", protocols),
            ]
        };
        let both = websocket("v4.channel.k8s.io, v5.channel.k8s.io");
        assert_eq!(chosen(&both, RUN), Ok((Carrier::WebSocket, "v5.channel.k8s.io")));
        assert_eq!(chosen(&both, PORT_FORWARD), Ok((Carrier::WebSocket, "v4.channel.k8s.io")));
        let tunnelled = websocket("SPDY/3.1+portforward.k8s.io");
        assert_eq!(chosen(&tunnelled, PORT_FORWARD), Ok((Carrier::WebSocket, "SPDY/3.1+portforward.k8s.io")));
        assert_eq!(chosen(&tunnelled, RUN), Err(403));
        assert_eq!(chosen(&both[..3], RUN), Err(403));
        assert_eq!(chosen(&[both[0], both[3]], RUN), Err(400));

        let spdy = ("upgrade", "SPDY/3.1");
        let offer = |protocol| (STREAM_PROTOCOL, protocol);
        let several = [spdy, offer("v4.channel.k8s.io"), offer("v3.channel.k8s.io"), offer("channel.k8s.io")];
        assert_eq!(chosen(&several, RUN), Ok((Carrier::Spdy, "v4.channel.k8s.io")));
        assert_eq!(chosen(&several[2..], RUN), Err(400));
        assert_eq!(chosen(&[spdy, offer("channel.k8s.io")], RUN), Err(403));
        assert_eq!(
            chosen(&[spdy, offer("portforward.k8s.io")], PORT_FORWARD),
            Ok((Carrier::Spdy, "portforward.k8s.io"))
        );
        assert_eq!(chosen(&[spdy], PORT_FORWARD), Err(403));
        assert_eq!(chosen(&[], RUN), Err(400));
    }

    #[test]
    fn a_websockets_key_is_answered() {
        // the example of RFC 6455, 1.3
        assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
