//! What form of an answer a client takes.

use crate::status::ApiError;
use http::HeaderMap;

/// The forms of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The object or list itself.
    Object,
    /// A Table of printed columns.
    Table,
    /// Metadata only.
    Metadata,
}

/// One media type of an `Accept` header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Media {
    /// `application/json`.
    pub(crate) name: String,
    /// `Table`.
    pub(crate) kind: String,
    /// `meta.k8s.io`.
    pub(crate) group: String,
    /// `v1`.
    pub(crate) version: String,
}

/// All that an `Accept` header names, in order; empty: anything.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wants(pub(crate) Vec<Media>);

impl Wants {
    /// What the headers name.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let texts = headers.get_all(http::header::ACCEPT).iter().filter_map(|v| v.to_str().ok());
        Self(texts.flat_map(|t| t.split(',')).filter(|t| !t.trim().is_empty()).map(media).collect())
    }

    /// The first form that can be given.
    ///
    /// # Errors
    /// 406 if only others are taken.
    pub(crate) fn form(&self) -> Result<Form, ApiError> {
        if self.0.is_empty() {
            return Ok(Form::Object);
        }
        self.0.iter().find_map(form).ok_or_else(not_acceptable)
    }

    /// Whether plain JSON will do.
    pub(crate) fn json(&self) -> Result<(), ApiError> {
        let fits = |m: &Media| is_json(m) && m.kind.is_empty();
        if self.0.is_empty() || self.0.iter().any(fits) { Ok(()) } else { Err(not_acceptable()) }
    }
}

fn not_acceptable() -> ApiError {
    ApiError::new(406, "NotAcceptable", "only the following media types are accepted: application/json")
}

fn is_json(media: &Media) -> bool {
    matches!(media.name.as_str(), "application/json" | "application/*" | "*/*")
}

fn form(media: &Media) -> Option<Form> {
    if !is_json(media) {
        return None;
    }
    let meta = media.group == "meta.k8s.io" && matches!(media.version.as_str(), "v1" | "v1beta1");
    match media.kind.as_str() {
        "" => Some(Form::Object),
        "Table" if meta => Some(Form::Table),
        "PartialObjectMetadata" | "PartialObjectMetadataList" if meta => Some(Form::Metadata),
        _ => None,
    }
}

fn media(text: &str) -> Media {
    let mut parts = text.split(';').map(str::trim);
    let mut media = Media { name: parts.next().unwrap_or_default().to_lowercase(), ..Media::default() };
    for part in parts {
        match part.split_once('=') {
            Some(("as", v)) => v.clone_into(&mut media.kind),
            Some(("g", v)) => v.clone_into(&mut media.group),
            Some(("v", v)) => v.clone_into(&mut media.version),
            _ => {}
        }
    }
    media
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_form_that_fits_is_taken() {
        for (accept, expected) in [
            ("", Some(Form::Object)),
            ("application/json, */*", Some(Form::Object)),
            ("application/vnd.kubernetes.protobuf,application/json", Some(Form::Object)),
            ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", Some(Form::Table)),
            ("application/json;as=Table;v=v9;g=meta.k8s.io,application/json", Some(Form::Object)),
            ("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", Some(Form::Metadata)),
            ("application/vnd.kubernetes.protobuf", None),
            ("application/com.github.proto-openapi.spec.v2@v1.0+protobuf", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("accept", accept.parse().unwrap());
            assert_eq!(Wants::of(&headers).form().ok(), expected, "{accept}");
        }
    }
}
