//! Queries/s and CPU time a query of the UDP hot path, beside a bare echo of the same packets with the same system calls.
//!
//! Run by `cargo xtask bench dns`, in a network namespace of its own. Both servers are in this process, one thread a core;
//! only their threads' CPU time is counted.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program for people; it ends where it cannot go on"
)]

#[path = "../src/serve/batch.rs"]
#[allow(dead_code, reason = "the server uses the rest")]
mod batch;
#[path = "../tests/fixture/mod.rs"]
mod fixture;
#[path = "../src/serve/socket.rs"]
#[allow(dead_code, reason = "the server uses the rest")]
mod socket;

use batch::Batch;
use fixture::{config, query, service, snapshot};
use sealane_dns::Config;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(700);
const SERVICES: usize = 10_000;
const CLIENTS: usize = 4;
/// Queries of one client on their way at a time.
const WINDOW: usize = 32;
const GOAL: f64 = 0.85;

/// What a server did in one round.
#[derive(Clone, Copy)]
struct Round {
    per_second: f64,
    cpu_us: f64,
}

fn main() {
    assert!(std::process::Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
    let (dns, echo) = ("127.0.0.1:5300".parse().unwrap(), "127.0.0.1:5301".parse().unwrap());
    start_dns(dns);
    start_echo(echo);
    let (mut of_echo, mut of_dns) = (Vec::new(), Vec::new());
    for number in 0..ROUNDS {
        let (first, second) = (round(echo, "echo"), round(dns, "dns-udp"));
        println!(
            "round {number}: echo {:>7.0}/s {:.3} µs · dns {:>7.0}/s {:.3} µs · CPU {:.3} · rate {:.3}",
            first.per_second,
            first.cpu_us,
            second.per_second,
            second.cpu_us,
            first.cpu_us / second.cpu_us,
            second.per_second / first.per_second,
        );
        of_echo.push(first);
        of_dns.push(second);
    }
    let cpu = |rounds: &[Round]| median(rounds.iter().map(|round| round.cpu_us));
    let rate = |rounds: &[Round]| median(rounds.iter().map(|round| round.per_second));
    println!("\nmedian of {ROUNDS}, {SERVICES} Services    bare echo        dns");
    println!("queries/s                     {:>9.0}  {:>9.0}", rate(&of_echo), rate(&of_dns));
    println!("CPU a query                  {:>8.3} µs  {:>7.3} µs", cpu(&of_echo), cpu(&of_dns));
    let ratio = median(of_echo.iter().zip(&of_dns).map(|(echo, dns)| echo.cpu_us / dns.cpu_us));
    println!("echo's CPU ÷ ours             {ratio:.3}   goal ≥ {GOAL}");
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn name(n: usize) -> String {
    format!("service-{n}.namespace-{}.svc.cluster.local", n % 100)
}

fn start_dns(address: SocketAddr) {
    let view = |n: usize| {
        service(
            &format!("namespace-{}", n % 100),
            &format!("service-{n}"),
            &[&format!("10.96.{}.{}", n / 256, n % 256)],
            &[("http", 80)],
        )
    };
    let snapshot = Arc::new(snapshot((0..SERVICES).map(view).collect()));
    let config = Config { listen: vec![address], ..config() };
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (_sender, receiver) = tokio::sync::watch::channel(snapshot);
        runtime
            .block_on(sealane_dns::run(config, receiver, tokio_util::sync::CancellationToken::new()))
            .unwrap();
    });
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let (end, mut answer) = (Instant::now() + Duration::from_secs(10), [0; 512]);
    loop {
        assert!(Instant::now() < end, "DNS does not answer");
        client.send_to(&query(&name(1), 1, 1, None), address).unwrap();
        // Answered with one address.
        if client.recv(&mut answer).is_ok() && answer[3] & 0xF == 0 && answer[7] == 1 {
            return;
        }
    }
}

fn start_echo(address: SocketAddr) {
    for n in 0..std::thread::available_parallelism().map_or(1, usize::from).min(8) {
        let socket = socket::udp(address).unwrap();
        let serve = move || {
            let mut batch = Batch::new();
            loop {
                let received = batch.receive(&socket).unwrap();
                for index in 0..received {
                    let (packet, message) = batch.exchange(index);
                    message.clear();
                    message.extend_from_slice(packet);
                }
                batch.send(&socket);
            }
        };
        std::thread::Builder::new().name(format!("echo-{n}")).spawn(serve).unwrap();
    }
}

/// Loads the server at `address`, whose threads' names begin with `threads`.
fn round(address: SocketAddr, threads: &str) -> Round {
    let (answers, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let (answers, over) = (answers.clone(), over.clone());
            std::thread::spawn(move || load(address, n, &answers, &over))
        })
        .collect();
    std::thread::sleep(Duration::from_millis(100));
    let (start, before, cpu) = (Instant::now(), answers.load(Ordering::Relaxed), cpu_ns(threads));
    std::thread::sleep(ROUND);
    let (passed, cpu) = (start.elapsed(), cpu_ns(threads) - cpu);
    let count = answers.load(Ordering::Relaxed) - before;
    over.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().unwrap());
    #[allow(clippy::cast_precision_loss, reason = "figures to read")]
    let (count, cpu) = (count as f64, cpu as f64);
    Round { per_second: count / passed.as_secs_f64(), cpu_us: cpu / 1e3 / count }
}

/// Sends another query for each answer. What is lost is made up for when all is quiet.
fn load(address: SocketAddr, client: usize, answers: &AtomicU64, over: &AtomicBool) {
    let queries: Vec<_> = (0..1_000).map(|n| query(&name(n * 10 + client), 1, 1, None)).collect();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let (mut batch, mut next) = (Batch::new(), 0);
    let mut another = || {
        next = (next + 1) % queries.len();
        &queries[next]
    };
    while !over.load(Ordering::Relaxed) {
        match batch.receive(&socket) {
            Ok(received) => {
                answers.fetch_add(received as u64, Ordering::Relaxed);
                for index in 0..received {
                    let (_, message) = batch.exchange(index);
                    message.clear();
                    message.extend_from_slice(another());
                }
                batch.send(&socket);
            }
            Err(_) => (0..WINDOW).for_each(|_| drop(socket.send_to(another(), address))),
        }
    }
}

/// What the threads of such names have run.
fn cpu_ns(threads: &str) -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let named = tasks.filter(|task| {
        std::fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.starts_with(threads))
    });
    let ran = |task: std::fs::DirEntry| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap();
        text.split(' ').next().unwrap().parse::<u64>().unwrap()
    };
    named.map(ran).sum()
}
