//! Names outside the cluster: upstreams that answer, cut off, fail, are slow, lie or are gone.

#![allow(clippy::unwrap_used, reason = "tests, helpers too")]

mod fixture;

use fixture::server::{LONG, Server, framed, unframed};
use fixture::upstream::{Manner, Upstream};
use fixture::{Decoded, alias, cluster, config, query};
use sealane_dns::{Config, Forwarding, Patience};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};

const MINUTE: Manner = Manner::Address { ttl_s: 60 };
const SERVFAIL: Manner = Manner::Code(2);
const NXDOMAIN: Manner = Manner::Code(3);

/// A server with these upstreams and little patience.
async fn server(upstreams: &[SocketAddr]) -> Server {
    let patience = Patience { next: Duration::from_millis(100), all: Duration::from_millis(600) };
    server_with(upstreams, Forwarding { patience, ..Forwarding::default() }).await
}

async fn server_with(upstreams: &[SocketAddr], forwarding: Forwarding) -> Server {
    let server = Server::start(Config { upstream: upstreams.to_vec(), forwarding, ..config() }).await;
    let mut snapshot = cluster();
    let view = alias("extup", "www.example.com");
    snapshot.services.insert(view.name.clone(), view.into());
    server.snapshots.send_replace(Arc::new(snapshot));
    let web = query("web.prod.svc.cluster.local", 1, 1, None);
    let end = Instant::now() + LONG;
    while server.udp(&web).await.rcode != "NOERROR" {
        assert!(Instant::now() < end);
    }
    server
}

async fn ask(server: &Server, name: &str) -> Decoded {
    server.udp(&query(name, 1, 1, Some((4096, 0)))).await
}

fn address(name: &str, ttl_s: u32, n: usize) -> [String; 2] {
    [format!("{name} {ttl_s} CNAME alias.{name}."), format!("alias.{name} {ttl_s} A 192.0.2.{n}")]
}

async fn metric(server: &Server, name: &str) -> u64 {
    let page = server.page("/metrics").await;
    let line = page.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("{name} in {page}")).parse().unwrap()
}

#[tokio::test]
async fn answers_are_relayed_and_kept() {
    let upstream = Upstream::start(MINUTE).await;
    let server = server(&[upstream.address]).await;
    let got = ask(&server, "WWW.example.com").await;
    assert_eq!(got.rcode, "NOERROR");
    assert_eq!((got.authoritative, got.recursive), (false, true));
    let [cname, a] = address("www.example.com", 60, 1);
    assert_eq!(
        got.answer,
        [cname.replacen("www", "WWW", 1), a],
        "the client's case; the upstream's for the rest"
    );
    assert_eq!(ask(&server, "www.example.com").await.answer[1], address("www.example.com", 60, 1)[1]);
    assert_eq!(upstream.asked(), 1, "the second answer was kept");
    upstream.behave(NXDOMAIN);
    for _ in 0..2 {
        let got = ask(&server, "gone.example.com").await;
        assert_eq!((got.rcode.as_str(), got.authority.len()), ("NXDOMAIN", 1));
    }
    assert_eq!(upstream.asked(), 2, "so is that there is no such name");
    assert_eq!(ask(&server, "nope.prod.svc.cluster.local").await.rcode, "NXDOMAIN");
    let chaos = server.udp(&query("www.example.com", 1, 3, None)).await;
    assert_eq!(
        (chaos.rcode.as_str(), upstream.asked()),
        ("REFUSED", 2),
        "what is ours, or nobody's, is not asked"
    );
    assert_eq!(metric(&server, "coredns_cache_hits_total{type=\"success\"}").await, 1);
    assert_eq!(metric(&server, "coredns_cache_hits_total{type=\"denial\"}").await, 1);
    assert_eq!(metric(&server, "coredns_cache_entries{type=\"denial\"}").await, 1);
    let to = upstream.address;
    assert_eq!(
        metric(&server, &format!("coredns_forward_responses_total{{rcode=\"NXDOMAIN\",to=\"{to}\"}}")).await,
        1
    );
}

#[tokio::test]
async fn an_alias_of_the_cluster_is_followed_outside() {
    let upstream = Upstream::start(MINUTE).await;
    let server = server(&[upstream.address]).await;
    let name = "extup.prod.svc.cluster.local";
    let own = format!("{name} 5 CNAME www.example.com.");
    let got = ask(&server, name).await;
    let [cname, a] = address("www.example.com", 60, 1);
    assert_eq!((got.rcode.as_str(), got.authoritative), ("NOERROR", true));
    assert_eq!(got.answer, [own.clone(), cname, a], "40");
    upstream.behave(NXDOMAIN);
    let got = server.udp(&query(name, 28, 1, None)).await;
    assert_eq!((got.rcode.as_str(), got.answer), ("NOERROR", vec![own]), "41");
    upstream.behave(SERVFAIL);
    let view = alias("extbad", "bad.example.com");
    let mut snapshot = (*server.snapshots.borrow().clone()).clone();
    snapshot.services.insert(view.name.clone(), view.into());
    server.snapshots.send_replace(Arc::new(snapshot));
    let end = Instant::now() + LONG;
    let mut got = ask(&server, "extbad.prod.svc.cluster.local").await;
    while got.rcode == "NXDOMAIN" && Instant::now() < end {
        got = ask(&server, "extbad.prod.svc.cluster.local").await;
    }
    assert_eq!((got.rcode.as_str(), got.answer.len()), ("SERVFAIL", 0), "41: a failure is not hidden");
}

#[tokio::test]
async fn what_does_not_fit_is_had_over_tcp() {
    let upstream = Upstream::start(Manner::Many).await;
    let server = server(&[upstream.address]).await;
    let got = ask(&server, "many.example.com").await;
    assert_eq!((got.truncated, got.answer.len()), (false, 61), "fits 4096 bytes");
    let small = query("many.example.com", 1, 1, None);
    let got = server.udp(&small).await;
    assert!(got.truncated && got.length <= 512 && got.answer.len() > 20, "{got:?}");
    let mut stream = TcpStream::connect(server.dns).await.unwrap();
    framed(&mut stream, &small).await;
    let got = unframed(&mut stream).await;
    assert_eq!((got.truncated, got.answer.len(), upstream.asked()), (false, 61, 1));
}

#[tokio::test]
async fn names_of_foreign_addresses_are_asked_for() {
    let upstream = Upstream::start(NXDOMAIN).await;
    let server = server(&[upstream.address]).await;
    let pointer = |name: &str| query(name, 12, 1, None);
    assert_eq!(server.udp(&pointer("20.0.96.10.in-addr.arpa")).await.answer.len(), 1);
    assert_eq!(upstream.asked(), 0);
    assert_eq!(server.udp(&pointer("200.0.1.10.in-addr.arpa")).await.rcode, "NXDOMAIN", "50");
    assert_eq!(upstream.asked(), 1);
}

#[tokio::test]
async fn another_upstream_is_asked_when_one_fails() {
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for bad in [SERVFAIL, Manner::Silent, Manner::Code(5)] {
        let (bad, good) = (Upstream::start(bad).await, Upstream::start(MINUTE).await);
        let server = server(&[dead, bad.address, good.address]).await;
        assert_eq!(ask(&server, "a.example.com").await.answer, address("a.example.com", 60, 1));
        let asked = bad.asked();
        assert_eq!(ask(&server, "b.example.com").await.answer, address("b.example.com", 60, 2));
        assert_eq!((asked, bad.asked()), (1, 1), "the one that failed is asked last for a while");
    }
}

#[tokio::test]
async fn failing_upstreams_are_a_failure_and_never_a_denial() {
    for manner in [SERVFAIL, Manner::Silent] {
        let upstream = Upstream::start(manner).await;
        let server = server(&[upstream.address]).await;
        assert_eq!(ask(&server, "a.example.com").await.rcode, "SERVFAIL", "{manner:?}");
        assert_eq!(upstream.asked(), 3, "{manner:?}: a lost packet is sent again");
        upstream.behave(MINUTE);
        assert_eq!(ask(&server, "a.example.com").await.rcode, "NOERROR", "a failure is not kept");
        ask(&server, "b.example.com").await;
        assert!(metric(&server, "coredns_forward_healthcheck_broken_total").await >= 1);
    }
}

#[tokio::test]
async fn an_answer_past_its_time_stands_in() {
    let upstream = Upstream::start(Manner::Address { ttl_s: 1 }).await;
    let server = server(&[upstream.address]).await;
    assert_eq!(ask(&server, "a.example.com").await.answer, address("a.example.com", 1, 1));
    upstream.behave(SERVFAIL);
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    for _ in 0..2 {
        assert_eq!(ask(&server, "a.example.com").await.answer[1], "alias.a.example.com 1 A 192.0.2.1");
    }
    assert_eq!(upstream.asked(), 4, "not asked again at once");
    assert_eq!(metric(&server, "coredns_cache_served_stale_total").await, 2);
}

#[tokio::test]
async fn odd_upstreams_are_understood() {
    let upstream = Upstream::start(Manner::WithoutEdns).await;
    let server = server(&[upstream.address]).await;
    assert_eq!(ask(&server, "a.example.com").await.answer, address("a.example.com", 60, 2));
    upstream.behave(Manner::Forged);
    assert_eq!(ask(&server, "b.example.com").await.answer, address("b.example.com", 60, 3));
}

#[tokio::test]
async fn one_question_is_asked_once_and_waiting_clients_are_bounded() {
    let upstream = Upstream::start(Manner::Slow(Duration::from_millis(50))).await;
    let slow = server(&[upstream.address]).await;
    let asks = (0..20).map(|_| ask(&slow, "a.example.com"));
    for got in futures(asks).await {
        assert_eq!(got.answer, address("a.example.com", 60, 1));
    }
    assert_eq!(upstream.asked(), 1);

    upstream.behave(Manner::Silent);
    let patience = Patience { next: Duration::from_secs(5), all: Duration::from_secs(5) };
    let forwarding = Forwarding { patience, most_waiting: 1, ..Forwarding::default() };
    let server = server_with(&[upstream.address], forwarding).await;
    let asked = upstream.asked();
    let waiting = query("b.example.com", 1, 1, None);
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(&waiting, server.dns).await.unwrap();
    let end = Instant::now() + LONG;
    while upstream.asked() == asked {
        assert!(Instant::now() < end);
        tokio::task::yield_now().await;
    }
    assert_eq!(ask(&server, "c.example.com").await.rcode, "REFUSED", "70");
    assert_eq!(
        ask(&server, "web.prod.svc.cluster.local").await.rcode,
        "NOERROR",
        "the cluster's names go on"
    );
    assert_eq!(metric(&server, "coredns_forward_max_concurrent_rejects_total").await, 1);
}

/// All at the same time.
async fn futures<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut all: Vec<_> = all.map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|context| {
        for (future, done) in all.iter_mut().filter(|(_, done)| done.is_none()) {
            if let std::task::Poll::Ready(output) = future.as_mut().poll(context) {
                *done = Some(output);
            }
        }
        if all.iter().all(|(_, done)| done.is_some()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    all.into_iter().filter_map(|(_, done)| done).collect()
}
