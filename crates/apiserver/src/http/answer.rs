//! Answers: JSON bodies, `Status` objects, `Warning` headers.

use super::Request;
use crate::status::ApiError;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderValue, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use std::io::Write as _;

/// Smaller answers are not worth the time, as in Kubernetes.
const COMPRESS_FROM: usize = 128 * 1024;

/// Any error of a body.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// The body of an answer.
pub(crate) type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, BoxError>;
/// An answer.
pub(crate) type Response = http::Response<Body>;

/// A body of known bytes.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// An answer with a body of some type.
pub(crate) fn bytes(code: u16, content_type: &'static str, body: impl Into<Bytes>) -> Response {
    stream(code, content_type, full(body))
}

/// An answer whose body comes bit by bit.
pub(crate) fn stream(code: u16, content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

/// A JSON answer.
pub(crate) fn value(code: u16, value: &Value) -> Response {
    bytes(code, "application/json", value.to_string())
}

/// A JSON answer, packed if it is large and the client takes that.
pub(crate) async fn compressed(request: &Request, body: Bytes) -> Response {
    let takes = request.header("accept-encoding").split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        parts.next() == Some("gzip") && parts.all(|part| !matches!(part, "q=0" | "q=0.0"))
    });
    if !takes || request.nearby || body.len() < COMPRESS_FROM {
        return bytes(200, "application/json", body);
    }
    let plain = body.clone();
    let packed = tokio::task::spawn_blocking(move || {
        let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 8), Compression::fast());
        encoder.write_all(&plain).and_then(|()| encoder.finish())
    });
    let Ok(Ok(packed)) = packed.await else { return bytes(200, "application/json", body) };
    let mut response = bytes(200, "application/json", packed);
    response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    response
}

/// An error as a `Status`.
pub(crate) fn error(error: &ApiError) -> Response {
    let mut response = value(error.code, &error.to_status());
    if matches!(error.code, 429 | 504) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// The `Status` of a success.
pub(crate) fn success(details: &Value) -> Value {
    let mut status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"});
    if !details.is_null() {
        status["details"] = details.clone();
    }
    status
}

/// Adds `Warning` headers (RFC 7234, code 299), each text once.
pub(crate) fn warn(mut response: Response, warnings: &[String]) -> Response {
    for (i, text) in warnings.iter().enumerate() {
        if warnings[..i].contains(text) {
            continue;
        }
        let quoted: String = text
            .chars()
            .filter(|c| !c.is_control())
            .flat_map(|c| if matches!(c, '"' | '\\') { vec!['\\', c] } else { vec![c] })
            .collect();
        if let Ok(header) = HeaderValue::from_bytes(format!("299 - \"{quoted}\"").as_bytes()) {
            response.headers_mut().append(header::WARNING, header);
        }
    }
    response
}
