//! A load balancer that its controller could not give, by its own word.

use super::pending::{Pending, meanwhile, pending};
use crate::cause::{Cause, Look};
use crate::finding::{Finding, Severity};
use crate::kind::Kind;
use crate::subject::Subject;

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "load-balancer-refused",
    title: "The load balancer's controller says why there is none",
    about: "Who makes load balancers (MetalLB, Cilium, a cloud's controller) says on the Service why it could not: a pool without free addresses, \
            a quota, an address that it does not own.",
    make: "# not on a cluster of sealane up: it takes a controller such as MetalLB, with an empty pool\n\
           kubectl create service loadbalancer web --tcp=80:8080",
    mend: "Do what the controller asks for: another pool, more addresses, a quota.",
    needs: &[Kind::Event],
    look: Look::Service(find),
};

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let Some(Pending::Refused { why, said, show }) = pending(subject) else { return Vec::new() };
    let name = subject.name();
    let message = format!("Service {name} gets no load balancer: {why}{}.", meanwhile(subject));
    let finding = CAUSE.finding(Severity::Error, subject.object(), message).evidence(said).fix(show);
    vec![finding]
}
