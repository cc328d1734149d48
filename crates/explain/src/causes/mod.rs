//! The table of causes. A new one is a file and a line here; its cases lie in `tests/cases/NAME.yml`.

mod dns;
mod nodes;
mod pods;
mod ports;
mod reach;
mod selector;

use crate::cause::Cause;

/// All causes, in the order of the documentation.
pub static CAUSES: &[&Cause] = &[
    // which Pods
    &selector::nothing::CAUSE,
    &selector::two_applications::CAUSE,
    &selector::none::CAUSE,
    &selector::stale_slices::CAUSE,
    // what they do
    &pods::scaled_to_zero::CAUSE,
    &pods::rollout_stuck::CAUSE,
    &pods::deployment_paused::CAUSE,
    &pods::unscheduled::CAUSE,
    &pods::image_pull::CAUSE,
    &pods::cannot_start::CAUSE,
    &pods::crash_loop::CAUSE,
    &pods::oom_killed::CAUSE,
    &pods::readiness_probe_port::CAUSE,
    &pods::not_ready::CAUSE,
    &pods::readiness_gate::CAUSE,
    &pods::publishes_not_ready::CAUSE,
    &pods::all_terminating::CAUSE,
    // ports
    &ports::target_port_not_served::CAUSE,
    &ports::listens_on_loopback::CAUSE,
    &ports::protocol_mismatch::CAUSE,
    &ports::named_port_missing::CAUSE,
    &ports::named_port_partly_missing::CAUSE,
    &ports::target_port_undeclared::CAUSE,
    &ports::slice_port_name_differs::CAUSE,
    &ports::app_protocol_contradicts::CAUSE,
    // reach
    &reach::cluster_ip_outside_range::CAUSE,
    &reach::port_taken::CAUSE,
    &reach::external_traffic_local::CAUSE,
    &reach::internal_traffic_local::CAUSE,
    &reach::hints_starve_zone::CAUSE,
    &reach::affinity_behind_one_address::CAUSE,
    &reach::network_policy_denies::CAUSE,
    &reach::load_balancer_refused::CAUSE,
    &reach::load_balancer_class_unknown::CAUSE,
    &reach::load_balancer_pending::CAUSE,
    &reach::headless_port_differs::CAUSE,
    &reach::external_name_is_address::CAUSE,
    &reach::external_name_has_port::CAUSE,
    &reach::external_name_unresolvable::CAUSE,
    // DNS
    &dns::no_endpoints::CAUSE,
    &dns::namespace_shadows_domain::CAUSE,
    &dns::name_too_long::CAUSE,
    &dns::ndots::CAUSE,
    &dns::host_network::CAUSE,
    // nodes
    &nodes::not_ready::CAUSE,
    &nodes::proxy_lags::CAUSE,
];
