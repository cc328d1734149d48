//! A ClusterIP that lies in no ServiceCIDR.

use crate::cause::{Cause, Look};
use crate::finding::{Finding, Severity};
use crate::kind::Kind;
use crate::subject::Subject;
use crate::words::list;
use std::net::IpAddr;

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "cluster-ip-outside-range",
    title: "A ClusterIP lies in no ServiceCIDR",
    about: "ClusterIPs come from the ranges of the cluster's ServiceCIDRs. One from elsewhere (of an older range, or restored from another cluster) \
            may also be an address of something else, and routes and firewalls that know the ranges know nothing of it.",
    make: "# not on a cluster of sealane up: its API server gives out addresses of its ServiceCIDRs only, and a ServiceCIDR in use stays\n\
           kubectl create service clusterip web --tcp=80:8080 --clusterip=10.200.0.7",
    mend: "Make the Service anew without `clusterIP`, so that it gets one of the present range, or add a ServiceCIDR that holds the address.",
    needs: &[Kind::ServiceCidr],
    look: Look::Service(find),
};

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let ranges: Vec<&str> = subject
        .view
        .snapshot
        .service_cidrs
        .iter()
        .flat_map(|cidr| &cidr.spec.cidrs)
        .map(String::as_str)
        .collect();
    let spec = &subject.service.spec;
    if ranges.is_empty() || subject.service.is_external_name() {
        return Vec::new();
    }
    let first = std::slice::from_ref(&spec.cluster_ip);
    let addresses = if spec.cluster_ips.is_empty() { first } else { &spec.cluster_ips };
    let outside = addresses.iter().filter_map(|text| Some((text, text.parse::<IpAddr>().ok()?)));
    let outside = outside.filter(|(_, address)| !ranges.iter().any(|range| contains(range, *address)));
    outside.map(|(text, _)| finding(subject, text, &ranges)).collect()
}

fn finding(subject: &Subject<'_>, address: &str, ranges: &[&str]) -> Finding {
    let message = format!(
        "ClusterIP {address} of Service {} lies in no ServiceCIDR of the cluster ({}), so that nothing keeps it free from other use.",
        subject.name(),
        list(ranges)
    );
    CAUSE
        .finding(Severity::Warning, subject.object(), message)
        .evidence(format!("clusterIP: {address}"))
        .evidence(format!("ServiceCIDRs: {}", ranges.join(", ")))
        .fix("kubectl get servicecidrs")
}

/// Whether a range such as `10.96.0.0/16` holds the address; one that cannot be read holds all, since nothing can be said of it.
fn contains(range: &str, address: IpAddr) -> bool {
    let parsed = range
        .split_once('/')
        .and_then(|(base, length)| Some((base.parse::<IpAddr>().ok()?, length.parse::<u32>().ok()?)));
    let same = |base: u128, address: u128, bits: u32, length: u32| {
        length == 0 || bits.checked_sub(length).is_some_and(|shift| base >> shift == address >> shift)
    };
    match (parsed, address) {
        (None, _) => true,
        (Some((IpAddr::V4(base), length)), IpAddr::V4(address)) => {
            same(u32::from(base).into(), u32::from(address).into(), 32, length)
        }
        (Some((IpAddr::V6(base), length)), IpAddr::V6(address)) => {
            same(base.into(), address.into(), 128, length)
        }
        _ => false,
    }
}
