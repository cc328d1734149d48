//! One kind of object as last seen: relists mark what is there and sweep the rest.

use std::collections::BTreeMap;

/// The objects of one watch.
#[derive(Debug)]
pub(crate) struct Table<K, V> {
    rows: BTreeMap<K, Row<V>>,
    /// Grows with every list that begins; a row of an older one has not been listed again yet.
    generation: u64,
    complete: bool,
}

#[derive(Debug)]
struct Row<V> {
    value: V,
    generation: u64,
}

impl<K: Ord + Clone, V: PartialEq> Table<K, V> {
    pub(crate) fn new() -> Self {
        Self { rows: BTreeMap::new(), generation: 0, complete: false }
    }

    /// Whether a list has been complete once.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.rows.get(key).map(|row| &row.value)
    }

    /// A list begins: nothing is forgotten yet.
    pub(crate) fn begin(&mut self) {
        self.generation += 1;
    }

    /// A list is complete: the keys and values that were not in it, now removed.
    pub(crate) fn sweep(&mut self) -> Vec<(K, V)> {
        self.complete = true;
        let generation = self.generation;
        self.rows
            .extract_if(.., |_, row| row.generation != generation)
            .map(|(key, row)| (key, row.value))
            .collect()
    }

    /// Sets a value. If that is a change: `Some` with what it was before.
    pub(crate) fn set(&mut self, key: K, value: V) -> Option<Option<V>> {
        let row = Row { value, generation: self.generation };
        match self.rows.entry(key) {
            std::collections::btree_map::Entry::Vacant(vacant) => {
                vacant.insert(row);
                Some(None)
            }
            std::collections::btree_map::Entry::Occupied(mut occupied) => {
                let before = occupied.insert(row);
                (before.value != occupied.get().value).then_some(Some(before.value))
            }
        }
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        self.rows.remove(key).map(|row| row.value)
    }
}
