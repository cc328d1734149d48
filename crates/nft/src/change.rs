//! Changes between two tables, in the order in which the kernel takes them.

use crate::{BaseChain, Bytes, Chain, Data, Name, Rule, Set, Table};

/// One change of a table. A list of them is one transaction.
#[expect(missing_docs, reason = "the fields are the names of what changes")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Creates the table.
    AddTable,
    /// Removes the table and all that is in it.
    DeleteTable,
    /// Creates an empty set of this shape.
    AddSet { name: Name, shape: Box<Set> },
    /// Removes a set.
    DeleteSet { name: Name },
    /// Creates an empty chain.
    AddChain { name: Name, base: Option<BaseChain> },
    /// Removes an empty chain.
    DeleteChain { name: Name },
    /// Removes all rules of a chain.
    FlushChain { name: Name },
    /// Appends a rule.
    AddRule { chain: Name, rule: Rule },
    /// Adds elements that are not there.
    AddElements { set: Name, elements: Vec<(Bytes, Data)> },
    /// Removes elements that are there.
    DeleteElements { set: Name, keys: Vec<Bytes> },
}

/// Why a change does not fit a table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// It refers to something that is not there.
    #[error("{what} {name} does not exist")]
    Missing {
        /// Kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// It adds something that is there.
    #[error("{what} {name} exists already")]
    Exists {
        /// Kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
}

/// The changes that turn `old` into `new`; both are the same table. Elements of dynamic sets are left alone.
///
/// Elements come last and go first, chains exist before anything leads to them. A set or base chain of another shape
/// makes the table anew, in the same transaction.
#[must_use]
pub fn diff(old: Option<&Table>, new: &Table) -> Vec<Change> {
    let Some(old) = old else { return create(new) };
    if reshaped(old, new) {
        let mut changes = vec![Change::DeleteTable];
        changes.extend(create(new));
        return changes;
    }
    let mut changes = Vec::new();
    add_missing(old, new, &mut changes);
    delete_elements(old, new, &mut changes);
    rewrite_rules(old, new, &mut changes);
    add_elements(old, new, &mut changes);
    for name in old.chains.keys().filter(|name| !new.chains.contains_key(*name)) {
        changes.push(Change::DeleteChain { name: name.clone() });
    }
    for name in old.sets.keys().filter(|name| !new.sets.contains_key(*name)) {
        changes.push(Change::DeleteSet { name: name.clone() });
    }
    changes
}

fn create(new: &Table) -> Vec<Change> {
    let empty = Table::new(new.family, &new.name);
    let mut changes = vec![Change::AddTable];
    changes.extend(diff(Some(&empty), new));
    changes
}

fn reshaped(old: &Table, new: &Table) -> bool {
    let sets = new.sets.iter().any(|(name, set)| old.sets.get(name).is_some_and(|o| !o.same_shape(set)));
    let chains =
        new.chains.iter().any(|(name, chain)| old.chains.get(name).is_some_and(|o| o.base != chain.base));
    sets || chains
}

fn add_missing(old: &Table, new: &Table, changes: &mut Vec<Change>) {
    for (name, set) in new.sets.iter().filter(|(name, _)| !old.sets.contains_key(*name)) {
        let shape = Set { elements: crate::Elements::new(), ..set.clone() };
        changes.push(Change::AddSet { name: name.clone(), shape: Box::new(shape) });
    }
    for (name, chain) in new.chains.iter().filter(|(name, _)| !old.chains.contains_key(*name)) {
        changes.push(Change::AddChain { name: name.clone(), base: chain.base });
    }
}

fn delete_elements(old: &Table, new: &Table, changes: &mut Vec<Change>) {
    for (name, set) in old.sets.iter().filter(|(_, set)| !set.dynamic) {
        let wanted = new.sets.get(name).map(|set| &set.elements);
        let stale = |(key, data): &(&Bytes, &Data)| wanted.and_then(|w| w.get(key)) != Some(data);
        let keys: Vec<Bytes> = set.elements.iter().filter(stale).map(|(key, _)| *key).collect();
        if !keys.is_empty() {
            changes.push(Change::DeleteElements { set: name.clone(), keys });
        }
    }
}

fn add_elements(old: &Table, new: &Table, changes: &mut Vec<Change>) {
    for (name, set) in new.sets.iter().filter(|(_, set)| !set.dynamic) {
        let there = old.sets.get(name).map(|set| &set.elements);
        let elements: Vec<_> = (set.elements.iter())
            .filter(|(key, data)| there.and_then(|t| t.get(key)) != Some(data))
            .map(|(key, data)| (*key, data.clone()))
            .collect();
        if !elements.is_empty() {
            changes.push(Change::AddElements { set: name.clone(), elements });
        }
    }
}

fn rewrite_rules(old: &Table, new: &Table, changes: &mut Vec<Change>) {
    let none = Chain::default();
    for (name, chain) in &old.chains {
        let wanted = new.chains.get(name).unwrap_or(&none);
        if chain.rules != wanted.rules && !chain.rules.is_empty() {
            changes.push(Change::FlushChain { name: name.clone() });
        }
    }
    for (name, chain) in &new.chains {
        if old.chains.get(name).is_none_or(|there| there.rules != chain.rules) {
            let add = |rule: &Rule| Change::AddRule { chain: name.clone(), rule: rule.clone() };
            changes.extend(chain.rules.iter().map(add));
        }
    }
}

/// Carries out one change on what a kernel holds, as strictly as the kernel does.
///
/// # Errors
/// What the change refers to is missing, or what it adds is there.
pub fn apply(
    table: &mut Option<Table>,
    target: (crate::Family, &str),
    change: &Change,
) -> Result<(), ApplyError> {
    match (change, &mut *table) {
        (Change::AddTable, None) => *table = Some(Table::new(target.0, target.1)),
        (Change::AddTable, Some(_)) => {}
        (_, None) => return Err(missing("table", target.1)),
        (Change::DeleteTable, Some(_)) => *table = None,
        (_, Some(there)) => there.apply(change)?,
    }
    Ok(())
}

impl Table {
    /// Carries out one change that leaves the table in place.
    ///
    /// # Errors
    /// What the change refers to is missing, or what it adds is there.
    pub fn apply(&mut self, change: &Change) -> Result<(), ApplyError> {
        match change {
            Change::AddTable | Change::DeleteTable => {}
            Change::AddSet { name, shape } => {
                self.sets.entry(name.clone()).or_insert_with(|| (**shape).clone());
            }
            Change::DeleteSet { name } => {
                self.sets.remove(name).ok_or_else(|| missing("set", name))?;
            }
            Change::AddChain { name, base } => {
                self.chains.entry(name.clone()).or_insert_with(|| Chain { base: *base, rules: vec![] });
            }
            Change::DeleteChain { name } => {
                self.chains.remove(name).ok_or_else(|| missing("chain", name))?;
            }
            Change::FlushChain { name } => {
                self.chains.get_mut(name).ok_or_else(|| missing("chain", name))?.rules.clear();
            }
            Change::AddRule { chain, rule } => {
                self.chains.get_mut(chain).ok_or_else(|| missing("chain", chain))?.rules.push(rule.clone());
            }
            Change::AddElements { set, elements } => add(self, set, elements)?,
            Change::DeleteElements { set, keys } => {
                let found = self.sets.get_mut(set).ok_or_else(|| missing("set", set))?;
                for key in keys {
                    found.elements.remove(key).ok_or_else(|| missing("element of", set))?;
                }
            }
        }
        Ok(())
    }
}

fn add(table: &mut Table, set: &Name, elements: &[(Bytes, Data)]) -> Result<(), ApplyError> {
    let found = table.sets.get_mut(set).ok_or_else(|| missing("set", set))?;
    for (key, data) in elements {
        if found.elements.get(key).is_some_and(|there| there != data) {
            return Err(ApplyError::Exists { what: "element of", name: set.to_string() });
        }
        found.elements.insert(*key, data.clone());
    }
    Ok(())
}

fn missing(what: &'static str, name: &str) -> ApplyError {
    ApplyError::Missing { what, name: name.to_owned() }
}
