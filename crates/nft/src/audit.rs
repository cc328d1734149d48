//! An independent look at a table: what the kernel would refuse, or what would lead nowhere.

use crate::register::{access, data_fits, fields_len};
use crate::{Data, Expr, Name, Rule, SetKind, Table, Target, Verdict};
use std::collections::BTreeSet;

/// All that is wrong with `table`, one sentence each; empty if nothing is.
///
/// Checked: jumps and look-ups have a target, a rule reads only registers that it set itself, elements have the
/// lengths of their set, dynamic sets alone are changed by rules, and no chain leads back to itself.
#[must_use]
pub fn audit(table: &Table) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, chain) in &table.chains {
        for (index, rule) in chain.rules.iter().enumerate() {
            for problem in rule_problems(rule, table) {
                problems.push(format!("chain {name} rule {index}: {problem}"));
            }
        }
        if leads_back(name, table) {
            problems.push(format!("chain {name} leads back to itself"));
        }
    }
    for (name, set) in &table.sets {
        for (key, data) in &set.elements {
            if key.as_slice().len() != fields_len(&set.key) || !data_fits(set, data) {
                problems.push(format!("set {name}: element {key:?} has another length than the set"));
            }
            if let Some(chain) = target_of_data(data).filter(|chain| !table.chains.contains_key(*chain)) {
                problems.push(format!("set {name}: element leads to chain {chain}, which is not there"));
            }
        }
    }
    problems
}

fn rule_problems(rule: &Rule, table: &Table) -> Vec<String> {
    let mut problems = Vec::new();
    let mut loaded = [false; 16];
    for expr in &rule.exprs {
        problems.extend(reference_problem(expr, table));
        let access = access(expr, table);
        for (reg, len) in access.reads {
            let all = span(reg.0, len).all(|i| loaded.get(i).copied().unwrap_or(false));
            if !all {
                problems.push(format!("{expr:?} reads r{} before this rule set it", reg.0));
            }
        }
        for (reg, len) in access.writes {
            span(reg.0, len).filter(|i| *i < 16).for_each(|i| loaded[i] = true);
        }
    }
    problems
}

fn span(reg: u8, len: usize) -> std::ops::Range<usize> {
    usize::from(reg)..usize::from(reg) + len.div_ceil(4)
}

fn reference_problem(expr: &Expr, table: &Table) -> Option<String> {
    match expr {
        Expr::Verdict(verdict) => {
            let chain = target(verdict)?;
            (!table.chains.contains_key(chain)).then(|| format!("leads to chain {chain}, which is not there"))
        }
        Expr::Lookup { set, target, .. } => {
            let Some(found) = table.sets.get(set) else { return Some(format!("no set {set}")) };
            let fits = matches!(
                (target, &found.kind),
                (Target::Nowhere, SetKind::Set)
                    | (Target::Reg(_), SetKind::Map(_))
                    | (Target::Verdict, SetKind::Verdicts)
            );
            (!fits).then(|| format!("set {set} is not of the kind that the look-up wants"))
        }
        Expr::DynSet { set, .. } => match table.sets.get(set) {
            None => Some(format!("no set {set}")),
            Some(found) => (!found.dynamic).then(|| format!("set {set} is not dynamic")),
        },
        Expr::Foreign(what) => Some(format!("unknown expression {what}")),
        _ => None,
    }
}

fn target(verdict: &Verdict) -> Option<&Name> {
    match verdict {
        Verdict::Jump(chain) | Verdict::Goto(chain) => Some(chain),
        Verdict::Accept | Verdict::Drop | Verdict::Return => None,
    }
}

fn target_of_data(data: &Data) -> Option<&Name> {
    match data {
        Data::Verdict(verdict) => target(verdict),
        Data::None | Data::Bytes(_) => None,
    }
}

/// True if `start` can be reached from itself.
fn leads_back(start: &Name, table: &Table) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![start];
    while let Some(name) = open.pop() {
        let Some(chain) = table.chains.get(name) else { continue };
        for next in chain.rules.iter().flat_map(|rule| &rule.exprs).flat_map(|e| exits(e, table)) {
            if next == start {
                return true;
            }
            if seen.insert(next) {
                open.push(next);
            }
        }
    }
    false
}

fn exits<'a>(expr: &'a Expr, table: &'a Table) -> Vec<&'a Name> {
    match expr {
        Expr::Verdict(verdict) => target(verdict).into_iter().collect(),
        Expr::Lookup { set, target: Target::Verdict, .. } => table
            .sets
            .get(set)
            .map_or_else(Vec::new, |s| s.elements.values().filter_map(target_of_data).collect()),
        _ => Vec::new(),
    }
}
