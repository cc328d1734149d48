//! Containers that take more memory than they may.

use super::affected;
use crate::cause::{Cause, Look};
use crate::finding::Finding;
use crate::fix;
use crate::objects::Pod;
use crate::state::State;
use crate::subject::Subject;
use crate::words::pods as names;

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "oom-killed",
    title: "A container is killed for the memory it takes",
    about: "The kernel kills a container that takes more memory than its limit; it says OOMKilled, and exit code 137. The container is \
            started again, and killed again, and its Pod gets no traffic meanwhile.",
    make: "kubectl create deployment web --image=localhost/hello:4.1 --port=8080\n\
           kubectl set resources deployment web --limits=memory=3Mi\n\
           kubectl expose deployment web --port=80 --target-port=8080",
    mend: "Give the container a higher memory limit, or make it take less.",
    needs: &[],
    look: Look::Service(find),
};

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let groups = affected::by(subject, |state, pod| match state {
        State::OomKilled(status) => Some((status.name.as_str(), limit(pod, &status.name))),
        _ => None,
    });
    let finding = |((container, limit), pods): ((&str, Option<&str>), Vec<&Pod>)| {
        let some = affected::some(subject, &pods, "runs out of memory", "run out of memory");
        let why = match limit {
            Some(limit) => {
                format!("container {container} is killed for taking more than its limit of {limit}")
            }
            None => {
                format!("container {container}, which has no limit, is killed since its node has no more")
            }
        };
        CAUSE
            .finding(subject.severity(), subject.object(), format!("{some}: {why}."))
            .evidence(format!("{}, container {container} ended with OOMKilled", names(&pods)))
            .fix(mend(subject, pods[0], container, limit))
    };
    groups.into_iter().map(finding).collect()
}

fn limit<'a>(pod: &'a Pod, container: &str) -> Option<&'a str> {
    let container = pod.spec.containers.iter().find(|c| c.name == container)?;
    container.resources.limits.get("memory").map(String::as_str)
}

fn mend(subject: &Subject<'_>, pod: &Pod, container: &str, limit: Option<&str>) -> String {
    let higher = limit.and_then(twice).zip(fix::maker(subject.view, pod));
    match higher {
        Some((twice, maker)) => {
            subject.kubectl(&format!("set resources {maker} -c {container} --limits=memory={twice}"))
        }
        None => fix::describe(pod),
    }
}

/// Twice a quantity: `64Mi` becomes `128Mi`.
fn twice(quantity: &str) -> Option<String> {
    let unit = quantity.find(|c: char| !c.is_ascii_digit()).unwrap_or(quantity.len());
    let (number, unit) = quantity.split_at(unit);
    let twice = number.parse::<u64>().ok()?.checked_mul(2)?;
    unit.chars().all(char::is_alphabetic).then(|| format!("{twice}{unit}"))
}
