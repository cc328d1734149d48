//! A selector that matches no Pod, with the nearest miss.

use super::near::near;
use crate::cause::{Cause, Look};
use crate::finding::{Finding, Severity};
use crate::subject::Subject;
use crate::words::{count, labels};

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "selector-matches-nothing",
    title: "The selector matches no Pod",
    about: "A Service is for the Pods that have *all* labels of its selector, in its own namespace. Where none has, the Service has an \
            address but nobody behind it: connections are refused.",
    make: "kubectl create deployment web --image=localhost/hello:4.1 --port=8080\n\
           kubectl create service clusterip web --tcp=80:8080\n\
           kubectl set selector service web app=webb",
    mend: "Give the Service the labels that the Pods have, or the Pods' template the labels that the Service asks for.",
    needs: &[],
    look: Look::Service(find),
};

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let selector = &subject.service.spec.selector;
    if subject.service.is_external_name() || selector.is_empty() || !subject.pods.is_empty() {
        return Vec::new();
    }
    if !subject.view.makes(subject.namespace(), selector).is_empty() {
        // It would select the Pods that this makes: why there are none is another cause.
        return Vec::new();
    }
    let there = subject.view.pods_of(subject.namespace()).len();
    let selects = format!("Service {} selects no Pod", subject.name());
    let evidence = format!("selector: {}", labels(selector));
    let finding = |message| CAUSE.finding(Severity::Error, subject.object(), message).evidence(&evidence);
    vec![match near(subject) {
        Some(miss) => finding(format!("{selects}: {}.", miss.sentence))
            .evidence(format!("nearest: {}", miss.evidence))
            .fix(miss.fix),
        None if there == 0 => {
            finding(format!("{selects}: there is none in namespace {}.", subject.namespace()))
                .fix(subject.kubectl("get deployments,pods --show-labels"))
        }
        None => finding(format!(
            "{selects}: none of the {} in namespace {} has {}.",
            count(there, "Pod"),
            subject.namespace(),
            if selector.len() == 1 { labels(selector) } else { format!("any of {}", labels(selector)) },
        ))
        .fix(subject.kubectl("get pods --show-labels")),
    }]
}
