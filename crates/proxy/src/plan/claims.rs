//! Front ends that more than one Service may want, and set members that several Services share.

use super::{Finding, Front, FrontPlan, FrontRank};
use sealane_model::ServiceName;
use sealane_nft::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// The claims to every front end. The lowest has it: by rank, then by name, whoever came first.
#[derive(Debug, Default)]
pub(super) struct Claims {
    fronts: BTreeMap<Front, BTreeMap<(FrontRank, ServiceName), FrontPlan>>,
    /// Those with more than one claim.
    contested: BTreeSet<Front>,
}

impl Claims {
    pub(super) fn add(&mut self, front: Front, service: &ServiceName, plan: FrontPlan) {
        let claims = self.fronts.entry(front).or_default();
        claims.insert((plan.rank, service.clone()), plan);
        if claims.len() > 1 {
            self.contested.insert(front);
        }
    }

    pub(super) fn remove(&mut self, front: Front, service: &ServiceName, rank: FrontRank) {
        if let Some(claims) = self.fronts.get_mut(&front) {
            claims.remove(&(rank, service.clone()));
            if claims.len() < 2 {
                self.contested.remove(&front);
            }
            if claims.is_empty() {
                self.fronts.remove(&front);
            }
        }
    }

    /// Who has it.
    pub(super) fn holder(&self, front: Front) -> Option<(&ServiceName, FrontPlan)> {
        let ((_, service), plan) = self.fronts.get(&front)?.first_key_value()?;
        Some((service, *plan))
    }

    /// Those who do not have what they want.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for front in &self.contested {
            let Some(claims) = self.fronts.get(front) else { continue };
            let mut services = claims.keys().map(|(_, service)| service);
            let Some(holder) = services.next() else { continue };
            for service in services {
                let message =
                    format!("{} is served for {}/{}", front_text(*front), holder.namespace, holder.name);
                findings.push(Finding { service: service.clone(), reason: "AddressTaken", message });
            }
        }
        findings
    }
}

fn front_text(front: Front) -> String {
    match front {
        Front::Address(ip, protocol, port) => format!("{ip}:{port}/{protocol:?}"),
        Front::NodePort(protocol, port) => format!("node port {port}/{protocol:?}"),
    }
}

/// Members of sets, there as long as one Service wants them.
#[derive(Debug, Default)]
pub(super) struct Shared {
    counts: BTreeMap<(&'static str, Bytes), usize>,
}

impl Shared {
    pub(super) fn add(&mut self, set: &'static str, key: Bytes) {
        *self.counts.entry((set, key)).or_default() += 1;
    }

    pub(super) fn remove(&mut self, set: &'static str, key: Bytes) {
        if let Some(count) = self.counts.get_mut(&(set, key)) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&(set, key));
            }
        }
    }

    pub(super) fn contains(&self, set: &'static str, key: Bytes) -> bool {
        self.counts.contains_key(&(set, key))
    }
}
