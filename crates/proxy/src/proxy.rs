//! The steps of the proxy without its loop: from a Snapshot to the kernel, only what changed; and back to what was
//! planned after a change by someone else.

use crate::apply::{ApplyFailure, Backend};
use crate::config::Config;
use crate::plan::{Finding, Layout, Options, ServicePlan, Update, plan_service};
use sealane_model::{NodeView, ServiceName, ServiceView, Snapshot};
use sealane_nft::diff;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A check of the whole table takes at most this part of the time.
const CHECK_SHARE: u32 = 20;

/// What the proxy has done, and has to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// The last Snapshot is in the kernel.
    pub synced: bool,
    /// Services in it.
    pub services: usize,
    /// Since when there is a Snapshot that may not be in the kernel: since the proxy began, since the first
    /// one came after that in the kernel, or since a failure; `None` while the kernel is up to date.
    pub behind_since: Option<Instant>,
    /// How long the last synchronisation took, planning included.
    pub last_sync: Duration,
    /// Transactions so far.
    pub transactions: u64,
    /// Times that the table was put right after a change by someone else.
    pub repairs: u64,
    /// What is wrong with single Services.
    pub findings: Vec<Finding>,
    /// The last failure, until a synchronisation succeeds.
    pub error: Option<String>,
}

impl Status {
    /// How long the kernel has been behind the last Snapshot; zero if it is up to date.
    #[must_use]
    pub fn behind(&self, now: Instant) -> Duration {
        self.behind_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

/// The proxy of one node without its loop: every step is synchronous.
#[derive(Debug)]
pub struct Proxy<B> {
    pub(crate) config: Config,
    backend: B,
    planned: Option<Planned>,
    findings: BTreeMap<ServiceName, Vec<Finding>>,
    status: Status,
    next_check: Instant,
}

/// What is in the kernel, and from what it was made.
#[derive(Debug)]
struct Planned {
    layout: Layout,
    snapshot: Arc<Snapshot>,
    node: NodeView,
    options: Options,
}

impl<B: Backend> Proxy<B> {
    /// A proxy that has done nothing yet.
    pub fn new(config: Config, backend: B) -> Self {
        let now = Instant::now();
        Self {
            config,
            backend,
            planned: None,
            findings: BTreeMap::new(),
            status: Status { behind_since: Some(now), ..Status::default() },
            next_check: now,
        }
    }

    /// What was done.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Notes that the kernel is behind, unless it is already.
    pub(crate) fn fall_behind(&mut self, since: Instant) {
        self.status.behind_since.get_or_insert(since);
    }

    /// Brings the kernel to this Snapshot: only what changed since the last, or all after a start, a failure or a
    /// change of the node. Incomplete Snapshots are passed over.
    ///
    /// # Errors
    /// The kernel did not do it; the next call starts from what the kernel holds.
    pub fn sync(&mut self, snapshot: &Arc<Snapshot>) -> Result<(), ApplyFailure> {
        if !snapshot.complete {
            return Ok(());
        }
        let start = Instant::now();
        self.fall_behind(start);
        let node = self.node(snapshot);
        let options = self.config.options(&node);
        let planned = self.planned.take().filter(|p| p.options == options && p.node == node);
        let done = match planned {
            Some(planned) => self.advance(planned, snapshot),
            None => self.start_over(snapshot, node, options),
        };
        self.status.last_sync = start.elapsed();
        self.status.services = snapshot.services.len();
        self.finish(done)
    }

    /// If someone else changed a ruleset, reads ours back and puts right what differs.
    ///
    /// # Errors
    /// The kernel did not do it.
    pub fn check(&mut self) -> Result<(), ApplyFailure> {
        let Some(planned) = self.planned.take() else { return Ok(()) };
        let start = Instant::now();
        if start < self.next_check {
            self.planned = Some(planned);
            return Ok(());
        }
        let done = self.repair(&planned);
        self.next_check = Instant::now() + start.elapsed() * CHECK_SHARE;
        self.finish(done.map(|()| planned))
    }

    fn finish(&mut self, done: Result<Planned, ApplyFailure>) -> Result<(), ApplyFailure> {
        match done {
            Ok(planned) => {
                let conflicts = planned.layout.findings();
                self.status.findings = self.findings.values().flatten().cloned().chain(conflicts).collect();
                self.planned = Some(planned);
                self.status.synced = true;
                self.status.behind_since = None;
                self.status.error = None;
                Ok(())
            }
            Err(failure) => {
                self.status.synced = false;
                self.fall_behind(Instant::now());
                self.status.error = Some(failure.to_string());
                Err(failure)
            }
        }
    }

    /// The node, without what the plan does not depend on.
    fn node(&self, snapshot: &Snapshot) -> NodeView {
        let known = snapshot.nodes.get(self.config.node_name.as_str()).map(|node| (**node).clone());
        let known = known.filter(|node| !node.addresses.is_empty() || self.config.node_addresses.is_empty());
        let node = known.unwrap_or_else(|| self.config.provisional_node());
        NodeView { ready: true, pod_cidrs: Vec::new(), ..node }
    }

    fn start_over(
        &mut self,
        snapshot: &Arc<Snapshot>,
        node: NodeView,
        options: Options,
    ) -> Result<Planned, ApplyFailure> {
        let there = self.backend.read()?;
        let mut layout = Layout::new(options.clone(), there.as_ref());
        self.findings.clear();
        let views = snapshot.services.iter();
        let plans: Vec<_> =
            views.map(|(name, view)| (name, self.plan(name, view, &node, &options))).collect();
        plans.iter().for_each(|(name, plan)| layout.claim(name, plan));
        let set = |(name, plan)| layout.set_service(name, Some(plan)).stale;
        let mut stale: Vec<_> = plans.into_iter().flat_map(set).collect();
        stale.extend(layout.settle());
        let changes = diff(there.as_ref(), layout.table());
        if !changes.is_empty() {
            self.backend.write(&changes)?;
            self.status.transactions += 1;
            self.backend.forget(&stale)?;
        }
        Ok(Planned { layout, snapshot: snapshot.clone(), node, options })
    }

    fn advance(&mut self, mut planned: Planned, snapshot: &Arc<Snapshot>) -> Result<Planned, ApplyFailure> {
        let mut all = Update::default();
        for name in snapshot.changed_services(&planned.snapshot) {
            let Planned { layout, node, options, .. } = &mut planned;
            let update = self.replan(layout, snapshot, &name, node, options);
            all.changes.extend(update.changes);
            all.stale.extend(update.stale);
        }
        if !all.changes.is_empty() {
            self.backend.write(&all.changes)?;
            self.status.transactions += 1;
            self.backend.forget(&all.stale)?;
        }
        planned.snapshot = snapshot.clone();
        Ok(planned)
    }

    fn replan(
        &mut self,
        layout: &mut Layout,
        snapshot: &Snapshot,
        name: &ServiceName,
        node: &NodeView,
        options: &Options,
    ) -> Update {
        let Some(view) = snapshot.services.get(name) else {
            self.findings.remove(name);
            return layout.set_service(name, None);
        };
        let plan = self.plan(name, view, node, options);
        layout.set_service(name, Some(plan))
    }

    /// The plan of one Service; what is wrong with it is kept for the status.
    fn plan(
        &mut self,
        name: &ServiceName,
        view: &ServiceView,
        node: &NodeView,
        options: &Options,
    ) -> ServicePlan {
        let (plan, findings) = plan_service(view, node, options);
        if findings.is_empty() {
            self.findings.remove(name);
            return plan;
        }
        for finding in &findings {
            let (namespace, name) = (&name.namespace, &name.name);
            tracing::warn!(%namespace, %name, reason = finding.reason, "{}", finding.message);
        }
        self.findings.insert(name.clone(), findings);
        plan
    }

    fn repair(&mut self, planned: &Planned) -> Result<(), ApplyFailure> {
        if !self.backend.changed_by_others()? {
            return Ok(());
        }
        let there = self.backend.read()?;
        let changes = diff(there.as_ref(), planned.layout.table());
        if changes.is_empty() {
            return Ok(());
        }
        tracing::warn!(changes = changes.len(), "someone else changed our table: putting it right");
        self.backend.write(&changes)?;
        self.status.transactions += 1;
        self.status.repairs += 1;
        Ok(())
    }
}
