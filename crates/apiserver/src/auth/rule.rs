//! What a rule allows, and what a rule covers of another one. Pure.

use super::Attributes;
use crate::strategy::access::{has, strings};
use serde_json::{Value, json};

/// A PolicyRule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rule {
    verbs: Vec<String>,
    groups: Vec<String>,
    resources: Vec<String>,
    names: Vec<String>,
    urls: Vec<String>,
}

/// What a user may do, for SelfSubjectRulesReview.
#[derive(Debug, Clone, Default)]
pub struct ResolvedRules {
    pub(super) rules: Vec<Rule>,
}

impl ResolvedRules {
    /// `resourceRules` and `nonResourceRules` of the review's status.
    #[must_use]
    pub fn to_json(&self) -> (Value, Value) {
        let (urls, resources): (Vec<_>, Vec<_>) = self.rules.iter().partition(|rule| !rule.urls.is_empty());
        let list = |rules: Vec<&Rule>| rules.into_iter().map(Rule::to_json).collect::<Value>();
        (list(resources), list(urls))
    }
}

fn any(list: &[String], wanted: &str) -> bool {
    list.iter().any(|item| item == "*" || item == wanted)
}

impl Rule {
    pub(super) fn parse(rule: &Value) -> Self {
        let list = |key: &str| strings(rule, key).into_iter().map(str::to_owned).collect();
        Self {
            verbs: list("verbs"),
            groups: list("apiGroups"),
            resources: list("resources"),
            names: list("resourceNames"),
            urls: list("nonResourceURLs"),
        }
    }

    /// The rules of a role.
    pub(super) fn parse_all(role: &Value) -> Vec<Self> {
        let rules = role.get("rules").and_then(Value::as_array);
        rules.into_iter().flatten().filter(|rule| has(rule, "verbs")).map(Self::parse).collect()
    }

    /// Everything, as `system:masters` has it.
    pub(super) fn everything() -> [Self; 2] {
        let all = || vec!["*".to_owned()];
        let resources = Self { verbs: all(), groups: all(), resources: all(), ..Self::default() };
        [resources, Self { verbs: all(), urls: all(), ..Self::default() }]
    }

    pub(super) fn to_json(&self) -> Value {
        let mut rule = json!({"verbs": self.verbs});
        let parts = [
            ("apiGroups", &self.groups),
            ("resources", &self.resources),
            ("resourceNames", &self.names),
            ("nonResourceURLs", &self.urls),
        ];
        for (key, list) in parts.into_iter().filter(|(_, list)| !list.is_empty()) {
            rule[key] = json!(list);
        }
        rule
    }

    /// As Kubernetes writes a rule that somebody may not grant.
    pub(super) fn compact(&self) -> String {
        let parts = [
            ("APIGroups", &self.groups),
            ("Resources", &self.resources),
            ("ResourceNames", &self.names),
            ("NonResourceURLs", &self.urls),
            ("Verbs", &self.verbs),
        ];
        let shown = parts.iter().filter(|(_, list)| !list.is_empty());
        let shown: Vec<String> = shown.map(|(key, list)| format!("{key}:{}", json!(list))).collect();
        format!("{{{}}}", shown.join(", "))
    }

    /// Does the rule allow the request?
    pub(super) fn allows(&self, asked: &Attributes) -> bool {
        if !any(&self.verbs, &asked.verb) {
            return false;
        }
        if asked.resource.is_empty() {
            return self.allows_url(&asked.path);
        }
        any(&self.groups, &asked.group)
            && self.allows_resource(&asked.resource, &asked.subresource)
            && (self.names.is_empty() || self.names.contains(&asked.name))
    }

    fn allows_url(&self, path: &str) -> bool {
        let matches =
            |url: &String| url == path || url.strip_suffix('*').is_some_and(|start| path.starts_with(start));
        self.urls.iter().any(matches)
    }

    fn allows_resource(&self, resource: &str, subresource: &str) -> bool {
        self.resources.iter().any(|rule| match rule.split_once('/') {
            _ if rule == "*" => true,
            None => subresource.is_empty() && rule == resource,
            Some((of, sub)) => !subresource.is_empty() && sub == subresource && (of == "*" || of == resource),
        })
    }

    /// The rule in pieces of one verb, one group, one resource, one name or URL each.
    pub(super) fn pieces(&self) -> Vec<Self> {
        let one = |text: &String| vec![text.clone()];
        let names: Vec<Vec<String>> =
            if self.names.is_empty() { vec![Vec::new()] } else { self.names.iter().map(one).collect() };
        let mut pieces = Vec::new();
        for verb in &self.verbs {
            for group in &self.groups {
                for resource in &self.resources {
                    pieces.extend(names.iter().map(|names| Self {
                        verbs: one(verb),
                        groups: one(group),
                        resources: one(resource),
                        names: names.clone(),
                        urls: Vec::new(),
                    }));
                }
            }
            pieces.extend(self.urls.iter().map(|url| Self {
                verbs: one(verb),
                urls: one(url),
                ..Self::default()
            }));
        }
        pieces
    }

    /// Does having this rule mean having the piece?
    pub(super) fn covers(&self, piece: &Self) -> bool {
        let all = |have: &[String], want: &[String]| want.iter().all(|w| any(have, w));
        if !all(&self.verbs, &piece.verbs) {
            return false;
        }
        if !piece.urls.is_empty() {
            return piece.urls.iter().all(|url| self.allows_url(url));
        }
        let resource = |name: &String| {
            self.resources.contains(name) || {
                let (resource, subresource) = name.split_once('/').unwrap_or((name, ""));
                self.allows_resource(resource, subresource)
            }
        };
        let named = self.names.is_empty()
            || (!piece.names.is_empty() && piece.names.iter().all(|n| self.names.contains(n)));
        !piece.resources.is_empty()
            && all(&self.groups, &piece.groups)
            && piece.resources.iter().all(resource)
            && named
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(value: Value) -> Rule {
        Rule::parse(&value)
    }

    fn ask(verb: &str, group: &str, resource: &str, name: &str) -> Attributes {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let own = str::to_owned;
        Attributes {
            verb: own(verb),
            group: own(group),
            resource: own(resource),
            subresource: own(subresource),
            name: own(name),
            ..Attributes::default()
        }
    }

    #[test]
    fn resources() {
        let pods = rule(
            json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods", "*/scale"], "resourceNames": []}),
        );
        for (asked, allowed) in [
            (ask("get", "", "pods", "a"), true),
            (ask("list", "", "pods", ""), false),
            (ask("get", "apps", "pods", "a"), false),
            (ask("get", "", "pods/log", "a"), false),
            (ask("get", "", "services/scale", "a"), true),
            (ask("get", "", "services", "a"), false),
        ] {
            assert_eq!(pods.allows(&asked), allowed, "{asked:?}");
        }
        let named =
            rule(json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "resourceNames": ["a"]}));
        assert!(named.allows(&ask("get", "x", "y/z", "a")));
        assert!(!named.allows(&ask("list", "x", "y", "")));
    }

    #[test]
    fn urls() {
        let urls = rule(json!({"verbs": ["get"], "nonResourceURLs": ["/api", "/apis/*"]}));
        for (path, allowed) in [("/api", true), ("/api/v1", false), ("/apis/apps/v1", true), ("/", false)] {
            let asked = Attributes { verb: "get".into(), path: path.into(), ..Attributes::default() };
            assert_eq!(urls.allows(&asked), allowed, "{path}");
        }
    }

    #[test]
    fn covering() {
        let owner =
            rule(json!({"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "services"]}));
        for (wanted, covered) in [
            (json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods", "services"]}), true),
            (
                json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]}),
                true,
            ),
            (json!({"verbs": ["*"], "apiGroups": [""], "resources": ["pods"]}), false),
            (json!({"verbs": ["get"], "apiGroups": ["apps"], "resources": ["pods"]}), false),
            (json!({"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"]}), false),
            (json!({"verbs": ["get"], "nonResourceURLs": ["/x"]}), false),
        ] {
            assert_eq!(
                rule(wanted.clone()).pieces().iter().all(|piece| owner.covers(piece)),
                covered,
                "{wanted}"
            );
        }
        let named =
            rule(json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]}));
        assert!(!named.covers(&rule(json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}))));
    }
}
