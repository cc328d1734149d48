//! `/metrics`: what the requests were and how long they took, in Prometheus' text form, named as in kube-apiserver.

use super::path::Info;
use crate::ApiServer;
use crate::http::answer::{self, Response};
use crate::http::{IN_FLIGHT_MAX, Query};
use crate::kinds::{self, KINDS};
use crate::registry::key::resource_prefix;
use http::Method;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The upper bounds of the latencies' buckets, in seconds.
const BUCKETS: &[f64] = &[
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0,
    20.0, 30.0, 45.0, 60.0,
];

/// What a request was, as far as it is counted. What is not served counts as nothing in particular, so that nobody can
/// make series without end.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Series {
    verb: &'static str,
    group: &'static str,
    version: &'static str,
    resource: &'static str,
    subresource: &'static str,
    scope: &'static str,
}

impl Series {
    /// The series of a request; `info` names nothing if its path means nothing.
    pub(super) fn of(method: &Method, info: &Info, query: &Query, content_type: &str) -> Self {
        let Some(kind) = kinds::find(&info.group, &info.version, &info.plural) else {
            return Self { verb: verb(method, info, query, content_type), ..Self::default() };
        };
        let below = kind.subresources.iter().find(|s| s.name() == info.subresource);
        Self {
            verb: verb(method, info, query, content_type),
            group: kind.group,
            version: kind.versions.iter().find(|v| **v == info.version).copied().unwrap_or_default(),
            resource: kind.plural,
            subresource: below.map(|s| s.name()).unwrap_or_default(),
            scope: match (info.name.is_empty(), info.namespace.is_empty()) {
                (false, _) => "resource",
                (true, false) => "namespace",
                (true, true) => "cluster",
            },
        }
    }

    /// Whether it lasts as long as its client likes.
    fn is_long(&self) -> bool {
        matches!(self.verb, "WATCH" | "CONNECT") || self.subresource == "log"
    }

    fn labels(&self) -> String {
        let Self { verb, group, version, resource, subresource, scope } = self;
        format!(
            "component=\"apiserver\",group=\"{group}\",resource=\"{resource}\",scope=\"{scope}\",\
             subresource=\"{subresource}\",verb=\"{verb}\",version=\"{version}\""
        )
    }
}

fn verb(method: &Method, info: &Info, query: &Query, content_type: &str) -> &'static str {
    let named = !info.name.is_empty();
    match method.as_str() {
        _ if matches!(info.subresource.as_str(), "exec" | "attach" | "portforward" | "proxy") => "CONNECT",
        "GET" | "HEAD" if info.resource && !named && query.flag("watch") => "WATCH",
        "GET" | "HEAD" if info.resource && !named => "LIST",
        "GET" | "HEAD" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" if crate::patch::is_apply(content_type) => "APPLY",
        "PATCH" => "PATCH",
        "DELETE" if info.resource && !named => "DELETECOLLECTION",
        "DELETE" => "DELETE",
        _ => "other",
    }
}

#[derive(Debug, Default)]
struct Latency {
    /// Requests by bucket, the last one for what took longer than all.
    counts: [u64; BUCKETS.len() + 1],
    sum: Duration,
}

/// What was counted since the start.
#[derive(Debug, Default)]
pub(crate) struct Metrics(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    requests: BTreeMap<(Series, u16), u64>,
    latencies: BTreeMap<Series, Latency>,
}

impl Metrics {
    /// Counts a request that has been answered (the head of the answer is there).
    pub(super) fn count(&self, series: Series, code: u16, took: Duration) {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counted.requests.entry((series.clone(), code)).or_default() += 1;
        if !series.is_long() {
            let seconds = took.as_secs_f64();
            let at = BUCKETS.iter().position(|bound| seconds <= *bound).unwrap_or(BUCKETS.len());
            let latency = counted.latencies.entry(series).or_default();
            latency.counts[at] += 1;
            latency.sum += took;
        }
    }

    fn write(&self, out: &mut String) {
        let counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = "apiserver_request_total";
        head(out, name, "counter", "Requests by verb, resource, scope and HTTP status.");
        for ((series, code), count) in &counted.requests {
            line(out, format_args!("{name}{{code=\"{code}\",{}}} {count}", series.labels()));
        }
        let name = "apiserver_request_duration_seconds";
        head(
            out,
            name,
            "histogram",
            "Seconds until the head of the answer; watches and streams are left out.",
        );
        for (series, latency) in &counted.latencies {
            let labels = series.labels();
            let mut sum = 0;
            for (count, bound) in latency.counts.iter().zip(BUCKETS) {
                sum += count;
                line(out, format_args!("{name}_bucket{{{labels},le=\"{bound}\"}} {sum}"));
            }
            let all: u64 = latency.counts.iter().sum();
            line(out, format_args!("{name}_bucket{{{labels},le=\"+Inf\"}} {all}"));
            line(out, format_args!("{name}_sum{{{labels}}} {}", latency.sum.as_secs_f64()));
            line(out, format_args!("{name}_count{{{labels}}} {all}"));
        }
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    line(out, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("a String takes all that is written");
}

impl ApiServer {
    /// The answer to `GET /metrics`.
    pub(super) fn metrics(&self) -> Response {
        let mut out = String::new();
        self.metrics.write(&mut out);
        let name = "apiserver_current_inflight_requests";
        head(&mut out, name, "gauge", "Requests from sockets that are being answered.");
        let under_way = IN_FLIGHT_MAX - self.in_flight.available_permits();
        line(&mut out, format_args!("{name} {under_way}"));
        let name = "apiserver_storage_objects";
        head(&mut out, name, "gauge", "Stored objects by kind.");
        for kind in KINDS.iter().filter(|k| k.stored && k.group == k.storage_group) {
            let prefix = resource_prefix(kind.group, kind.plural);
            let Ok(range) = self.registry.store.range(&prefix, None, 0, None) else { continue };
            let resource = kind.qualified_plural();
            line(&mut out, format_args!("{name}{{resource=\"{resource}\"}} {}", range.entries.len()));
        }
        answer::bytes(200, "text/plain; version=0.0.4; charset=utf-8", out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(method: &str, uri: &str) -> [&'static str; 5] {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let info = Info::parse(path).unwrap_or_default();
        let s = Series::of(&method, &info, &Query::parse(query), "application/apply-patch+yaml");
        [s.verb, s.group, s.resource, s.subresource, s.scope]
    }

    #[test]
    fn requests_have_series() {
        for (method, uri, expected) in [
            ("GET", "/api/v1/pods", ["LIST", "", "pods", "", "cluster"]),
            ("GET", "/api/v1/namespaces/x/pods?watch=1", ["WATCH", "", "pods", "", "namespace"]),
            ("GET", "/api/v1/namespaces/x/pods/p", ["GET", "", "pods", "", "resource"]),
            ("POST", "/api/v1/namespaces/x/pods/p/exec", ["CONNECT", "", "pods", "exec", "resource"]),
            (
                "PATCH",
                "/apis/apps/v1/namespaces/x/deployments/d/scale",
                ["APPLY", "apps", "deployments", "scale", "resource"],
            ),
            (
                "DELETE",
                "/apis/apps/v1/namespaces/x/deployments",
                ["DELETECOLLECTION", "apps", "deployments", "", "namespace"],
            ),
            ("GET", "/api/v1/namespaces/x/nothings/p", ["GET", "", "", "", ""]),
            ("GET", "/version", ["GET", "", "", "", ""]),
            ("BREW", "/coffee", ["other", "", "", "", ""]),
        ] {
            assert_eq!(series(method, uri), expected, "{method} {uri}");
        }
    }

    #[test]
    fn latencies_fall_into_buckets() {
        let metrics = Metrics::default();
        for ms in [1, 5, 30, 70_000] {
            metrics.count(Series { verb: "GET", ..Series::default() }, 200, Duration::from_millis(ms));
        }
        metrics.count(Series { verb: "WATCH", ..Series::default() }, 200, Duration::from_secs(9));
        let mut text = String::new();
        metrics.write(&mut text);
        for (part, count) in [("le=\"0.005\"", 2), ("le=\"0.05\"", 3), ("le=\"60\"", 3), ("le=\"+Inf\"", 4)] {
            let line = text.lines().find(|l| l.contains(part)).unwrap();
            assert!(line.ends_with(&format!(" {count}")), "{line}");
        }
        assert_eq!(text.lines().filter(|l| l.contains("verb=\"WATCH\"")).count(), 1, "{text}");
    }
}
