//! The server on loopback sockets: UDP, TCP, its HTTP pages, and how soon a change is answered.

#![allow(clippy::unwrap_used, reason = "tests, helpers too")]

mod fixture;

use fixture::server::{LONG, Server, framed, unframed};
use fixture::{cluster, config, query, service, snapshot};
use sealane_dns::Config;
use sealane_model::Snapshot;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serves_and_follows() {
    let server = Server::start(config()).await;
    let web = query("web.prod.svc.cluster.local", 1, 1, None);
    assert_eq!(server.udp(&web).await.rcode, "SERVFAIL", "nothing is known yet");
    assert!(server.page("/ready").await.starts_with("HTTP/1.1 503 "));
    assert!(server.page("/health").await.starts_with("HTTP/1.1 200 "));

    server.snapshots.send_replace(Arc::new(cluster()));
    let published = Instant::now();
    while server.udp(&web).await.rcode != "NOERROR" {
        assert!(published.elapsed() < LONG);
    }
    println!("answered {:?} after the snapshot", published.elapsed());
    assert_eq!(server.udp(&web).await.answer, ["web.prod.svc.cluster.local 5 A 10.96.0.20"]);
    assert!(server.page("/ready").await.starts_with("HTTP/1.1 200 "));

    let many = query("many.prod.svc.cluster.local", 1, 1, None);
    assert!(server.udp(&many).await.truncated);
    let mut stream = TcpStream::connect(server.dns).await.unwrap();
    for packet in [&many, &web, &many] {
        framed(&mut stream, packet).await;
    }
    for expected in [60, 1, 60] {
        let got = unframed(&mut stream).await;
        assert_eq!(
            (got.truncated, got.answer.len()),
            (false, expected),
            "queries in one go, answers in order"
        );
    }

    server.snapshots.send_replace(Arc::new(snapshot(vec![service("prod", "web", &["10.96.0.99"], &[])])));
    let changed = Instant::now();
    while server.udp(&web).await.answer != ["web.prod.svc.cluster.local 5 A 10.96.0.99"] {
        assert!(changed.elapsed() < LONG);
    }
    let metrics = server.page("/metrics").await;
    let wanted = "coredns_dns_requests_total{family=\"1\",proto=\"tcp\",server=\"dns://:53\",type=\"A\",view=\"\",zone=\".\"} 3";
    assert!(metrics.contains(wanted), "{metrics}");
    assert!(metrics.contains("rcode=\"SERVFAIL\""), "{metrics}");
    assert!(server.page("/other").await.starts_with("HTTP/1.1 404 "));

    server.shutdown.cancel();
    timeout(LONG, server.running).await.expect("an end").unwrap().unwrap();
}

#[tokio::test]
async fn a_server_that_is_dropped_answers_nobody_any_more() {
    // With an upstream, so that it has the thread that asks it.
    let upstream = vec!["127.0.0.1:9".parse().unwrap()];
    let server = Server::start(Config { upstream, ..config() }).await;
    assert_eq!(server.udp(&query("web.prod.svc.cluster.local", 1, 1, None)).await.rcode, "SERVFAIL");
    server.running.abort();
    assert!(server.running.await.unwrap_err().is_cancelled());
    let end = Instant::now() + LONG;
    // Without SO_REUSEPORT: fails as long as anybody has the address.
    while let Err(error) = std::net::UdpSocket::bind(server.dns) {
        assert!(Instant::now() < end, "{error}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_taken_address_is_an_error_that_names_it() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let (_snapshots, receiver) = watch::channel(Arc::<Snapshot>::default());
    let config = Config { listen: vec![address], ..config() };
    let error = sealane_dns::run(config, receiver, CancellationToken::new()).await.unwrap_err();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    let (_snapshots, receiver) = watch::channel(Arc::<Snapshot>::default());
    let config = Config { cluster_domain: "cluster..local".into(), ..config_on(address) };
    let error = sealane_dns::run(config, receiver, CancellationToken::new()).await.unwrap_err();
    assert!(error.to_string().contains("cluster..local"), "{error}");
}

fn config_on(address: SocketAddr) -> Config {
    Config { listen: vec![address], ..config() }
}
