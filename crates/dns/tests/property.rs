//! No packet is too odd, and a zone that followed changes is the zone made from nothing.

#![allow(clippy::unwrap_used, reason = "tests, helpers too")]

mod fixture;

use fixture::{alias, answer, cluster, config, decode, empty_zone, endpoint, query, service, snapshot, zone};
use proptest::prelude::*;
use sealane_dns::answer::Transport;
use sealane_model::{ServiceView, Snapshot};
use std::collections::BTreeMap;

const LABELS: [&str; 13] = [
    "web", "db", "db-0", "many", "prod", "svc", "pod", "_http", "_tcp", "cluster", "local", "ext", "10-1-0-5",
];

/// Names of the fixture, some of them damaged.
fn name() -> impl Strategy<Value = String> {
    let label =
        prop_oneof![8 => prop::sample::select(&LABELS[..]).prop_map(String::from), 1 => "[a-z0-9_*-]{1,63}"];
    let end = prop_oneof![
        Just(".cluster.local"),
        Just(".svc.cluster.local"),
        Just(".prod.svc.cluster.local"),
        Just(".in-addr.arpa")
    ];
    (prop::collection::vec(label, 0..4), end).prop_map(|(labels, end)| labels.join(".") + end)
}

fn damaged_query() -> impl Strategy<Value = Vec<u8>> {
    let query = (name(), 0..260_u16, prop::option::of((any::<u16>(), 0..2_u8)))
        .prop_map(|(name, qtype, opt)| query(&name, qtype, 1, opt));
    (query, prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), 0..8_usize).prop_map(
        |(mut packet, damages, cut)| {
            for (at, byte) in damages {
                let at = at.index(packet.len());
                packet[at] = byte;
            }
            packet.truncate(packet.len() - cut.saturating_sub(4));
            packet
        },
    )
}

/// What the client can take, as another library reads it.
fn limit(packet: &[u8]) -> usize {
    let opt = domain::base::Message::from_slice(packet).ok().and_then(|message| message.opt());
    opt.map_or(512, |opt| usize::from(opt.udp_payload_size()).max(512))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_are_survived(packet in prop::collection::vec(any::<u8>(), 0..600)) {
        let zone = empty_zone(&config());
        let mut message = Vec::new();
        if answer(&zone, &packet, Transport::Udp, 0, &mut message).is_some() {
            decode(&message);
        }
    }

    #[test]
    fn any_answer_of_an_upstream_is_survived(
        damages in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in 0..20_usize,
    ) {
        thread_local!(static ZONE: sealane_dns::zone::Zone = zone(&config(), &cluster()));
        let packet = query("_pg._tcp.db.prod.svc.cluster.local", 33, 1, None);
        let mut message = Vec::new();
        ZONE.with(|zone| answer(zone, &packet, Transport::Udp, 0, &mut message)).unwrap();
        let whole = sealane_dns::wire::Response::read(&message, 0x1234, &packet[12..]).unwrap();
        prop_assert_eq!((whole.answer.len(), whole.additional.len()), (3, 3));
        for (at, byte) in damages {
            let at = at.index(message.len());
            message[at] = byte;
        }
        message.truncate(message.len() - cut.saturating_sub(10));
        if let Some(read) = sealane_dns::wire::Response::read(&message, 0x1234, &packet[12..]) {
            let _ = read.ttl_s();
        }
    }

    #[test]
    fn whatever_is_answered_can_be_read(packet in damaged_query(), turn in any::<usize>()) {
        thread_local!(static ZONE: sealane_dns::zone::Zone = zone(&config(), &cluster()));
        let mut message = Vec::new();
        let answered = ZONE.with(|zone| answer(zone, &packet, Transport::Udp, turn, &mut message));
        if answered.is_some() {
            let length = decode(&message).length;
            prop_assert!(length <= limit(&packet), "{length} bytes");
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn following_changes_is_starting_from_nothing(steps in prop::collection::vec((0..4_u8, 0..6_u8, 0..4_u8), 1..25)) {
        let (mut views, mut shown) = (BTreeMap::new(), Snapshot::default());
        let mut followed = empty_zone(&config());
        for (n, variant, namespaces) in steps {
            match view(n, variant) {
                Some(view) => views.insert(n, view),
                None => views.remove(&n),
            };
            let mut next = snapshot(views.values().cloned().collect());
            let exists = |(i, name): (usize, &str)| (namespaces >> i & 1 == 1).then(|| std::sync::Arc::<str>::from(name));
            next.namespaces = ["prod", "test"].into_iter().enumerate().filter_map(exists).collect();
            followed = followed.update(&shown, &next, fixture::SERIAL);
            shown = next;
        }
        let fresh = zone(&config(), &shown);
        prop_assert!(followed == fresh, "{followed:?}\nis not\n{fresh:?}");
        for (name, qtype) in questions() {
            let packet = query(&name, qtype, 1, None);
            let (mut one, mut other) = (Vec::new(), Vec::new());
            answer(&followed, &packet, Transport::Udp, 0, &mut one);
            answer(&fresh, &packet, Transport::Udp, 0, &mut other);
            prop_assert_eq!(decode(&one), decode(&other), "{} {}", name, qtype);
        }
    }
}

/// A Service `sN` in one of two namespaces, in one of several shapes; they share addresses.
fn view(n: u8, variant: u8) -> Option<ServiceView> {
    let (namespace, name) = (if n < 2 { "prod" } else { "test" }, format!("s{n}"));
    let mut view = match variant {
        0 => return None,
        1 => service(namespace, &name, &["10.96.0.1"], &[("http", 80)]),
        2 => service(namespace, &name, &["10.96.0.2", "fd00::2"], &[("http", 80), ("x", 81)]),
        3 => ServiceView {
            name: service(namespace, &name, &[], &[]).name,
            ..alias("x", "s0.prod.svc.cluster.local")
        },
        _ => service(namespace, &name, &[], &[]),
    };
    if variant >= 2 {
        let ready = variant != 5;
        view.endpoints = vec![
            endpoint("10.1.0.1", Some("h"), ready, &[("http", 80)]),
            endpoint("10.96.0.1", None, true, &[]),
        ];
    }
    Some(view)
}

fn questions() -> Vec<(String, u16)> {
    let mut all = Vec::new();
    for n in 0..4 {
        let namespace = if n < 2 { "prod" } else { "test" };
        for above in ["", "h.", "10-96-0-1.", "_tcp.", "_http._tcp."] {
            all.extend(
                [1, 28, 33, 5].map(|qtype| (format!("{above}s{n}.{namespace}.svc.cluster.local"), qtype)),
            );
        }
        all.push((format!("{namespace}.svc.cluster.local"), 1));
    }
    for address in ["1.0.96.10", "2.0.96.10", "1.0.1.10"] {
        all.push((format!("{address}.in-addr.arpa"), 12));
    }
    all
}
