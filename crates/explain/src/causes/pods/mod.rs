//! What Pods do.

pub(super) mod all_terminating;
pub(super) mod cannot_start;
pub(super) mod crash_loop;
pub(super) mod deployment_paused;
pub(super) mod image_pull;
pub(super) mod not_ready;
pub(super) mod oom_killed;
pub(super) mod publishes_not_ready;
pub(super) mod readiness_gate;
pub(super) mod readiness_probe_port;
pub(super) mod rollout_stuck;
pub(super) mod scaled_to_zero;
pub(super) mod unscheduled;

mod affected;
