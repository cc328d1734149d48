//! What it costs to program 10,000 Services into a kernel: all from nothing, then one endpoint's change after the other.
//!
//! Run by `cargo xtask bench proxy`, in network namespaces of its own.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program for people; it ends where it cannot go on"
)]

#[path = "../tests/fixture/mod.rs"]
mod fixture;

use fixture::lab::Lab;
use fixture::{many, one_of_many};
use sealane_model::Snapshot;
use sealane_nft::wire::encode;
use sealane_nft::{Change, Family};
use sealane_proxy::apply::{Backend, FakeKernel, Kernel};
use sealane_proxy::{Config, Proxy};
use std::sync::Arc;
use std::time::{Duration, Instant};

const SERVICES: u32 = 10_000;
const CHANGES: u32 = 500;

fn main() {
    let lab = Lab::new(0);
    let kernel = || lab.inside("node", || Kernel::open().unwrap());
    let mut all = many(SERVICES);
    let mut proxy = Proxy::new(Config::new("node-1"), kernel());
    let first = timed(&mut proxy, &all);
    println!("{SERVICES} Services x 3 endpoints from an empty kernel   {first}   goal 500 ms");
    let mut times = Vec::new();
    for number in 1..=CHANGES {
        all = changed(&all, number);
        times.push(timed(&mut proxy, &all));
    }
    println!("one endpoint replaced, Snapshot to committed, {CHANGES} times");
    println!("  p50 {}   goal 0.3 ms", at(&mut times, 50));
    println!("  p99 {}   goal 2 ms", at(&mut times, 99));
    let (whole, most) = netlink_bytes();
    println!("  netlink {most} B at most   goal 1000 B (and {} kB for all from nothing)", whole / 1_000);
    let mut restarted = Proxy::new(Config::new("node-1"), kernel());
    let cost = timed(&mut restarted, &all);
    println!("restart, to verified                               {cost}   goal 300 ms");
    println!("  transactions {}   goal 0", restarted.status().transactions);
}

/// The same with another endpoint in one Service.
fn changed(all: &Snapshot, number: u32) -> Arc<Snapshot> {
    let (view, mut next) = (one_of_many(number, 4), all.clone());
    next.services.insert(view.name.clone(), view.into());
    next.into()
}

/// What all Services from nothing take, and one change at most; counted on a kernel in memory, which takes its time.
fn netlink_bytes() -> (usize, usize) {
    let (mut all, mut kernel) = (many(SERVICES), FakeKernel::default());
    let mut proxy = Proxy::new(Config::new("node-1"), kernel.clone());
    proxy.sync(&all).unwrap();
    let whole = bytes(&mut kernel);
    let one = |number| {
        all = changed(&all, number);
        proxy.sync(&all).unwrap();
        bytes(&mut kernel)
    };
    (whole, (1..=20).map(one).max().unwrap_or_default())
}

/// Time that passed, and time that this thread ran: on a busy machine they differ.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Cost {
    wall: Duration,
    cpu: Duration,
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        write!(f, "{:>8.3} ms", ms(self.wall))?;
        // The kernel tells a running thread's time in ticks: too coarse for a change.
        if self.cpu > Duration::from_millis(20) {
            write!(f, " ({:.0} ms of CPU)", ms(self.cpu))
        } else {
            Ok(())
        }
    }
}

fn timed<B: Backend>(proxy: &mut Proxy<B>, snapshot: &Arc<Snapshot>) -> Cost {
    let ran = || {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
    };
    let (start, before) = (Instant::now(), ran());
    proxy.sync(snapshot).unwrap();
    Cost { wall: start.elapsed(), cpu: ran() - before }
}

fn at(times: &mut [Cost], percent: usize) -> Cost {
    times.sort();
    times[times.len() * percent / 100]
}

/// The bytes of what the kernel was sent since the last call.
fn bytes(kernel: &mut FakeKernel) -> usize {
    let transactions: Vec<Vec<Change>> = kernel.with(|state| std::mem::take(&mut state.transactions));
    let encoded = |changes: &Vec<Change>| {
        let batches = encode(Family::Ip, sealane_proxy::plan::TABLE, changes, usize::MAX, &mut 0);
        batches.iter().map(|batch| batch.bytes.len()).sum::<usize>()
    };
    transactions.iter().map(encoded).sum()
}
