//! Services created per second by 64 clients over TLS on loopback, on the durable store, beside bare transactions of that store by
//! as many writers. Clients and server share this process and its cores.
//!
//! Run by `cargo xtask bench creates`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a program for people; it ends where it cannot go on"
)]

#[path = "../tests/api/authority.rs"]
mod authority;

use authority::Authority;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rcgen::KeyPair;
use rustls::pki_types::ServerName;
use sealane_apiserver::{ApiServer, Config};
use sealane_storage::{Condition, EmbeddedStore, Op, Store};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const CLIENTS: usize = 64;
/// Objects of one client in a round.
const EACH: usize = 40;
const ROUNDS: usize = 5;

#[tokio::main(worker_threads = 2)]
async fn main() {
    let _ = std::process::Command::new("ip").args(["link", "set", "lo", "up"]).status();
    let directory = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(EmbeddedStore::open(&directory.path().join("store")).unwrap());
    let (mut bare, mut served) = (Vec::new(), Vec::new());
    let (address, clients) = serve(store.clone()).await;
    for round in 0..ROUNDS {
        bare.push(transactions(&store, round).await);
        served.push(creates(address, &clients, round).await);
        println!("round {round}: {:>6.0} transactions/s, {:>6.0} Services/s", bare[round], served[round]);
    }
    let one = one_client(address, &clients).await;
    let (bare, served) = (median(bare), median(served));
    println!(
        "\nService creates/s, {CLIENTS} clients: {served:.0}; of the bare store: {:.2}; one client alone: {one:.0}",
        served / bare
    );
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Transactions of one object of a Service's size each, a claim beside it, by as many writers as there are clients.
async fn transactions(store: &Arc<dyn Store>, round: usize) -> f64 {
    let started = Instant::now();
    let writers = (0..CLIENTS).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for number in 0..EACH {
                let key: Arc<str> = format!("/bench/{round}/{writer}/{number}").into();
                let claim: Arc<str> = format!("/claim/{round}/{writer}/{number}").into();
                let ops = vec![
                    Op::Put(key.clone(), vec![0x61; 900].into()),
                    Op::Put(claim, Bytes::from_static(b"x")),
                ];
                store.txn(vec![Condition::Absent(key)], ops).await.unwrap();
            }
        })
    });
    futures::future::join_all(writers).await;
    (CLIENTS * EACH) as f64 / started.elapsed().as_secs_f64()
}

async fn creates(address: SocketAddr, tls: &tokio_rustls::TlsConnector, round: usize) -> f64 {
    let connections = futures::future::join_all((0..CLIENTS).map(|_| connect(address, tls))).await;
    let started = Instant::now();
    let clients = connections.into_iter().enumerate().map(|(client, mut connection)| {
        tokio::spawn(async move {
            for number in 0..EACH {
                create(&mut connection, &format!("s-{round}-{client}-{number}")).await;
            }
        })
    });
    futures::future::join_all(clients).await.into_iter().for_each(Result::unwrap);
    (CLIENTS * EACH) as f64 / started.elapsed().as_secs_f64()
}

async fn one_client(address: SocketAddr, tls: &tokio_rustls::TlsConnector) -> f64 {
    let mut connection = connect(address, tls).await;
    let started = Instant::now();
    for number in 0..EACH {
        create(&mut connection, &format!("alone-{number}")).await;
    }
    EACH as f64 / started.elapsed().as_secs_f64()
}

async fn create(connection: &mut SendRequest<Full<Bytes>>, name: &str) {
    let body = format!(
        r#"{{"apiVersion":"v1","kind":"Service","metadata":{{"name":"{name}","labels":{{"app":"bench"}}}},
        "spec":{{"selector":{{"app":"bench"}},"ports":[{{"name":"http","port":80,"targetPort":8080}}]}}}}"#
    );
    let request = http::Request::post("/api/v1/namespaces/default/services").header("host", "localhost");
    let request = request.header("content-type", "application/json").body(Full::from(body)).unwrap();
    connection.ready().await.unwrap();
    let response = connection.send_request(request).await.unwrap();
    let status = response.status();
    let answer = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(status, 201, "{}", String::from_utf8_lossy(&answer));
}

async fn connect(address: SocketAddr, tls: &tokio_rustls::TlsConnector) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let stream = tls.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
    let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// A bootstrapped server, and an administrator's way to it.
async fn serve(store: Arc<dyn Store>) -> (SocketAddr, tokio_rustls::TlsConnector) {
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let config = Config {
        service_cidrs: vec![("10.0.0.0".parse().unwrap(), 12)],
        node_ports: 30000..=32767,
        advertise: address,
        cluster_domain: "cluster.local".into(),
        issuer: "https://kubernetes.default.svc.cluster.local".into(),
        token_key_pkcs8: KeyPair::generate().unwrap().serialize_der(),
        ca_pem: authority.certificate.pem(),
        kubernetes_version: "v1.33.0".into(),
    };
    let api = ApiServer::new(config, store);
    api.bootstrap().await.unwrap();
    tokio::spawn(api.serve(listener, Arc::new(authority.server()), CancellationToken::new()));
    (address, Arc::new(authority.client("admin", "system:masters")).into())
}
