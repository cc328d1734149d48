//! The task of one probe of one running container.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Probe;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::check::{Check, Target};
use super::{ProbeKind, Tally, Timing, early_pauses};
use crate::runtime::Runtime;

/// What a probe has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProbeReport {
    /// The probed attempt.
    pub(crate) container: String,
    /// Its number; reports about another one are void.
    pub(crate) attempt: u32,
    /// Which probe.
    pub(crate) kind: ProbeKind,
    /// Why one check failed; counts no threshold, is told as an event.
    pub(crate) failure: Option<String>,
    /// The new opinion, if it changed.
    pub(crate) opinion: Option<bool>,
}

/// One running probe; it ends when this is dropped.
pub(crate) type RunningProbe = AbortOnDropHandle<()>;

/// Starts a probe. Reports go through `reports` as `wrap` makes them.
pub(crate) fn spawn<M: Send + 'static>(
    kind: ProbeKind,
    probe: &Probe,
    target: Target,
    opinion: bool,
    runtime: Arc<dyn Runtime>,
    reports: mpsc::UnboundedSender<M>,
    wrap: fn(ProbeReport) -> M,
) -> Option<RunningProbe> {
    let check = if let Some(action) = &probe.http_get {
        Check::Http(action.clone())
    } else if let Some(action) = &probe.tcp_socket {
        Check::Tcp(action.clone())
    } else {
        Check::Exec(probe.exec.clone()?)
    };
    let timing = Timing::of(probe);
    let worker = Worker { kind, check, target, timing, runtime };
    Some(AbortOnDropHandle::new(tokio::spawn(async move {
        worker.run(opinion, |report| reports.send(wrap(report)).is_ok()).await;
    })))
}

struct Worker {
    kind: ProbeKind,
    check: Check,
    target: Target,
    timing: Timing,
    runtime: Arc<dyn Runtime>,
}

impl Worker {
    async fn run(self, opinion: bool, mut tell: impl FnMut(ProbeReport) -> bool) {
        tokio::time::sleep(self.timing.delay).await;
        let mut tally = Tally::new(self.timing, opinion);
        // An attempt that is ready already (the agent reattached) is past its beginning.
        let fresh = !opinion && self.kind != ProbeKind::Liveness;
        let mut early = fresh.then(|| early_pauses(self.timing.period)).into_iter().flatten();
        let start = tokio::time::Instant::now();
        let mut ticks = tokio::time::interval_at(start + self.timing.period, self.timing.period);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let result = self.check.run(&self.target, self.runtime.as_ref(), self.timing.timeout).await;
            let pause: Option<Duration> = early.next();
            if let (Some(pause), Err(_)) = (pause, &result) {
                tokio::time::sleep(pause).await;
                continue;
            }
            let opinion = tally.step(result.is_ok());
            let failure = result.err();
            if (failure.is_some() || opinion.is_some()) && !tell(self.report(failure, opinion)) {
                return;
            }
            if self.kind == ProbeKind::Startup && opinion == Some(true) {
                return;
            }
            early = None.into_iter().flatten();
            ticks.tick().await;
        }
    }

    fn report(&self, failure: Option<String>, opinion: Option<bool>) -> ProbeReport {
        let id = &self.target.id;
        ProbeReport { container: id.name.clone(), attempt: id.attempt, kind: self.kind, failure, opinion }
    }
}
