//! What must hold for the `metadata` of every object.
//!
//! Texts and rules: `staging/src/k8s.io/apimachinery/pkg/util/validation/validation.go` and `pkg/api/validation/objectmeta.go`.

use super::object;
use crate::kinds::{Kind, NameRule};
use crate::status::{FieldError, FieldErrorKind};
use serde_json::{Value, json};

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
    start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
    alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
    validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or \
    '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end \
    with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
    '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex \
    used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
/// All annotations of an object together, in bytes.
const ANNOTATIONS_MAX: usize = 256 * 1024;

fn too_long(text: &str, max: usize, errors: &mut Vec<String>) {
    if text.len() > max {
        errors.push(format!("must be no more than {max} characters"));
    }
}

fn is_label(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    edge(text.chars().next())
        && edge(text.chars().last())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// What is wrong with an RFC 1123 label.
pub(crate) fn label_errors(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    too_long(text, 63, &mut errors);
    if !is_label(text) {
        errors.push(LABEL.to_owned());
    }
    errors
}

fn label_1035_errors(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    too_long(text, 63, &mut errors);
    if !is_label(text) || text.starts_with(|c: char| c.is_ascii_digit()) {
        errors.push(LABEL_1035.to_owned());
    }
    errors
}

/// What is wrong with an RFC 1123 subdomain.
pub(crate) fn subdomain_errors(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    too_long(text, 253, &mut errors);
    if !text.split('.').all(is_label) {
        errors.push(SUBDOMAIN.to_owned());
    }
    errors
}

fn is_qualified(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    edge(text.chars().next())
        && edge(text.chars().last())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// What is wrong with a key of a label or an annotation, or a finalizer: `[prefix/]name`.
pub(crate) fn qualified_name_errors(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    let name = match text.split_once('/') {
        None => text,
        Some((prefix, name)) => {
            if prefix.is_empty() {
                errors.push("prefix part must be non-empty".to_owned());
            } else {
                errors.extend(subdomain_errors(prefix).into_iter().map(|e| format!("prefix part {e}")));
            }
            name
        }
    };
    if name.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        errors.push("name part must be no more than 63 characters".to_owned());
    }
    if !is_qualified(name) {
        errors.push(QUALIFIED.to_owned());
    }
    errors
}

/// What is wrong with the value of a label.
pub(crate) fn label_value_errors(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    too_long(text, 63, &mut errors);
    if !text.is_empty() && !is_qualified(text) {
        errors.push(LABEL_VALUE.to_owned());
    }
    errors
}

fn name_errors(rule: NameRule, name: &str) -> Vec<String> {
    match rule {
        NameRule::Subdomain => subdomain_errors(name),
        NameRule::Label => label_errors(name),
        NameRule::Label1035 => label_1035_errors(name),
        NameRule::PathSegment => match name {
            "." | ".." => vec![format!("may not be '{name}'")],
            _ => ["/", "%"]
                .iter()
                .filter(|c| name.contains(**c))
                .map(|c| format!("may not contain '{c}'"))
                .collect(),
        },
        NameRule::Address => match name.parse::<std::net::IpAddr>() {
            Ok(ip) if ip.to_string() == name => Vec::new(),
            _ => vec!["must be in canonical form".to_owned()],
        },
    }
}

/// All that is wrong with the metadata of a new object.
pub(crate) fn validate_create(kind: &Kind, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let name = object::meta(object, "name");
    if name.is_empty() {
        errors.push(FieldError::required("metadata.name", "name or generateName is required"));
    } else {
        invalid(&mut errors, "metadata.name", name, name_errors(kind.names, name));
    }
    errors.extend(validate(object));
    errors
}

/// All that is wrong with metadata that may change.
pub(crate) fn validate(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let metadata = &object["metadata"];
    for (key, value) in metadata["labels"].as_object().into_iter().flatten() {
        invalid(&mut errors, "metadata.labels", key, qualified_name_errors(key));
        let value = value.as_str().unwrap_or_default();
        invalid(&mut errors, "metadata.labels", value, label_value_errors(value));
    }
    let mut size = 0;
    for (key, value) in metadata["annotations"].as_object().into_iter().flatten() {
        invalid(&mut errors, "metadata.annotations", key, qualified_name_errors(&key.to_lowercase()));
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > ANNOTATIONS_MAX {
        let detail = format!("may not be more than {ANNOTATIONS_MAX} bytes");
        errors.push(FieldError {
            field: "metadata.annotations".to_owned(),
            kind: FieldErrorKind::TooLong,
            value: String::new(),
            detail,
        });
    }
    for finalizer in object::finalizers(object) {
        invalid(&mut errors, "metadata.finalizers", &finalizer, qualified_name_errors(&finalizer));
    }
    errors.extend(owner_errors(&metadata["ownerReferences"]));
    errors
}

fn owner_errors(owners: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut controllers = 0;
    for owner in owners.as_array().into_iter().flatten() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if owner[field].as_str().unwrap_or_default().is_empty() {
                let detail =
                    if field == "apiVersion" { "version must not be empty" } else { "must not be empty" };
                errors.push(FieldError::invalid(
                    format!("metadata.ownerReferences.{field}"),
                    &owner[field],
                    detail,
                ));
            }
        }
        controllers += u32::from(owner["controller"] == json!(true));
    }
    if controllers > 1 {
        let detail = "Only one reference can have Controller set to true.";
        errors.push(FieldError::invalid("metadata.ownerReferences", owners, detail));
    }
    errors
}

fn invalid(errors: &mut Vec<FieldError>, field: &str, value: &str, details: Vec<String>) {
    errors.extend(details.into_iter().map(|detail| FieldError::invalid(field, &json!(value), detail)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_their_rule() {
        for (rule, good, bad) in [
            (NameRule::Subdomain, vec!["web", "1web", "web.v1", "a-b"], vec!["Web", "-a", "a_b", "a..b", ""]),
            (NameRule::Label, vec!["web", "1web"], vec!["web.v1", "a-"]),
            (NameRule::Label1035, vec!["web", "a-1"], vec!["1web", "web.v1", "A"]),
            (NameRule::PathSegment, vec!["system:node", "A b"], vec!["a/b", "..", "50%"]),
            (NameRule::Address, vec!["10.96.0.1", "fd00::1"], vec!["10.96.0.01", "fd00:0::1", "web"]),
        ] {
            for name in good {
                assert!(name_errors(rule, name).is_empty(), "{rule:?} {name}");
            }
            for name in bad {
                assert!(!name_errors(rule, name).is_empty(), "{rule:?} {name}");
            }
        }
    }

    #[test]
    fn all_errors_come_at_once() {
        let kind = crate::kinds::of("", "Service").unwrap();
        let object = json!({"metadata": {"name": "9x", "labels": {"a b": "c d"}, "finalizers": ["/x"],
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p"}]}});
        let errors = validate_create(kind, &object);
        let fields: Vec<&str> = errors.iter().map(|e| e.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "metadata.name",
                "metadata.labels",
                "metadata.labels",
                "metadata.finalizers",
                "metadata.ownerReferences.uid"
            ]
        );
        assert!(errors[0].detail.starts_with("a DNS-1035 label must consist"));
    }
}
