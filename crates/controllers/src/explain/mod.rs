//! What is wrong with a Service becomes an Event on it, so that `kubectl describe service` shows the sentence that `sealane
//! explain` would say. Only errors, only what lasts, and each now and then: nobody asked.
//!
//! A namespace is looked at when something in it has changed, and never so often that it would take more than a small share of a core.

mod notes;
mod snapshot;

use crate::cluster::Cluster;
use crate::objects::{Key, Object, Objects, lock};
use crate::queue::{Next, Queue};
use crate::recorder::Note;
use crate::{Error, objects};
use notes::{Due, Notes};
use sealane_explain::{Severity, View, check};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Who says so, in every Event.
const COMPONENT: &str = "sealane-explain";
/// Changes come in flocks: they are looked at together.
const SETTLE: Duration = Duration::from_secs(3);
/// After a look of so long there is none for this many times as long.
const SHARE: u32 = 20;
/// What is known from an Event has been said.
const SAID_ELSEWHERE: &[&str] = &["port-taken", "load-balancer-refused"];

/// What is remembered between two looks.
struct Looks {
    queue: Queue<String>,
    notes: Mutex<HashMap<String, Notes>>,
    /// How long to wait after a change, in milliseconds.
    settle: AtomicU64,
}

/// Registers for changes; the future works until `shutdown`.
pub(crate) fn start(cluster: &Arc<Cluster>, shutdown: CancellationToken) -> impl Future<Output = ()> + use<> {
    let settle = AtomicU64::new(millis(SETTLE));
    let looks = Arc::new(Looks { queue: Queue::new("explain"), notes: Mutex::default(), settle });
    follow(&looks, &cluster.services);
    follow(&looks, &cluster.pods);
    follow(&looks, &cluster.endpoint_slices);
    follow(&looks, &cluster.deployments);
    let cluster = cluster.clone();
    async move {
        cluster.synced().await;
        looks.queue.run(1, &shutdown, |namespace| look(&cluster, &looks, namespace)).await;
    }
}

fn follow<K: Object>(looks: &Arc<Looks>, objects: &Objects<K>) {
    let looks = looks.clone();
    objects.on_change(move |change: &objects::Change<K>| {
        let pause = Duration::from_millis(looks.settle.load(Ordering::Relaxed));
        looks.queue.add_after(change.key.namespace.clone(), pause);
    });
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Looks at one namespace, and says what is due.
async fn look(cluster: &Arc<Cluster>, looks: &Looks, namespace: String) -> Result<Next, Error> {
    if cluster.services.in_namespace(&namespace).is_empty() {
        lock(&looks.notes).remove(&namespace);
        return Ok(Next::Wait);
    }
    let snapshot = snapshot::of(cluster, &namespace).await?;
    let began = Instant::now();
    let findings = check(&View::new(&snapshot), Some(&namespace));
    let wrong = findings.into_iter().filter(|finding| {
        let own = finding.object.kind == "Service" && finding.object.namespace == namespace;
        own && finding.severity == Severity::Error && !SAID_ELSEWHERE.contains(&finding.cause)
    });
    let wrong = wrong.map(|finding| ((finding.object.name, finding.cause), finding.message)).collect();
    let settle = SETTLE.max(began.elapsed().saturating_mul(SHARE));
    looks.settle.store(millis(settle), Ordering::Relaxed);
    let (due, again) = {
        let mut notes = lock(&looks.notes);
        notes.entry(namespace.clone()).or_default().due(wrong, Instant::now())
    };
    for Due { service, cause, message } in due {
        if let Some(service) = cluster.services.get(&Key::new(&namespace, &service)) {
            cluster.record(COMPONENT, &*service, [Note::warning(reason(cause), message)]);
        }
    }
    Ok(again.map_or(Next::Wait, Next::After))
}

/// `selector-matches-nothing` as an Event's reason: `SelectorMatchesNothing`.
fn reason(cause: &str) -> String {
    let capital = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_uppercase() + rest
    };
    cause.split('-').map(capital).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_said_elsewhere_is_a_cause() {
        let causes: Vec<&str> = sealane_explain::CAUSES.iter().map(|cause| cause.name).collect();
        assert!(super::SAID_ELSEWHERE.iter().all(|name| causes.contains(name)), "{causes:?}");
    }

    #[test]
    fn reasons_are_written_as_kubernetes_writes_them() {
        assert_eq!(super::reason("selector-matches-nothing"), "SelectorMatchesNothing");
        assert_eq!(super::reason("ndots"), "Ndots");
    }
}
