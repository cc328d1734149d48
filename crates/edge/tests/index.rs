//! Events in any order lead to what projecting the final objects from nothing gives.

#![allow(clippy::unwrap_used, reason = "tests, helpers too")]

use k8s_openapi::api::core::v1::{Namespace, Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::watcher::Event;
use proptest::prelude::*;
use sealane_edge::{Change, Index};
use sealane_model::{ServiceName, Snapshot};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

fn service(n: u8, variant: u8) -> Service {
    let spec = json!({"clusterIP": format!("10.96.{variant}.{n}"), "ports": [{"port": 80}]});
    serde_json::from_value(json!({"metadata": {"namespace": "prod", "name": format!("s{n}")}, "spec": spec}))
        .unwrap()
}

/// Slice `n` belongs to a Service that depends on the variant; variant 0 belongs to none.
fn slice(n: u8, variant: u8) -> EndpointSlice {
    let labels = if variant == 0 {
        json!({})
    } else {
        json!({"kubernetes.io/service-name": format!("s{}", variant % 3)})
    };
    let endpoint =
        |i| json!({"addresses": [format!("10.1.0.{i}")], "conditions": {"ready": variant.is_multiple_of(2)}});
    serde_json::from_value(json!({
        "metadata": {"namespace": "prod", "name": format!("slice-{n}"), "labels": labels},
        "addressType": "IPv4", "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
        "endpoints": [endpoint(n), endpoint(variant), endpoint(7)],
    }))
    .unwrap()
}

fn node(n: u8, variant: u8) -> Node {
    let addresses = json!([{"type": "InternalIP", "address": format!("10.123.{variant}.{n}")}]);
    serde_json::from_value(json!({"metadata": {"name": format!("n{n}")}, "status": {"addresses": addresses}}))
        .unwrap()
}

fn namespace(n: u8, variant: u8) -> Namespace {
    let labels = json!({"variant": variant.to_string()});
    serde_json::from_value(json!({"metadata": {"name": format!("ns{n}"), "labels": labels}})).unwrap()
}

/// The objects that exist: number to variant.
#[derive(Debug, Clone, Default)]
struct World {
    services: BTreeMap<u8, u8>,
    slices: BTreeMap<u8, u8>,
    nodes: BTreeMap<u8, u8>,
    namespaces: BTreeMap<u8, u8>,
}

/// Services, slices, nodes, namespaces.
const KINDS: u8 = 4;

#[derive(Debug, Clone)]
enum Step {
    Set {
        kind: u8,
        n: u8,
        variant: u8,
    },
    Delete {
        kind: u8,
        n: u8,
    },
    /// Changes that nobody reports until the watch lists again.
    Missed {
        kind: u8,
        n: u8,
        variant: Option<u8>,
    },
    /// A list that breaks off after so many objects; then a whole one.
    Relist {
        kind: u8,
        broken_after: Option<usize>,
    },
    Publish,
}

fn step() -> impl Strategy<Value = Step> {
    let (kind, n, variant) = (0..KINDS, 0..4u8, 0..5u8);
    prop_oneof![
        6 => (kind.clone(), n.clone(), variant.clone()).prop_map(|(kind, n, variant)| Step::Set { kind, n, variant }),
        3 => (kind.clone(), n.clone()).prop_map(|(kind, n)| Step::Delete { kind, n }),
        2 => (kind.clone(), n, prop::option::of(variant)).prop_map(|(kind, n, variant)| Step::Missed { kind, n, variant }),
        2 => (kind, prop::option::of(0..3usize)).prop_map(|(kind, broken_after)| Step::Relist { kind, broken_after }),
        3 => Just(Step::Publish),
    ]
}

impl World {
    fn of(&mut self, kind: u8) -> &mut BTreeMap<u8, u8> {
        [&mut self.services, &mut self.slices, &mut self.nodes, &mut self.namespaces][usize::from(kind)]
    }
}

fn event(kind: u8, n: u8, variant: u8, how: How) -> Change {
    match (kind, how) {
        (0, How::Apply) => Change::Service(Event::Apply(service(n, variant))),
        (0, How::Delete) => Change::Service(Event::Delete(service(n, variant))),
        (0, How::List) => Change::Service(Event::InitApply(service(n, variant))),
        (1, How::Apply) => Change::Slice(Event::Apply(slice(n, variant))),
        (1, How::Delete) => Change::Slice(Event::Delete(slice(n, variant))),
        (1, How::List) => Change::Slice(Event::InitApply(slice(n, variant))),
        (2, How::Apply) => Change::Node(Event::Apply(node(n, variant))),
        (2, How::Delete) => Change::Node(Event::Delete(node(n, variant))),
        (2, How::List) => Change::Node(Event::InitApply(node(n, variant))),
        (_, How::Apply) => Change::Namespace(Event::Apply(namespace(n, variant))),
        (_, How::Delete) => Change::Namespace(Event::Delete(namespace(n, variant))),
        (_, How::List) => Change::Namespace(Event::InitApply(namespace(n, variant))),
    }
}

#[derive(Clone, Copy)]
enum How {
    Apply,
    Delete,
    List,
}

fn list(index: &mut Index, kind: u8, objects: &BTreeMap<u8, u8>, broken_after: Option<usize>) {
    index.apply(match kind {
        0 => Change::Service(Event::Init),
        1 => Change::Slice(Event::Init),
        2 => Change::Node(Event::Init),
        _ => Change::Namespace(Event::Init),
    });
    for (n, variant) in objects.iter().take(broken_after.unwrap_or(usize::MAX)) {
        index.apply(event(kind, *n, *variant, How::List));
    }
    if broken_after.is_none() {
        index.apply(match kind {
            0 => Change::Service(Event::InitDone),
            1 => Change::Slice(Event::InitDone),
            2 => Change::Node(Event::InitDone),
            _ => Change::Namespace(Event::InitDone),
        });
    }
}

fn from_nothing(world: &mut World) -> Arc<Snapshot> {
    let mut index = Index::new();
    for kind in 0..KINDS {
        assert!(index.publish().is_none(), "nothing is published before all have listed");
        list(&mut index, kind, world.of(kind), None);
    }
    index.publish().unwrap()
}

fn same(a: &Snapshot, b: &Snapshot) -> bool {
    (a.complete, &a.services, &a.nodes, &a.namespaces) == (b.complete, &b.services, &b.nodes, &b.namespaces)
}

proptest! {
    #[test]
    fn incremental_is_projection_from_nothing(steps in prop::collection::vec(step(), 0..60)) {
        let (mut index, mut world, mut last) = (Index::new(), World::default(), Arc::<Snapshot>::default());
        for kind in 0..KINDS {
            list(&mut index, kind, &BTreeMap::new(), None);
        }
        let mut publish = |index: &mut Index| {
            let Some(next) = index.publish() else { return true };
            let differs = !same(&next, &last);
            // What did not change is the same object, not an equal one.
            let shared = next.services.iter().all(|(name, view)| {
                last.services.get(name).is_none_or(|old| Arc::ptr_eq(old, view) || old != view)
            });
            last = next;
            differs && shared
        };
        for step in steps {
            match step {
                Step::Set { kind, n, variant } => {
                    world.of(kind).insert(n, variant);
                    index.apply(event(kind, n, variant, How::Apply));
                }
                Step::Delete { kind, n } => {
                    if let Some(variant) = world.of(kind).remove(&n) {
                        index.apply(event(kind, n, variant, How::Delete));
                    }
                }
                Step::Missed { kind, n, variant } => {
                    match variant {
                        Some(variant) => world.of(kind).insert(n, variant),
                        None => world.of(kind).remove(&n),
                    };
                    list(&mut index, kind, world.of(kind), None);
                }
                Step::Relist { kind, broken_after } => {
                    if broken_after.is_some() {
                        list(&mut index, kind, world.of(kind), broken_after);
                    }
                    list(&mut index, kind, world.of(kind), None);
                }
                Step::Publish => prop_assert!(publish(&mut index)),
            }
        }
        prop_assert!(publish(&mut index));
        prop_assert!(index.publish().is_none(), "nothing changed, nothing is published");
        let expected = from_nothing(&mut world);
        prop_assert!(same(&last, &expected), "{last:?}\nis not\n{expected:?}");
    }
}

#[test]
fn one_slice_touches_one_service() {
    let mut world = World::default();
    world.services.extend([(0, 0), (1, 0), (2, 0)]);
    world.slices.extend([(0, 1), (1, 2)]);
    let mut index = Index::new();
    for kind in 0..KINDS {
        list(&mut index, kind, world.of(kind), None);
    }
    let before = index.publish().unwrap();
    index.apply(Change::Slice(Event::Delete(slice(0, 1))));
    let after = index.publish().unwrap();
    let changed = after.changed_services(&before);
    assert_eq!(changed, [ServiceName { namespace: "prod".into(), name: "s1".into() }]);
    assert!(
        !before.services[&changed[0]].endpoints.is_empty()
            && after.services[&changed[0]].endpoints.is_empty()
    );
}

#[test]
fn an_endpoint_in_two_slices_counts_once_and_ready() {
    let mut world = World::default();
    world.services.insert(1, 0);
    // Both slices belong to s1 and hold 10.1.0.7; the one of variant 4 is ready, that of variant 1 is not.
    world.slices.extend([(0, 1), (1, 4)]);
    let snapshot = from_nothing(&mut world);
    let view = snapshot.services.values().next().unwrap();
    let shared: Vec<_> = view.endpoints.iter().filter(|one| one.ip.to_string() == "10.1.0.7").collect();
    assert_eq!((shared.len(), shared[0].ready), (1, true));
    assert!(view.endpoints.is_sorted_by_key(|one| one.ip));
}
