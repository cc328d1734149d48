//! The watches of the kinds that have no cache: only metadata, straight into the graph.

use super::Collector;
use crate::objects::{Sink, lock};
use kube::core::{DynamicObject, PartialObjectMeta};
use std::collections::HashSet;
use std::sync::Arc;
use tokio::sync::watch;

/// An object of which only the metadata are read.
pub(super) type Metadata = PartialObjectMeta<DynamicObject>;

/// Feeds the graph from the watch of one kind.
pub(super) struct KindSink {
    pub(super) collector: Arc<Collector>,
    pub(super) kind: usize,
    pub(super) synced: watch::Sender<bool>,
}

impl Sink<Metadata> for KindSink {
    fn replace(&self, objects: Vec<Metadata>, _revision: u64) {
        let listed: HashSet<&String> =
            objects.iter().filter_map(|object| object.metadata.uid.as_ref()).collect();
        let known = lock(&self.collector.graph).of_kind(self.kind);
        for uid in known.iter().filter(|uid| !listed.contains(uid)) {
            self.collector.gone(uid);
        }
        for object in &objects {
            self.collector.seen(self.kind, &object.metadata);
        }
        self.synced.send_replace(true);
    }

    fn apply(&self, object: Metadata) {
        self.collector.seen(self.kind, &object.metadata);
    }

    fn delete(&self, object: Metadata) {
        self.collector.gone(crate::owner::uid(&object.metadata));
    }

    fn progress(&self, _revision: u64) {}
}
