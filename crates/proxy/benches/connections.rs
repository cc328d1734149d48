//! New TCP connections a second through a ClusterIP beside straight to the Pod, with 10,000 Services programmed.
//!
//! Run by `cargo xtask bench connections`, in network namespaces of its own. The two alternate, so that what else the
//! machine does meets both.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program for people; it ends where it cannot go on"
)]

#[path = "../tests/fixture/mod.rs"]
mod fixture;

use fixture::lab::{Lab, pod_ip};
use fixture::{many, service};
use rustix::net::sockopt::set_socket_linger;
use sealane_proxy::apply::Kernel;
use sealane_proxy::{Config, Proxy};
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const SERVICES: u32 = 10_000;
const ROUNDS: usize = 15;
const ROUND: Duration = Duration::from_millis(500);
const GOAL: f64 = 0.97;

fn main() {
    let lab = Lab::new(1);
    // Closed connections are forgotten soon: no round fills the table for the next.
    let timeout = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_close";
    lab.inside("node", move || drop(std::fs::write(timeout, "1")));
    lab.serve("pod0", 8080);
    let mut proxy = Proxy::new(Config::new("node-1"), lab.inside("node", || Kernel::open().unwrap()));
    let mut all = (*many(SERVICES)).clone();
    let target =
        service(&format!("target ClusterIP 10.97.0.5\nport t tcp 80\nendpoint {} t=8080", pod_ip(0)));
    all.services.insert(target.name.clone(), target.into());
    proxy.sync(&all.into()).unwrap();
    let straight: SocketAddr = format!("{}:8080", pod_ip(0)).parse().unwrap();
    let cluster_ip: SocketAddr = "10.97.0.5:80".parse().unwrap();
    lab.output("client", "ip", &["route", "add", "10.97.0.0/16", "via", "10.123.0.2"]);
    let rate = |to: SocketAddr| lab.inside("client", move || connections(to));
    let mut ratios = Vec::new();
    for number in 0..ROUNDS {
        // Each goes first in turn.
        let (direct, ours) = if number % 2 == 0 {
            let direct = rate(straight);
            (direct, rate(cluster_ip))
        } else {
            let ours = rate(cluster_ip);
            (rate(straight), ours)
        };
        println!(
            "round {number:>2}: straight {direct:>6.0}/s, through the ClusterIP {ours:>6.0}/s: {:.3}",
            ours / direct
        );
        ratios.push(ours / direct);
    }
    ratios.sort_by(f64::total_cmp);
    let (low, median, high) = (ratios[0], ratios[ROUNDS / 2], ratios[ROUNDS - 1]);
    println!("\nmedian {median:.3} (from {low:.3} to {high:.3}) with {SERVICES} Services   goal ≥ {GOAL}");
}

/// Connects, reads the answer and resets, over and over; connections a second.
fn connections(to: SocketAddr) -> f64 {
    let (start, mut count, mut text) = (Instant::now(), 0_u32, [0; 64]);
    while start.elapsed() < ROUND {
        let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(2)).unwrap();
        set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
        assert!(stream.read(&mut text).unwrap() > 0);
        count += 1;
    }
    f64::from(count) / start.elapsed().as_secs_f64()
}
