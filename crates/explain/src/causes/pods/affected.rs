//! The Pods of a Service that one trouble is about, and how a sentence about them begins.

use crate::objects::Pod;
use crate::state::State;
use crate::subject::Subject;
use crate::words::count;
use std::collections::BTreeMap;

/// The Pods whose state is such, by what distinguishes their troubles from one another.
pub(super) fn by<'a, K: Ord>(
    subject: &Subject<'a>,
    key: impl Fn(State<'a>, &'a Pod) -> Option<K>,
) -> BTreeMap<K, Vec<&'a Pod>> {
    let mut groups: BTreeMap<K, Vec<&'a Pod>> = BTreeMap::new();
    for (pod, state) in subject.with_states() {
        if let Some(key) = key(state, pod) {
            groups.entry(key).or_default().push(pod);
        }
    }
    groups
}

/// "2 of 3 Pods behind Service web crash", with the verb for one and for several.
pub(super) fn some(subject: &Subject<'_>, pods: &[&Pod], one: &str, several: &str) -> String {
    let verb = if pods.len() == 1 { one } else { several };
    let all = count(subject.live().len(), "Pod");
    format!("{} of {all} behind Service {} {verb}", pods.len(), subject.name())
}
