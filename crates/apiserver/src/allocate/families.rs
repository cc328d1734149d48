//! `ipFamilyPolicy` and `ipFamilies` as Kubernetes fills them in (`initIPFamilyFields` of
//! `pkg/registry/core/service/storage/alloc.go`).

use super::cidr::Family;
use crate::status::{ApiError, FieldError};
use crate::strategy::access::{at, set};
use crate::strategy::service::{ServiceView, validate_addresses};
use serde_json::{Value, json};

const POLICY: &str = "spec.ipFamilyPolicy";

/// Fills in policy and families, or says why they do not fit this cluster, whose families are `configured`, the
/// default one first.
pub(super) fn initialize(
    new: &mut Value,
    old: Option<&Value>,
    configured: &[Family],
) -> Result<(), ApiError> {
    let old_view = old.map(ServiceView::new);
    let view = ServiceView::new(new);
    if view.kind() == "ExternalName" || old_view.is_some_and(|old| is_unchanged_dual_stack(&view, &old)) {
        return Ok(());
    }
    let mut plan = Plan::new(&view, old_view.as_ref());
    let mut wrong = validate_addresses(&view);
    if wrong.is_empty() {
        if let Some(old) = &old_view {
            wrong.extend(plan.shrink(&view, old));
        }
        wrong.extend(plan.check_single_stack());
        wrong.extend(plan.infer(&view, configured));
    }
    if wrong.is_empty() {
        wrong.extend(plan.complete(&view, configured));
    }
    if !wrong.is_empty() {
        return Err(ApiError::invalid("", "Service", view.name(), &wrong));
    }
    if let Some(spec) = new.get_mut("spec") {
        set(spec, "ipFamilyPolicy", plan.policy);
        set(spec, "ipFamilies", json!(plan.families));
        if !plan.ips.is_empty() {
            set(spec, "clusterIPs", json!(plan.ips));
        }
    }
    Ok(())
}

/// A PreferDualStack Service is not moved between one and two families because the cluster changed.
fn is_unchanged_dual_stack(new: &ServiceView<'_>, old: &ServiceView<'_>) -> bool {
    new.family_policy() == "PreferDualStack"
        && old.family_policy() == "PreferDualStack"
        && new.kind() == old.kind()
        && new.same_cluster_ips(old)
        && new.same_families(old)
}

struct Plan {
    policy: String,
    families: Vec<String>,
    ips: Vec<String>,
}

impl Plan {
    fn new(new: &ServiceView<'_>, old: Option<&ServiceView<'_>>) -> Self {
        let owned = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect();
        let inherited = old.map(ServiceView::family_policy).unwrap_or_default();
        let policy = match new.family_policy() {
            "" if !inherited.is_empty() => inherited,
            "" if new.is_headless() && !new.has_selector() => "RequireDualStack",
            "" => "SingleStack",
            given => given,
        };
        Self { policy: policy.to_owned(), families: owned(new.families()), ips: owned(new.cluster_ips()) }
    }

    /// Going to one family: the second address goes if the caller left both lists alone.
    fn shrink(&mut self, new: &ServiceView<'_>, old: &ServiceView<'_>) -> Vec<FieldError> {
        if self.policy == "SingleStack" {
            if new.same_cluster_ips(old) {
                self.ips.truncate(1);
            }
            if new.same_families(old) {
                self.families.truncate(1);
            }
            return Vec::new();
        }
        let less = |new: usize, old: usize| new > 0 && new < old;
        let mut wrong = Vec::new();
        if less(new.cluster_ips().len(), old.cluster_ips().len()) {
            wrong.push(self.policy_error("must be 'SingleStack' to release the secondary cluster IP"));
        }
        if less(new.families().len(), old.families().len()) {
            wrong.push(self.policy_error("must be 'SingleStack' to release the secondary IP family"));
        }
        wrong
    }

    fn check_single_stack(&self) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        if self.policy == "SingleStack" && self.ips.len() == 2 {
            let why =
                "must be 'RequireDualStack' or 'PreferDualStack' when multiple cluster IPs are specified";
            wrong.push(self.policy_error(why));
        }
        if self.policy == "SingleStack" && self.families.len() == 2 {
            let why =
                "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified";
            wrong.push(self.policy_error(why));
        }
        wrong
    }

    /// Families that the given addresses imply.
    fn infer(&mut self, new: &ServiceView<'_>, configured: &[Family]) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        for (i, ip) in self.ips.iter().enumerate().skip(self.families.len()) {
            let Ok(ip) = ip.parse() else { break };
            let family = Family::of(ip);
            if configured.contains(&family) {
                self.families.push(family.name().to_owned());
            } else {
                let why = format!("{} is not configured on this cluster", family.name());
                let value = at(new.spec, &["clusterIPs"]);
                wrong.push(FieldError::invalid(format!("spec.clusterIPs[{i}]"), value, why));
            }
        }
        wrong
    }

    fn complete(&mut self, new: &ServiceView<'_>, configured: &[Family]) -> Vec<FieldError> {
        let single = self.policy == "SingleStack";
        if new.is_headless() && !new.has_selector() {
            self.add_families(configured, !single);
            return Vec::new();
        }
        let mut wrong = Vec::new();
        if self.policy == "RequireDualStack" && configured.len() < 2 {
            wrong.push(self.policy_error("this cluster is not configured for dual-stack services"));
        }
        for (i, family) in self.families.iter().enumerate() {
            if !Family::named(family).is_some_and(|f| configured.contains(&f)) {
                let why = "not configured on this cluster";
                wrong.push(FieldError::invalid(format!("spec.ipFamilies[{i}]"), &json!(family), why));
            }
        }
        if wrong.is_empty() {
            self.add_families(configured, !single && configured.len() == 2);
        }
        wrong
    }

    fn add_families(&mut self, configured: &[Family], both: bool) {
        if self.families.is_empty() {
            self.families.extend(configured.first().map(|f| f.name().to_owned()));
        }
        if let ([one], true) = (self.families.as_slice(), both) {
            let other = Family::named(one).map(|f| f.other().name().to_owned());
            self.families.extend(other);
        }
    }

    fn policy_error(&self, why: &str) -> FieldError {
        FieldError::invalid(POLICY, &json!(self.policy), why)
    }
}
