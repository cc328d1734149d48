//! An ExternalName that is an address.

use crate::cause::{Cause, Look};
use crate::finding::{Finding, Severity};
use crate::subject::Subject;
use std::net::IpAddr;

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "external-name-is-address",
    title: "An ExternalName is an IP address",
    about: "An ExternalName becomes a CNAME record, and a CNAME points to a name: clients get no address from it.",
    make: "kubectl create service externalname db --external-name=10.1.2.3",
    mend: "Use a Service without selector, and an EndpointSlice made by hand that holds the address.",
    needs: &[],
    look: Look::Service(find),
};

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let name = subject.service.spec.external_name.trim_end_matches('.');
    if !subject.service.is_external_name() || name.parse::<IpAddr>().is_err() {
        return Vec::new();
    }
    let service = subject.name();
    let message = format!(
        "Service {service} stands for the name {name}, which is an IP address: DNS answers with a CNAME, and nobody can resolve that one."
    );
    let finding = CAUSE
        .finding(Severity::Error, subject.object(), message)
        .evidence(format!("externalName: {}", subject.service.spec.external_name))
        .fix(subject.kubectl(&format!(
            "delete service {service} && kubectl -n {0} create service clusterip {service} --clusterip=None && kubectl -n {0} set selector service {service} --local=false",
            subject.namespace()
        )));
    vec![finding]
}
