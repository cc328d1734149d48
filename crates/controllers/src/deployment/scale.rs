//! A change of `replicas` in the middle of a rollout: spread over the sets in proportion to their sizes.

use super::bounds::{is_rolling, max_surge};
use super::member::Member;
use super::plan::Rollout;
use std::cmp::Reverse;

/// Brings the sets to the wanted total without rolling anything out.
pub(super) fn scale(rollout: &mut Rollout<'_>) {
    let wanted = rollout.wanted;
    if let Some(index) = only_one(rollout) {
        let member = rollout.old.iter_mut().chain(&mut rollout.new).nth(index);
        if let Some(member) = member {
            if member.replicas == wanted {
                member.note_bounds(rollout.spec);
            }
            Rollout::resize(&mut rollout.notes, rollout.spec, member, wanted);
        }
        return;
    }
    if rollout.new.as_ref().is_some_and(|new| is_saturated(new, wanted)) {
        for member in &mut rollout.old {
            Rollout::resize(&mut rollout.notes, rollout.spec, member, 0);
        }
        return;
    }
    if is_rolling(rollout.spec) {
        proportionally(rollout);
    }
}

/// The only active set, or the newest if none is active, as its place among old and new.
fn only_one(rollout: &Rollout<'_>) -> Option<usize> {
    let members: Vec<&Member> = rollout.old.iter().chain(&rollout.new).collect();
    let active: Vec<usize> = (0..members.len()).filter(|i| members[*i].replicas > 0).collect();
    match active.as_slice() {
        // The new set comes last; failing that, the youngest old one does.
        [] => members.len().checked_sub(1),
        [one] => Some(*one),
        _ => None,
    }
}

fn is_saturated(new: &Member, wanted: i32) -> bool {
    new.desired() == Some(wanted) && new.replicas == wanted && new.available() == wanted
}

fn proportionally(rollout: &mut Rollout<'_>) {
    let (spec, wanted) = (rollout.spec, rollout.wanted);
    let allowed = if wanted > 0 { wanted + max_surge(spec) } else { 0 };
    let to_add = allowed - rollout.total();
    let status_replicas = rollout.deployment.status.as_ref().and_then(|status| status.replicas).unwrap_or(0);
    let members = rollout.old.iter_mut().chain(&mut rollout.new);
    let mut active: Vec<&mut Member> = members.filter(|member| member.replicas > 0).collect();
    // Biggest first; of equals, growth favours the newer and shrinking the older.
    if to_add > 0 {
        active.sort_by_key(|member| (Reverse(member.replicas), Reverse(member.created())));
    } else {
        active.sort_by_key(|member| (Reverse(member.replicas), member.created()));
    }
    let mut sizes = Vec::new();
    let mut added = 0;
    for member in &active {
        let share = if to_add == 0 || to_add == added {
            0
        } else {
            let fraction = fraction(member, wanted, allowed, status_replicas);
            let left = to_add - added;
            if to_add > 0 { fraction.min(left) } else { fraction.max(left) }
        };
        added += share;
        sizes.push(member.replicas + share);
    }
    if let Some(first) = sizes.first_mut() {
        *first = (*first + to_add - added).max(0);
    }
    for (member, size) in active.into_iter().zip(sizes) {
        Rollout::resize(&mut rollout.notes, spec, member, size);
        member.note_bounds(spec);
    }
}

/// The change that keeps a set's share of the total.
fn fraction(member: &Member, wanted: i32, allowed: i32, status_replicas: i32) -> i32 {
    if wanted == 0 {
        return -member.replicas;
    }
    let before = member.maximum().filter(|maximum| *maximum > 0).unwrap_or(status_replicas);
    if before == 0 {
        return 0;
    }
    // Rounded half away from zero, as Go's math.Round does; all numbers are positive.
    let (size, allowed, before) = (i64::from(member.replicas), i64::from(allowed), i64::from(before));
    let new_size = (2 * size * allowed + before) / (2 * before);
    i32::try_from(new_size).unwrap_or(i32::MAX) - member.replicas
}
