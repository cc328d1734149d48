//! What a path names: a resource or something else.
//!
//! `staging/src/k8s.io/apiserver/pkg/endpoints/request/requestinfo.go`.

use super::query::decode;
use crate::status::ApiError;

/// A path, taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Info {
    /// Whether it names a resource; else only the path counts.
    pub(crate) resource: bool,
    pub(crate) group: String,
    pub(crate) version: String,
    /// Empty for cluster scope and all namespaces.
    pub(crate) namespace: String,
    pub(crate) plural: String,
    pub(crate) name: String,
    pub(crate) subresource: String,
    /// What follows `…/proxy`, as it came: empty, or `/` and more.
    pub(crate) rest: String,
}

/// 404 for a path that means nothing.
pub(crate) fn nothing_there() -> ApiError {
    ApiError::new(404, "NotFound", "the server could not find the requested resource")
}

impl Info {
    /// Whether the answer may be long in coming, and so must not count among the requests that are worked on.
    pub(crate) fn takes_long(&self) -> bool {
        matches!(self.subresource.as_str(), "attach" | "exec" | "log" | "portforward" | "proxy")
    }

    /// Takes a path apart.
    pub(crate) fn parse(path: &str) -> Result<Self, ApiError> {
        let parts: Vec<String> = path.split('/').filter(|p| !p.is_empty()).map(decode).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
            ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
            _ => return Ok(Self::default()),
        };
        let (namespace, rest) = match rest {
            ["namespaces", _] | ["namespaces", _, "status" | "finalize"] => ("", rest),
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            _ => ("", rest),
        };
        let (plural, name, subresource, further) = match rest {
            [plural] => (*plural, "", "", 0),
            [plural, name] => (*plural, *name, "", 0),
            [plural, name, subresource] => (*plural, *name, *subresource, 0),
            [plural, name, "proxy", further @ ..] => (*plural, *name, "proxy", further.len()),
            _ => return Err(nothing_there()),
        };
        if [namespace, name].iter().any(|n| n.contains('/') || matches!(*n, "." | "..")) {
            return Err(nothing_there());
        }
        Ok(Self {
            resource: true,
            group: group.to_owned(),
            version: version.to_owned(),
            namespace: namespace.to_owned(),
            plural: plural.to_owned(),
            name: name.to_owned(),
            subresource: subresource.to_owned(),
            rest: if subresource == "proxy" { after(path, parts.len() - further) } else { String::new() },
        })
    }
}

/// What follows the first `count` parts of a path, not decoded.
fn after(path: &str, count: usize) -> String {
    let mut rest = path;
    for _ in 0..count {
        let part = rest.trim_start_matches('/');
        rest = part.find('/').map_or("", |end| &part[end..]);
    }
    rest.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(path: &str) -> [String; 6] {
        let i = Info::parse(path).unwrap();
        [i.group, i.version, i.namespace, i.plural, i.name, i.subresource]
    }

    #[test]
    fn what_follows_proxy_stays_as_it_came() {
        for (path, name, rest) in [
            ("/api/v1/namespaces/x/services/web/proxy", "web", ""),
            ("/api/v1/namespaces/x/services/web/proxy/", "web", "/"),
            ("/api/v1/namespaces/x/services/https:web:443/proxy/a%2Fb//c/", "https:web:443", "/a%2Fb//c/"),
            ("//api/v1/nodes/n%31/proxy/proxy/proxy", "n1", "/proxy/proxy"),
        ] {
            let info = Info::parse(path).unwrap();
            assert_eq!((&*info.subresource, &*info.name, &*info.rest), ("proxy", name, rest), "{path}");
        }
    }

    #[test]
    fn paths_are_taken_apart() {
        for (path, expected) in [
            ("/api/v1/pods", ["", "v1", "", "pods", "", ""]),
            ("/api/v1/namespaces", ["", "v1", "", "namespaces", "", ""]),
            ("/api/v1/namespaces/x", ["", "v1", "", "namespaces", "x", ""]),
            ("/api/v1/namespaces/x/finalize", ["", "v1", "", "namespaces", "x", "finalize"]),
            ("/api/v1/namespaces/x/services", ["", "v1", "x", "services", "", ""]),
            ("/api/v1/namespaces/x/pods/p/log", ["", "v1", "x", "pods", "p", "log"]),
            (
                "/apis/apps/v1/namespaces/x/deployments/d/scale",
                ["apps", "v1", "x", "deployments", "d", "scale"],
            ),
            (
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
                ["rbac.authorization.k8s.io", "v1", "", "clusterroles", "system:node", ""],
            ),
        ] {
            assert_eq!(parsed(path), expected, "{path}");
        }
        for path in ["/", "/api", "/api/v1", "/apis", "/apis/apps", "/apis/apps/v1", "/healthz", "/version"] {
            assert!(!Info::parse(path).unwrap().resource, "{path}");
        }
        for path in
            ["/api/v1/namespaces/x/pods/p/exec/y", "/api/v1/namespaces/..%2f/pods", "/api/v1/nodes/.."]
        {
            assert_eq!(Info::parse(path).unwrap_err().code, 404, "{path}");
        }
    }
}
