//! A large cluster: 10,000 Services, 100,000 endpoints. Alone in its process, because it measures that process.

#![allow(clippy::unwrap_used, reason = "tests, helpers too")]

mod fixture;

use fixture::{answer, config, empty_zone, endpoint, query, service, snapshot};
use sealane_dns::answer::Transport;
use sealane_model::{ServiceView, Snapshot};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

const SERVICES: usize = 10_000;
const MOST_BYTES: usize = 50 << 20;
const MOST_FOR_A_CHANGE: Duration = Duration::from_millis(5);

/// One in ten is headless and has most of the endpoints, with hostnames, as a StatefulSet's have.
fn view(n: usize) -> ServiceView {
    let (namespace, name) = (format!("namespace-{}", n % 100), format!("service-{n}"));
    let port = [("http", 80)];
    let address = |i: usize| format!("10.{}.{}.{}", 100 + i / 65_536, i / 256 % 256, i % 256);
    if n.is_multiple_of(10) {
        let mut view = service(&namespace, &name, &[], &port);
        let one = |i: usize| endpoint(&address(n * 5 + i), Some(&format!("pod-{i}")), true, &port);
        view.endpoints = (0..50).map(one).collect();
        return view;
    }
    let mut view = service(&namespace, &name, &[&format!("10.96.{}.{}", n / 256, n % 256)], &port);
    view.endpoints = (0..6).map(|i| endpoint(&address(50_000 + n * 6 + i), None, true, &port)).collect();
    view
}

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4_096
}

#[test]
fn a_large_cluster_is_small_and_quick() {
    let world: Snapshot = snapshot((0..SERVICES).map(view).collect());
    let before = resident();
    let started = Instant::now();
    let zone = empty_zone(&config()).update(&Snapshot::default(), &world, fixture::SERIAL);
    let (built, bytes) = (started.elapsed(), resident().saturating_sub(before));

    let mut shortest = Duration::MAX;
    for i in 0..20 {
        let mut changed = view(i * 10);
        changed.endpoints.truncate(30);
        let mut next = world.clone();
        next.services.insert(changed.name.clone(), Arc::new(changed));
        let started = Instant::now();
        black_box(zone.update(&world, &next, fixture::SERIAL));
        shortest = shortest.min(started.elapsed());
    }

    let packets: Vec<_> = (0..1_000)
        .map(|n| {
            query(
                &format!("service-{}.namespace-{}.svc.cluster.local", n * 10 + 1, (n * 10 + 1) % 100),
                1,
                1,
                None,
            )
        })
        .collect();
    let mut message = Vec::new();
    let started = Instant::now();
    for turn in 0..100 {
        for packet in &packets {
            let answered = answer(&zone, black_box(packet), Transport::Udp, turn, &mut message).unwrap();
            assert_eq!(answered.rcode.name(), "NOERROR");
        }
    }
    let each = started.elapsed() / 100_000;
    println!("built in {built:?}, {} kB, a change in {shortest:?}, an answer in {each:?}", bytes / 1024);
    assert!(bytes <= MOST_BYTES, "{bytes} bytes");
    assert!(shortest <= MOST_FOR_A_CHANGE, "{shortest:?}");
}
