//! The ways to a Service.

pub(super) mod affinity_behind_one_address;
pub(super) mod cluster_ip_outside_range;
pub(super) mod external_name_has_port;
pub(super) mod external_name_is_address;
pub(super) mod external_name_unresolvable;
pub(super) mod external_traffic_local;
pub(super) mod headless_port_differs;
pub(super) mod hints_starve_zone;
pub(super) mod internal_traffic_local;
pub(super) mod load_balancer_class_unknown;
pub(super) mod load_balancer_pending;
pub(super) mod load_balancer_refused;
pub(super) mod network_policy_denies;
pub(super) mod port_taken;

mod local;
mod pending;
