//! Services that send clients to Pods that are not ready.

use crate::cause::{Cause, Look};
use crate::finding::{Finding, Severity};
use crate::objects::Pod;
use crate::state::State;
use crate::subject::Subject;
use crate::words::{count, is, pods as names};

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "publishes-not-ready",
    title: "Clients are sent to Pods that are not ready",
    about: "With publishNotReadyAddresses a Service takes all of its Pods for ready. That is for the headless Service of a StatefulSet, \
            whose members look for each other before they are ready; clients of any other Service run into Pods that cannot serve them.",
    make: "kubectl create deployment web --image=localhost/hello:4.1 --port=8080 --replicas=2\n\
           kubectl expose deployment web --port=80 --target-port=8080\n\
           kubectl rollout status deployment web\n\
           kubectl patch service web -p '{\"spec\":{\"publishNotReadyAddresses\":true}}'\n\
           kubectl patch deployment web -p '{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"hello\",\"readinessProbe\":{\"httpGet\":{\"path\":\"/wrong\",\"port\":8080}}}]}}}}'",
    mend: "Take publishNotReadyAddresses away, or use a second Service, headless, for what needs it.",
    needs: &[],
    look: Look::Service(find),
};

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let unable = subject.pods_that(|state| {
        !matches!(
            state,
            State::Ready | State::Starting | State::Terminating | State::Finished | State::Unscheduled(_)
        )
    });
    let unable: Vec<&Pod> = unable.into_iter().filter(|pod| !pod.status.pod_ip.is_empty()).collect();
    let discovers = |pod: &&Pod| {
        let of_set =
            subject.view.pod(subject.namespace(), &pod.metadata.name).and_then(|p| subject.view.maker(p));
        pod.spec.subdomain == subject.name() || of_set.is_some_and(|(kind, _)| kind == "StatefulSet")
    };
    let headless = subject.service.is_headless();
    if !subject.service.spec.publish_not_ready_addresses
        || unable.is_empty()
        || (headless && subject.pods.iter().any(discovers))
    {
        return Vec::new();
    }
    let message = format!(
        "Service {} sends clients to {} of {}, though {} not ready: it has publishNotReadyAddresses.",
        subject.name(),
        unable.len(),
        count(subject.live().len(), "Pod"),
        if unable.len() == 1 { "that one is".to_owned() } else { format!("those {}", is(unable.len())) },
    );
    let severity = if headless { Severity::Hint } else { Severity::Warning };
    let finding = CAUSE
        .finding(severity, subject.object(), message)
        .evidence(format!("publishNotReadyAddresses: true; {}", names(&unable)))
        .fix(subject.patch(&serde_json::json!({"spec": {"publishNotReadyAddresses": false}})));
    vec![finding]
}
