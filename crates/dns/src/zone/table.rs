//! Services by the wire form of `service.namespace`: a map whose look-ups are few memory accesses, and whose copies share
//! all that did not change.
//!
//! Persistent maps in the shape of a tree cost a fifth of an answer here, in cache misses. This is one level of shards; a
//! change copies one of them, and the list of them once an update.

use super::service::ServiceRecords;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::sync::Arc;

/// So many that a shard has few rows in a large cluster.
const SHARDS: usize = 4_096;

type Shard = Arc<[Row]>;

/// The map. Cloning is cheap.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Table(Arc<Vec<Shard>>);

#[derive(Debug, Clone, PartialEq)]
struct Row {
    hash: u64,
    key: Box<[u8]>,
    records: Arc<ServiceRecords>,
}

impl Table {
    pub(super) fn new() -> Self {
        let empty: Shard = Arc::default();
        Self(Arc::new(vec![empty; SHARDS]))
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&Arc<ServiceRecords>> {
        let hash = hash(key);
        let row = self.0[shard(hash)].iter().find(|row| row.hash == hash && *row.key == *key)?;
        Some(&row.records)
    }

    /// Sets the records of a Service, or removes it; returns what it had.
    pub(super) fn set(&mut self, key: &[u8], records: Option<ServiceRecords>) -> Option<Arc<ServiceRecords>> {
        let hash = hash(key);
        let place = &mut Arc::make_mut(&mut self.0)[shard(hash)];
        let is = |row: &&Row| row.hash == hash && *row.key == *key;
        let before = place.iter().find(is).map(|row| row.records.clone());
        let mut rows: Vec<Row> = place.iter().filter(|row| !is(row)).cloned().collect();
        rows.extend(records.map(|records| Row { hash, key: key.into(), records: Arc::new(records) }));
        // The same rows are in the same order, however they came.
        rows.sort_by(|a, b| (a.hash, &a.key).cmp(&(b.hash, &b.key)));
        *place = rows.into();
        before
    }
}

fn hash(key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(key);
    hasher.finish()
}

fn shard(hash: u64) -> usize {
    usize::try_from(hash % SHARDS as u64).expect("below the number of shards")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::zone::Options;
    use sealane_model::ServiceView;
    use std::net::{IpAddr, Ipv4Addr};

    fn records(n: u32) -> ServiceRecords {
        let options = Options::new(&Config::default()).unwrap();
        let cluster_ips = vec![IpAddr::V4(Ipv4Addr::from(n + 1))];
        let view = ServiceView { cluster_ips, ..ServiceView::new("prod", &format!("s{n}")) };
        ServiceRecords::new(&Arc::new(view), &options).unwrap()
    }

    #[test]
    fn what_is_set_is_found_and_copies_do_not_follow() {
        let key = |n: u32| n.to_be_bytes();
        let mut table = Table::new();
        // More than there are shards.
        for n in 0..10_000 {
            assert!(table.set(&key(n), Some(records(n))).is_none());
        }
        let copy = table.clone();
        assert_eq!(table.set(&key(7), Some(records(8))).as_deref(), Some(&records(7)));
        assert_eq!(table.set(&key(9), None).as_deref(), Some(&records(9)));
        assert_eq!(table.get(&key(7)).map(|it| &**it), Some(&records(8)));
        assert_eq!((table.get(&key(9)), table.get(&key(10_000))), (None, None));
        assert_eq!(copy.get(&key(7)).map(|it| &**it), Some(&records(7)));
        assert!((0..10_000).all(|n| copy.get(&key(n)).is_some()));
        table.set(&key(9), Some(records(9)));
        table.set(&key(7), Some(records(7)));
        assert!(table == copy, "the way there does not matter");
    }
}
