//! Whatever happened before, the table says what one made from nothing says; and a kernel that is only told the changes
//! holds the same table.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod fixture;

use fixture::{node, service, snapshot};
use proptest::prelude::*;
use sealane_model::ServiceView;
use sealane_nft::{Data, SetKind, Table, Value, Verdict, audit};
use sealane_proxy::apply::FakeKernel;
use sealane_proxy::plan::{Layout, Options, plan_service};
use sealane_proxy::{Config, Proxy};
use std::collections::{BTreeMap, BTreeSet};

/// Services of few names, addresses and endpoints, so that they meet.
fn any_service() -> impl Strategy<Value = ServiceView> {
    let endpoints = prop::collection::btree_set(1_u8..9, 0..7);
    let affinity = prop::sample::select(vec!["", "affinity 10", "affinity 20"]);
    let front =
        prop::sample::select(vec!["", "external 10.96.0.1", "lb 10.123.0.2", "lb 10.123.0.9\nranges"]);
    let policy =
        prop::sample::select(vec!["", "", "external-local", "internal-local", "headless", "proxy x"]);
    (0_u8..4, 30_000_u16..30_003, endpoints, affinity, front, policy).prop_map(
        |(name, node_port, endpoints, affinity, front, policy)| {
            let endpoints: String = endpoints
                .iter()
                .map(|i| format!("endpoint 10.244.0.{i}@node-{} a=80 b=53\n", i % 2 + 1))
                .collect();
            service(&format!(
                "s{name} LoadBalancer 10.96.0.{name}\nport a tcp 80/{node_port}\nport b udp 53\n{endpoints}\n{affinity}\n{front}\n{policy}"
            ))
        },
    )
}

#[derive(Debug, Clone)]
enum Event {
    Set(Box<ServiceView>),
    Remove(u8),
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => any_service().prop_map(|view| Event::Set(Box::new(view))),
        2 => (0_u8..4).prop_map(Event::Remove),
        1 => Just(Event::Restart),
    ]
}

/// What a table means, without ids and slots: each front end's chain and endpoints; all groups; all sets.
fn meaning(table: &Table) -> (BTreeMap<String, String>, Vec<BTreeSet<String>>, Vec<String>) {
    let rows = |name: &str| -> Vec<(Vec<Value>, Data)> {
        let set = &table.sets[name];
        set.elements.iter().map(|(key, data)| (key.values(&set.key).unwrap(), data.clone())).collect()
    };
    let values = |name: &str, data: &Data| match (data, &table.sets[name].kind) {
        (Data::Bytes(bytes), SetKind::Map(fields)) => bytes.values(fields).unwrap(),
        other => panic!("{other:?}"),
    };
    let endpoints: BTreeMap<Value, Vec<Value>> =
        rows("endpoints").iter().map(|(key, data)| (key[0], values("endpoints", data))).collect();
    let mut groups: BTreeMap<Value, BTreeSet<String>> = BTreeMap::new();
    for (key, data) in rows("backends") {
        groups.entry(key[0]).or_default().insert(format!("{:?}", values("backends", &data)));
    }
    let mut used = 0;
    for (key, data) in rows("slots") {
        used += 1;
        groups.entry(key[0]).or_default().insert(format!("{:?}", endpoints[&values("slots", &data)[0]]));
    }
    assert_eq!(used, endpoints.len(), "an endpoint that no slot names");
    let classes: BTreeMap<Value, Data> =
        rows("class").into_iter().map(|(key, data)| (key[0], data)).collect();
    let mut fronts = BTreeMap::new();
    for name in ["services", "nodeports"] {
        for (key, data) in rows(name) {
            let [Value::Mark(mark)] = values(name, &data)[..] else { panic!() };
            let Data::Verdict(verdict) = &classes[&Value::Mark(mark & 0xfff)] else { panic!() };
            let group = groups.get(&Value::Mark(mark & !0xfff));
            if let Verdict::Goto(chain) = verdict {
                let (_, count) = chain.split_once('-').unwrap_or(("", "0"));
                let count = count.split('-').next().unwrap().parse::<usize>().unwrap();
                assert_eq!(group.map_or(0, BTreeSet::len), count, "{key:?}: {chain}");
            }
            fronts.insert(format!("{key:?}"), format!("{verdict:?} {group:?}"));
        }
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort();
    let sets = ["hairpin", "masq_fronts", "masq_nodeports", "ping_ips", "cluster_ips"];
    let sets =
        sets.iter().flat_map(|set| rows(set).into_iter().map(move |row| format!("{set} {row:?}"))).collect();
    (fronts, groups, sets)
}

fn from_nothing(services: &BTreeMap<String, ServiceView>, options: &Options) -> Table {
    let mut layout = Layout::new(options.clone(), None);
    for view in services.values() {
        layout.set_service(&view.name, Some(plan_service(view, &node(), options).0));
    }
    layout.table().clone()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn incremental_is_from_nothing(events in prop::collection::vec(event(), 1..14)) {
        let kernel = FakeKernel::default();
        let mut proxy = Proxy::new(Config::new("node-1"), kernel.clone());
        let options = Options { node_addresses: vec!["10.123.0.2".parse().unwrap()], loopback_source: Config::new("n").loopback_source, ..Options::default() };
        let mut services = BTreeMap::new();
        for event in events {
            match event {
                Event::Set(view) => { services.insert(view.name.name.to_string(), *view); }
                Event::Remove(number) => { services.remove(&format!("s{number}")); }
                Event::Restart => proxy = Proxy::new(Config::new("node-1"), kernel.clone()),
            }
            let snapshot = snapshot(services.values().cloned());
            proxy.sync(&snapshot).unwrap();
            let table = kernel.with(|state| state.table.clone()).unwrap();
            prop_assert_eq!(audit(&table), Vec::<String>::new());
            prop_assert_eq!(meaning(&table), meaning(&from_nothing(&services, &options)));
            let before = proxy.status().transactions;
            proxy.sync(&snapshot).unwrap();
            prop_assert_eq!(proxy.status().transactions, before, "twice changes nothing");
            let mut restarted = Proxy::new(Config::new("node-1"), kernel.clone());
            restarted.sync(&snapshot).unwrap();
            // Affinity chains that nobody needs any more go with a restart; nothing else is written.
            let written = kernel.with(|state| state.transactions.pop().filter(|_| restarted.status().transactions > 0));
            let only_chains = written.iter().flatten().all(|change| match change {
                sealane_nft::Change::FlushChain { name } | sealane_nft::Change::DeleteChain { name } => name.starts_with("aff-"),
                sealane_nft::Change::DeleteElements { set, .. } => &**set == "class",
                _ => false,
            });
            prop_assert!(only_chains, "{written:?}");
            proxy = restarted;
        }
    }
}
