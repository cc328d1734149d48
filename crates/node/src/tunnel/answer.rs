//! Answers of the node: bodies, and failures as Status objects.

use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt, Full};

use super::Body;

/// Why a request is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// The HTTP status code.
    code: u16,
    reason: &'static str,
    message: String,
}

impl Failure {
    /// 404.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self { code: 404, reason: "NotFound", message: message.into() }
    }

    /// 400.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self { code: 400, reason: "BadRequest", message: message.into() }
    }

    /// 502.
    pub(super) fn bad_gateway(message: impl Into<String>) -> Self {
        Self { code: 502, reason: "", message: message.into() }
    }

    /// 500.
    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self { code: 500, reason: "InternalError", message: message.into() }
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let status = serde_json::json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        });
        let mut response = Response::new(whole(status.to_string()));
        *response.status_mut() =
            http::StatusCode::from_u16(self.code).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
        set_type(&mut response, "application/json");
        response
    }
}

/// 200 with a text.
pub(super) fn text(content: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(whole(content));
    set_type(&mut response, "text/plain");
    response
}

/// 200 with a document.
pub(super) fn json(content: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(whole(content.to_string()));
    set_type(&mut response, "application/json");
    response
}

/// 200 with a body that comes bit by bit.
pub(super) fn stream(
    parts: impl futures::Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static,
) -> Response<Body> {
    use futures::TryStreamExt;
    let frames = parts.map_ok(hyper::body::Frame::data);
    let mut response = Response::new(http_body_util::StreamBody::new(frames).boxed_unsync());
    set_type(&mut response, "text/plain");
    response
}

fn whole(content: impl Into<Bytes>) -> Body {
    Full::new(content.into()).map_err(|never| match never {}).boxed_unsync()
}

fn set_type(response: &mut Response<Body>, kind: &'static str) {
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
}
