//! Tables, chains, rules and sets.

use crate::{Data, Elements, Expr, Field, SetKind};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The name of a table, chain or set.
pub type Name = Arc<str>;

/// The address family of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
}

/// What a base chain may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Accept and drop.
    Filter,
    /// Translate; sees the first packet of a flow only.
    Nat,
    /// As filter, in output, with a second routing decision after a change of addresses.
    Route,
}

/// Where in the kernel's path a base chain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    /// Every packet that comes in.
    Prerouting,
    /// Those for this machine.
    Input,
    /// Those for another.
    Forward,
    /// Those from this machine.
    Output,
    /// Every packet that leaves.
    Postrouting,
}

/// A chain's place in the kernel's path. The policy is always accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaseChain {
    /// What it may do.
    pub kind: Kind,
    /// Where.
    pub hook: Hook,
    /// Lower runs first.
    pub priority: i32,
}

/// One rule: its expressions run left to right until one does not match.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rule {
    /// The expressions.
    pub exprs: Vec<Expr>,
}

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chain {
    /// Its hook; `None` if it is only jumped to.
    pub base: Option<BaseChain>,
    /// Its rules, in order.
    pub rules: Vec<Rule>,
}

/// A set (no data) or a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// The fields of a key.
    pub key: Vec<Field>,
    /// What an element leads to.
    pub kind: SetKind,
    /// Rules add elements, which expire; what is in it is nobody's plan.
    pub dynamic: bool,
    /// The most elements it takes; 0 is no limit.
    pub size: u32,
    /// The elements.
    pub elements: Elements,
}

impl Set {
    /// An empty, static set or map.
    #[must_use]
    pub fn new(key: &[Field], kind: SetKind) -> Self {
        Self { key: key.to_vec(), kind, dynamic: false, size: 0, elements: Elements::new() }
    }

    /// True if both differ in elements only.
    #[must_use]
    pub fn same_shape(&self, other: &Self) -> bool {
        self.key == other.key
            && self.kind == other.kind
            && self.dynamic == other.dynamic
            && self.size == other.size
    }

    /// Adds or replaces an element built from typed values.
    pub fn put(&mut self, key: &[crate::Value], data: Data) {
        self.elements.insert(crate::Bytes::key(key), data);
    }
}

/// A table with all that is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its family.
    pub family: Family,
    /// Its name.
    pub name: Name,
    /// Sets and maps by name.
    pub sets: BTreeMap<Name, Set>,
    /// Chains by name.
    pub chains: BTreeMap<Name, Chain>,
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new(family: Family, name: &str) -> Self {
        Self { family, name: name.into(), sets: BTreeMap::new(), chains: BTreeMap::new() }
    }

    /// Adds a set or map.
    pub fn set(&mut self, name: &str, set: Set) {
        self.sets.insert(name.into(), set);
    }

    /// Adds a chain with its rules.
    pub fn chain(&mut self, name: &str, base: Option<BaseChain>, rules: Vec<Vec<Expr>>) {
        let rules = rules.into_iter().map(|exprs| Rule { exprs }).collect();
        self.chains.insert(name.into(), Chain { base, rules });
    }
}
