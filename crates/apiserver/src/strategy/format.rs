//! The formats of keys, ports and addresses, with the texts of
//! `staging/src/k8s.io/apimachinery/pkg/util/validation`. Each check returns what is wrong, or nothing.

pub(crate) use crate::registry::meta::{
    label_errors as dns_label, label_value_errors as label_value, qualified_name_errors as qualified_name,
    subdomain_errors as dns_subdomain,
};
use crate::status::{FieldError, FieldErrorKind};
use serde_json::{Value, json};
use std::net::IpAddr;

const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. \
    'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

fn too_long(text: &str, max: usize) -> Option<String> {
    (text.len() > max).then(|| format!("must be no more than {max} characters"))
}

/// `IsConfigMapKey`.
pub(crate) fn config_key(text: &str) -> Vec<String> {
    let mut wrong: Vec<String> = too_long(text, 253).into_iter().collect();
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
        wrong.push(CONFIG_KEY.into());
    }
    if text == "." || text == ".." {
        wrong.push(format!("must not be '{text}'"));
    } else if text.starts_with("..") {
        wrong.push("must not start with '..'".into());
    }
    wrong
}

/// `IsValidPortNum`.
pub(crate) fn port_number(port: i64) -> Vec<String> {
    if (1..=65535).contains(&port) {
        Vec::new()
    } else {
        vec!["must be between 1 and 65535, inclusive".into()]
    }
}

/// `IsValidPortName`: a named port of a container.
pub(crate) fn port_name(text: &str) -> Vec<String> {
    let mut wrong: Vec<String> = too_long(text, 15).into_iter().collect();
    if !text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') || text.is_empty() {
        wrong.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".into());
    }
    if !text.bytes().any(|b| b.is_ascii_lowercase()) {
        wrong.push("must contain at least one letter (a-z)".into());
    }
    if text.contains("--") {
        wrong.push("must not contain consecutive hyphens".into());
    }
    if text.starts_with('-') || text.ends_with('-') {
        wrong.push("must not begin or end with a hyphen".into());
    }
    wrong
}

/// An error for each thing that is wrong with the text at a field.
pub(crate) fn at_field(field: &str, text: &str, wrong: Vec<String>) -> Vec<FieldError> {
    wrong.into_iter().map(|why| FieldError::invalid(field, &json!(text), why)).collect()
}

/// `ValidatePortNumOrName` of an int-or-string.
pub(crate) fn port_or_name(field: &str, value: &Value) -> Vec<FieldError> {
    match value.as_str() {
        Some(name) => at_field(field, name, port_name(name)),
        None => {
            let port = value.as_i64().unwrap_or_default();
            port_number(port).into_iter().map(|w| FieldError::invalid(field, &json!(port), w)).collect()
        }
    }
}

/// `ValidateLabels`: labels and equality selectors.
pub(crate) fn labels(field: &str, labels: &Value) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    for (key, value) in labels.as_object().into_iter().flatten() {
        wrong.extend(at_field(field, key, qualified_name(key)));
        let value = value.as_str().unwrap_or_default();
        wrong.extend(at_field(field, value, label_value(value)));
    }
    wrong
}

/// `IsValidIP`.
pub(crate) fn ip(field: &str, text: &str) -> Vec<FieldError> {
    let why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
    if text.parse::<IpAddr>().is_ok() {
        Vec::new()
    } else {
        vec![FieldError::invalid(field, &json!(text), why)]
    }
}

/// `IsValidCIDR`.
pub(crate) fn cidr(field: &str, text: &str) -> Vec<FieldError> {
    let why = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
    if parse_cidr(text).is_some() { Vec::new() } else { vec![FieldError::invalid(field, &json!(text), why)] }
}

/// An address and a prefix length that fits its family.
pub(crate) fn parse_cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let length: u8 = length.parse().ok()?;
    (length <= if address.is_ipv4() { 32 } else { 128 }).then_some((address, length))
}

/// `ValidateNonSpecialIP`: addresses that may stand in Endpoints and `externalIPs`.
pub(crate) fn non_special_ip(field: &str, text: &str) -> Vec<FieldError> {
    let Ok(ip) = text.parse::<IpAddr>() else {
        return vec![FieldError::invalid(field, &json!(text), "must be a valid IP address")];
    };
    let (link_local, multicast) = match ip {
        IpAddr::V4(v4) => (v4.is_link_local(), v4.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(v6) => (v6.is_unicast_link_local(), v6.segments()[0] & 0xff0f == 0xff02),
    };
    let checks = [
        (ip.is_unspecified(), "may not be unspecified (0.0.0.0 or ::)"),
        (ip.is_loopback(), "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        (link_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        (multicast, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"),
    ];
    checks
        .iter()
        .filter(|(bad, _)| *bad)
        .map(|(_, why)| FieldError::invalid(field, &json!(text), *why))
        .collect()
}

/// `Unsupported value` if the text is none of the supported ones (to be given in alphabetical order).
pub(crate) fn one_of(field: &str, text: &str, supported: &[&str]) -> Option<FieldError> {
    (!supported.contains(&text)).then(|| not_supported(field, text, supported))
}

/// `Required value` if the text is empty, `Unsupported value` if it is none of the supported ones.
pub(crate) fn required_one_of(field: &str, text: &str, supported: &[&str]) -> Option<FieldError> {
    if text.is_empty() { Some(FieldError::required(field, "")) } else { one_of(field, text, supported) }
}

/// `Unsupported value`.
pub(crate) fn not_supported(field: &str, text: &str, supported: &[&str]) -> FieldError {
    let list: Vec<String> = supported.iter().map(|s| format!("\"{s}\"")).collect();
    let detail = format!("supported values: {}", list.join(", "));
    FieldError::new(FieldErrorKind::NotSupported, field, &json!(text), detail)
}

/// `Duplicate value`.
pub(crate) fn duplicate(field: &str, value: &Value) -> FieldError {
    FieldError::new(FieldErrorKind::Duplicate, field, value, "")
}

/// `Invalid value: …: field is immutable`.
pub(crate) fn immutable(field: &str, new: &Value, old: &Value) -> Option<FieldError> {
    (new != old).then(|| FieldError::invalid(field, new, "field is immutable"))
}

/// `ValidateNonnegativeField`.
pub(crate) fn non_negative(field: &str, value: i64) -> Option<FieldError> {
    (value < 0).then(|| FieldError::invalid(field, &json!(value), "must be greater than or equal to 0"))
}
