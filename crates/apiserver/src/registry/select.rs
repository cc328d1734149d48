//! Label and field selectors: parsing, and matching stored bytes.
//!
//! Grammar: `staging/src/k8s.io/apimachinery/pkg/labels/selector.go`, `pkg/fields/selector.go`.

use crate::kinds::Kind;
use crate::status::ApiError;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// What a label must be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
    Greater(i64),
    Less(i64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    /// The path in the stored object, as a JSON pointer.
    pointer: String,
    value: String,
    equal: bool,
}

/// A label selector and a field selector; both empty selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<Field>,
}

#[derive(Deserialize)]
struct Labelled {
    metadata: Labels,
}

#[derive(Deserialize)]
struct Labels {
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

impl Selector {
    /// Parses the parameters `labelSelector` and `fieldSelector` of a request for `kind`.
    pub(crate) fn parse(kind: &Kind, labels: &str, fields: &str) -> Result<Self, ApiError> {
        Ok(Self { labels: parse_labels(labels)?, fields: parse_fields(kind, fields)? })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether the stored object is selected. What cannot be read is not.
    pub(crate) fn matches(&self, stored: &[u8]) -> bool {
        if self.is_empty() {
            return true;
        }
        if self.fields.is_empty() {
            let Ok(object) = serde_json::from_slice::<Labelled>(stored) else { return false };
            return self.labels_match(&object.metadata.labels.unwrap_or_default());
        }
        serde_json::from_slice::<Value>(stored).is_ok_and(|object| self.matches_object(&object))
    }

    fn matches_object(&self, object: &Value) -> bool {
        let labels: BTreeMap<String, String> = object["metadata"]["labels"]
            .as_object()
            .map(|m| m.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect())
            .unwrap_or_default();
        self.labels_match(&labels)
            && self.fields.iter().all(|f| (field(object, &f.pointer) == f.value) == f.equal)
    }

    fn labels_match(&self, labels: &BTreeMap<String, String>) -> bool {
        self.labels.iter().all(|r| {
            let value = labels.get(&r.key);
            let number = || value.and_then(|v| v.parse::<i64>().ok());
            match &r.test {
                Test::In(values) => value.is_some_and(|v| values.contains(v)),
                Test::NotIn(values) => !value.is_some_and(|v| values.contains(v)),
                Test::Exists => value.is_some(),
                Test::Absent => value.is_none(),
                Test::Greater(n) => number().is_some_and(|v| v > *n),
                Test::Less(n) => number().is_some_and(|v| v < *n),
            }
        })
    }
}

/// A field as a selector sees it: a missing boolean is `false`, anything else that is missing is empty.
fn field(object: &Value, pointer: &str) -> String {
    match object.pointer(pointer) {
        Some(Value::String(s)) => s.clone(),
        Some(Value::Null) | None => match pointer {
            "/spec/unschedulable" | "/spec/hostNetwork" => "false".to_owned(),
            "/status/replicas" => "0".to_owned(),
            _ => String::new(),
        },
        Some(other) => other.to_string(),
    }
}

fn parse_fields(kind: &Kind, text: &str) -> Result<Vec<Field>, ApiError> {
    let terms = split_fields(text);
    terms.iter().filter(|t| !t.is_empty()).map(|term| parse_field(kind, text, term)).collect()
}

/// Splits at commas that are not escaped.
fn split_fields(text: &str) -> Vec<String> {
    let (mut terms, mut escaped) = (vec![String::new()], false);
    for c in text.chars() {
        if c == ',' && !escaped {
            terms.push(String::new());
            continue;
        }
        escaped = c == '\\' && !escaped;
        if let Some(last) = terms.last_mut() {
            last.push(c);
        }
    }
    terms
}

fn parse_field(kind: &Kind, text: &str, term: &str) -> Result<Field, ApiError> {
    let bad = || ApiError::bad_request(format!("invalid selector: '{text}'; can't understand '{term}'"));
    let (path, value, equal) = match term.find('=').ok_or_else(bad)? {
        i if term[..i].ends_with('!') => (&term[..i - 1], &term[i + 1..], false),
        i => (&term[..i], term[i + 1..].strip_prefix('=').unwrap_or(&term[i + 1..]), true),
    };
    let value = value.replace("\\,", ",").replace("\\=", "=").replace("\\\\", "\\");
    if !matches!(path, "metadata.name" | "metadata.namespace") && !kind.fields.contains(&path) {
        return Err(ApiError::bad_request(format!("field label not supported: {path}")));
    }
    let stored = match path {
        "reportingController" => "reportingComponent".to_owned(),
        "source" => "source.component".to_owned(),
        _ => path.replacen("regarding.", "involvedObject.", 1),
    };
    Ok(Field { pointer: format!("/{}", stored.replace('.', "/")), value, equal })
}

fn parse_labels(text: &str) -> Result<Vec<Requirement>, ApiError> {
    let mut terms = Vec::new();
    let (mut start, mut depth) = (0, 0u32);
    for (i, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                terms.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    terms.into_iter().map(|t| parse_label(t.trim())).collect()
}

fn parse_label(term: &str) -> Result<Requirement, ApiError> {
    let bad = |why: &str| ApiError::bad_request(format!("unable to parse requirement: {why} in \"{term}\""));
    let requirement = |key: &str, test| {
        let key = key.trim();
        match super::meta::qualified_name_errors(key).first() {
            Some(why) => Err(bad(&format!("label key \"{key}\": {why}"))),
            None => Ok(Requirement { key: key.to_owned(), test }),
        }
    };
    if let Some(key) = term.strip_prefix('!') {
        return requirement(key, Test::Absent);
    }
    let number = |text: &str| text.trim().parse::<i64>().map_err(|_| bad("a number is wanted"));
    if let Some(end) = term.strip_suffix(')') {
        let (head, list) = end.split_once('(').ok_or_else(|| bad("found ')' without '('"))?;
        let values: Vec<String> = list.split(',').map(|v| v.trim().to_owned()).collect();
        check_values(&values).map_err(|why| bad(&why))?;
        return match head.trim().rsplit_once(char::is_whitespace) {
            Some((key, "in")) => requirement(key, Test::In(values)),
            Some((key, "notin")) => requirement(key, Test::NotIn(values)),
            _ => Err(bad("expected 'in' or 'notin' before '('")),
        };
    }
    if let Some((key, value)) = term.split_once("!=") {
        let values = vec![value.trim().to_owned()];
        check_values(&values).map_err(|why| bad(&why))?;
        return requirement(key, Test::NotIn(values));
    }
    if let Some((key, value)) = term.split_once('=') {
        let values = vec![value.strip_prefix('=').unwrap_or(value).trim().to_owned()];
        check_values(&values).map_err(|why| bad(&why))?;
        return requirement(key, Test::In(values));
    }
    if let Some((key, value)) = term.split_once('>') {
        return requirement(key, Test::Greater(number(value)?));
    }
    if let Some((key, value)) = term.split_once('<') {
        return requirement(key, Test::Less(number(value)?));
    }
    requirement(term, Test::Exists)
}

fn check_values(values: &[String]) -> Result<(), String> {
    match values.iter().find_map(|v| super::meta::label_value_errors(v).into_iter().next().map(|e| (v, e))) {
        Some((value, why)) => Err(format!("label value \"{value}\": {why}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn selects(labels: &str, fields: &str, object: &Value) -> bool {
        let pod = crate::kinds::of("", "Pod").unwrap();
        Selector::parse(pod, labels, fields).unwrap().matches(&serde_json::to_vec(object).unwrap())
    }

    #[test]
    fn selectors_select() {
        let pod = json!({"metadata": {"name": "p", "labels": {"app": "web", "n": "5", "k8s.io/x": ""}},
            "spec": {"nodeName": "node-1"}, "status": {"phase": "Running"}});
        for (labels, fields, expected) in [
            ("", "", true),
            ("app=web", "", true),
            ("app==web,n=5", "", true),
            ("app!=web", "", false),
            ("other!=web", "", true),
            ("app in (a, web)", "", true),
            ("app notin (a,web)", "", false),
            ("other notin (a)", "", true),
            ("app,!other", "", true),
            ("!app", "", false),
            ("k8s.io/x=", "", true),
            ("n>4,n<6", "", true),
            ("n>5", "", false),
            ("app in (a,b),n", "", false),
            ("", "spec.nodeName=node-1,status.phase!=Failed", true),
            ("", "spec.nodeName=", false),
            ("", "metadata.name==p", true),
            ("app=web", "metadata.name=q", false),
            ("", "spec.hostNetwork=false", true),
        ] {
            assert_eq!(selects(labels, fields, &pod), expected, "{labels:?} {fields:?}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let pod = crate::kinds::of("", "Pod").unwrap();
        for labels in ["a b", "=x", "a in b", "a in (x", "a>x", ",", "a=b c", "a in (x))"] {
            assert_eq!(Selector::parse(pod, labels, "").unwrap_err().code, 400, "{labels:?}");
        }
        for fields in ["metadata.name", "spec.foo=x"] {
            assert_eq!(Selector::parse(pod, "", fields).unwrap_err().code, 400, "{fields:?}");
        }
    }
}
