//! Hints that leave a zone with few endpoints.

use crate::cause::{Cause, Look};
use crate::finding::{Finding, Severity};
use crate::kind::Kind;
use crate::objects::Endpoint;
use crate::subject::Subject;
use crate::words::count;
use serde_json::json;
use std::collections::BTreeMap;

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "hints-starve-zone",
    title: "Hints leave a zone with few Pods",
    about: "Hints in EndpointSlices (of `trafficDistribution`, or topology aware routing) keep clients in their zone. Where a zone has many nodes and few of \
            the Pods, those few get most of the load while others idle.",
    make: "# not on a cluster of sealane up: its nodes lie in no zones\n\
           kubectl create deployment web --image=localhost/hello:4.1 --port=8080 --replicas=4\n\
           kubectl expose deployment web --port=80 --target-port=8080\n\
           kubectl patch service web -p '{\"spec\":{\"trafficDistribution\":\"PreferClose\"}}'",
    mend: "Spread the Pods as the nodes are (topologySpreadConstraints), run more of them, or do without hints.",
    needs: &[Kind::Node],
    look: Look::Service(find),
};

/// With fewer endpoints than this, shares say little.
const ENOUGH: usize = 3;

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let ready: Vec<&Endpoint> = subject.endpoints().filter(|endpoint| endpoint.is_ready()).collect();
    // Proxies ignore hints unless every endpoint has one.
    if ready.len() < ENOUGH
        || zones(ready[0]).next().is_none()
        || ready.iter().any(|e| zones(e).next().is_none())
    {
        return Vec::new();
    }
    let mut endpoints: BTreeMap<&str, usize> = BTreeMap::new();
    ready
        .iter()
        .flat_map(|endpoint| zones(endpoint))
        .for_each(|zone| *endpoints.entry(zone).or_default() += 1);
    let hints: usize = endpoints.values().sum();
    let mut nodes: BTreeMap<&str, usize> = BTreeMap::new();
    let zoned = subject.view.routes.ready_nodes.iter().filter_map(|node| node.zone());
    zoned.for_each(|zone| *nodes.entry(zone).or_default() += 1);
    let all: usize = nodes.values().sum();
    // A zone without any is served by all of them.
    let starved = nodes.iter().filter_map(|(zone, nodes)| Some((zone, *nodes, *endpoints.get(zone)?)));
    let starved = starved.filter(|(_, nodes, endpoints)| nodes * hints >= 2 * endpoints * all);
    starved.map(|(zone, nodes, few)| finding(subject, zone, (nodes, all), (few, ready.len()))).collect()
}

fn zones(endpoint: &Endpoint) -> impl Iterator<Item = &str> {
    endpoint.hints.iter().flat_map(|hints| &hints.for_zones).map(|zone| zone.name.as_str())
}

fn finding(subject: &Subject<'_>, zone: &str, nodes: (usize, usize), endpoints: (usize, usize)) -> Finding {
    let name = subject.name();
    let message = format!(
        "Clients in zone {zone}, which has {} of {}, reach only {} of {} of Service {name}: its hints keep them in their zone.",
        nodes.0,
        count(nodes.1, "ready node"),
        endpoints.0,
        count(endpoints.1, "ready endpoint"),
    );
    let fix = match &subject.service.spec.traffic_distribution {
        Some(_) => subject.patch(&json!({"spec": {"trafficDistribution": null}})),
        None => subject.kubectl(&format!(
            "annotate service {name} service.kubernetes.io/topology-mode- service.kubernetes.io/topology-aware-hints-"
        )),
    };
    CAUSE
        .finding(Severity::Warning, subject.object(), message)
        .evidence(format!("hints for zone {zone}: {} of {} endpoints", endpoints.0, endpoints.1))
        .fix(fix)
}
