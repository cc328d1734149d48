//! The snapshot in DNS' terms: immutable, and made from the one before by touching the Services that changed.

mod apex;
mod label;
mod lookup;
mod options;
mod reply;
mod reverse;
mod service;
mod table;

pub use apex::Apex;
pub use options::Options;
pub use reply::Reply;

use sealane_model::{ServiceName, ServiceView, Snapshot};
use service::ServiceRecords;
use std::net::IpAddr;
use std::sync::Arc;
use table::Table;

/// How long clients may keep an answer, in seconds.
pub(crate) const TTL_S: u32 = 5;

/// All names of a cluster at one moment. Cloning is cheap.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone {
    options: Arc<Options>,
    /// False before the first complete snapshot: what is not known may yet exist.
    ready: bool,
    cluster: Apex,
    in_addr: Apex,
    ip6: Apex,
    /// By the wire form of `service.namespace`, in lower case.
    services: Table,
    /// Why each namespace exists: the watch of namespaces says so, and each of its Services does (it may be heard of first).
    namespaces: imbl::HashMap<Box<[u8]>, u32>,
    /// The Services that have an address, or an endpoint with it.
    reverse: imbl::OrdMap<IpAddr, Arc<[ServiceName]>>,
}

impl Zone {
    /// A zone that knows of nothing yet.
    #[must_use]
    pub fn new(options: Arc<Options>, serial: u32) -> Self {
        let apex = |name| Apex::new(name, &options, serial);
        Self {
            cluster: apex(options.domain.clone()),
            in_addr: apex(options.in_addr.clone()),
            ip6: apex(options.ip6.clone()),
            ready: false,
            services: Table::new(),
            namespaces: imbl::HashMap::new(),
            reverse: imbl::OrdMap::new(),
            options,
        }
    }

    /// Whether a complete snapshot has been seen.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// The zone of `newer`, if `self` is that of `older`. Work is that of the Services that differ.
    #[must_use]
    pub fn update(&self, older: &Snapshot, newer: &Snapshot, serial: u32) -> Self {
        let mut next = self.clone();
        next.ready = newer.complete;
        for apex in [&mut next.cluster, &mut next.in_addr, &mut next.ip6] {
            *apex = Apex::new(apex.name.clone(), &next.options, serial);
        }
        for (name, exists) in newer.changed_namespaces(older) {
            next.count_namespace(&name, exists);
        }
        for name in newer.changed_services(older) {
            if let Some(view) = older.services.get(&name) {
                next.remove(view);
            }
            if let Some(view) = newer.services.get(&name) {
                next.insert(view);
            }
        }
        next
    }

    fn insert(&mut self, view: &Arc<ServiceView>) {
        let Some(key) = self.key(view) else { return };
        self.count_namespace(&view.name.namespace, true);
        let Some(records) = ServiceRecords::new(view, &self.options) else { return };
        // Most addresses belong to one Service only: all of them share this list.
        let alone: Arc<[ServiceName]> = [view.name.clone()].into();
        for ip in records.addresses() {
            let others = self.reverse.get(&ip).into_iter().flat_map(|names| names.iter());
            let mut names: Vec<_> = others.filter(|name| **name != view.name).cloned().collect();
            if names.is_empty() {
                self.reverse.insert(ip, alone.clone());
                continue;
            }
            names.push(view.name.clone());
            names.sort();
            self.reverse.insert(ip, names.into());
        }
        self.services.set(&key, Some(records));
    }

    fn remove(&mut self, view: &ServiceView) {
        let Some(key) = self.key(view) else { return };
        self.count_namespace(&view.name.namespace, false);
        let Some(records) = self.services.set(&key, None) else { return };
        for ip in records.addresses() {
            let Some(names) = self.reverse.get(&ip) else { continue };
            let rest: Vec<_> = names.iter().filter(|name| **name != view.name).cloned().collect();
            if rest.is_empty() {
                self.reverse.remove(&ip);
            } else {
                self.reverse.insert(ip, rest.into());
            }
        }
    }

    /// One more reason, or one fewer, for a namespace to exist.
    fn count_namespace(&mut self, namespace: &str, more: bool) {
        if !self.options.serves_namespace(namespace) {
            return;
        }
        let key: Box<[u8]> = namespace.to_ascii_lowercase().into_bytes().into();
        let reasons = self.namespaces.get(&key).copied().unwrap_or(0);
        match if more { reasons + 1 } else { reasons.saturating_sub(1) } {
            0 => self.namespaces.remove(&key),
            reasons => self.namespaces.insert(key, reasons),
        };
    }

    /// `None` for a Service whose names cannot be labels, or that is not to be served.
    fn key(&self, view: &ServiceView) -> Option<Box<[u8]>> {
        let (namespace, name) = (&*view.name.namespace, &*view.name.name);
        self.options.serves_namespace(namespace).then_some(())?;
        label::service_key(name.to_ascii_lowercase().as_bytes(), namespace.to_ascii_lowercase().as_bytes())
    }
}
