//! How probes begin with their containers, and what their results do to the state of a Pod.

use super::events::Severity;
use super::probe::worker::ProbeReport;
use super::probe::{self, ProbeKind};
use super::state::{containers, terminating};
use super::worker::{Message, Worker};

impl Worker {
    /// Starts the probes of a running container, as its state asks for.
    pub(super) fn begin_probes(&mut self, name: &str) {
        let Some(spec) = containers(&self.pod).find(|(_, c)| c.name == name).map(|(_, c)| c.clone()) else {
            return;
        };
        let Some(view) = self.state.containers.get_mut(name).filter(|v| v.running()) else { return };
        let Some(current) = view.current.clone() else { return };
        view.started |= spec.startup_probe.is_none();
        view.ready |= spec.readiness_probe.is_none();
        let (started, ready) = (view.started, view.ready);
        let target = self.target(&current.id, &spec);
        let kinds: &[(ProbeKind, bool)] = if started {
            &[(ProbeKind::Liveness, true), (ProbeKind::Readiness, ready)]
        } else {
            &[(ProbeKind::Startup, false)]
        };
        self.probes.retain(|(of, _), _| of != name);
        for (kind, opinion) in kinds {
            let Some(config) = kind.of(&spec) else { continue };
            let (runtime, me) = (self.context.runtime.clone(), self.me.clone());
            let running =
                probe::worker::spawn(*kind, config, target.clone(), *opinion, runtime, me, Message::Probe);
            self.probes.extend(running.map(|r| ((name.to_owned(), *kind), r)));
        }
        self.drop_probes_of_the_dying();
    }

    /// Takes a probe's result.
    pub(super) fn heed(&mut self, report: &ProbeReport) {
        let Some(view) = self.state.containers.get_mut(&report.container) else { return };
        if view.attempt != Some(report.attempt) || !view.running() {
            return;
        }
        if let Some(why) = &report.failure {
            let text = format!("{} probe failed: {why}", report.kind.title());
            let name = Some(report.container.as_str());
            self.context.recorder.pod(&self.pod, name, Severity::Warning, "Unhealthy", text);
        }
        match (report.kind, report.opinion) {
            (ProbeKind::Readiness, Some(opinion)) => view.ready = opinion,
            (ProbeKind::Startup, Some(true)) => {
                view.started = true;
                self.begin_probes(&report.container);
            }
            (ProbeKind::Startup | ProbeKind::Liveness, Some(false)) => {
                let kind = report.kind.title().to_lowercase();
                view.must_stop =
                    Some(format!("Container {} failed {kind} probe, will be restarted", report.container));
            }
            _ => {}
        }
    }

    /// What termination changes at once: only readiness is of interest from now on.
    pub(super) fn drop_probes_of_the_dying(&mut self) {
        if terminating(&self.pod, &self.state) {
            self.probes.retain(|(_, kind), _| *kind == ProbeKind::Readiness);
        }
    }
}
