//! The query string, and percent-encoding.

use crate::status::ApiError;

/// The parameters of a request, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Parses `a=b&c`.
    pub(crate) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|p| !p.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(&name.replace('+', " ")), decode(&value.replace('+', " ")))
        });
        Self(pairs.collect())
    }

    /// The first value of a parameter that is not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_str())
    }

    /// A parameter as text; empty if absent.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// A parameter that is `true` or `1`; a bare name is true, too.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.optional_flag(name) == Some(true)
    }

    /// A flag, or `None` if it is not given.
    pub(crate) fn optional_flag(&self, name: &str) -> Option<bool> {
        let (_, value) = self.0.iter().find(|(n, _)| n == name)?;
        Some(!matches!(value.as_str(), "false" | "0" | "False" | "FALSE" | "f" | "F"))
    }

    /// A number.
    ///
    /// # Errors
    /// 400 if it is none.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let error = |_| ApiError::bad_request(format!("the parameter {name} must be a number, not {text:?}"));
        text.parse().map(Some).map_err(error)
    }

    /// All pairs.
    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// Whether the write is a rehearsal.
    ///
    /// # Errors
    /// 422 for anything but `All`.
    pub(crate) fn dry_run(&self) -> Result<bool, ApiError> {
        match self.get("dryRun") {
            None => Ok(false),
            Some("All") => Ok(true),
            Some(other) => {
                let kind = crate::FieldErrorKind::NotSupported;
                let error = crate::FieldError::new(
                    kind,
                    "dryRun",
                    &serde_json::json!([other]),
                    "supported values: \"All\"",
                );
                Err(ApiError::invalid("meta.k8s.io", "CreateOptions", "", &[error]))
            }
        }
    }
}

/// Undoes percent-encoding; what is not valid stays as it is.
pub(crate) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = bytes.get(i + 1..i + 3).and_then(|h| std::str::from_utf8(h).ok());
        match (bytes[i], hex.and_then(|h| u8::from_str_radix(h, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                i += 3;
            }
            (byte, _) => {
                out.push(byte);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Percent-encodes what may not stand in a query's value.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let query = Query::parse("labelSelector=a%3Db%2Cc&watch&limit=5&x=%zz+y&follow=false");
        assert_eq!(query.text("labelSelector"), "a=b,c");
        assert!(query.flag("watch"));
        assert!(!query.flag("follow"));
        assert!(!query.flag("absent"));
        assert_eq!(query.number("limit").unwrap(), Some(5));
        assert_eq!(query.text("x"), "%zz y");
        assert_eq!(query.number("x").unwrap_err().code, 400);
        assert_eq!(decode(&encode("a b/ü%")), "a b/ü%");
    }
}
