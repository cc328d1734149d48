//! The proxy on a real kernel, with real packets, in network namespaces of the test's own.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod fixture;

use fixture::lab::{Lab, ask, pod_ip, tcp};
use fixture::{service, snapshot};
use sealane_model::ServiceView;
use sealane_proxy::apply::Kernel;
use sealane_proxy::{Config, DEFAULT_LOOPBACK_SOURCE, Proxy};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// A proxy in the lab's node.
fn proxy(lab: &Lab) -> Proxy<Kernel> {
    let kernel = lab.inside("node", || {
        let mut kernel = Kernel::open().unwrap();
        kernel.add_loopback_source(DEFAULT_LOOPBACK_SOURCE).unwrap();
        kernel
    });
    Proxy::new(Config::new("node-1"), kernel)
}

fn lab_with_pods(pods: u8) -> Lab {
    let lab = Lab::new(pods);
    for index in 0..pods {
        lab.serve(&format!("pod{index}"), 8080);
    }
    lab
}

/// A Service with a TCP and a UDP port, 80, and the NodePort 30001 for both, on these Pods.
fn web(pods: &[u8]) -> ServiceView {
    let endpoints: String = pods.iter().map(|i| format!("endpoint {} t=8080 u=8080\n", pod_ip(*i))).collect();
    service(&format!(
        "web LoadBalancer 10.96.0.5\nport t tcp 80/30001\nport u udp 80/30001\nlb 10.123.0.2\n{endpoints}"
    ))
}

/// How often each server answered.
fn shares(answers: impl Iterator<Item = Result<String, ErrorKind>>) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for answer in answers {
        let key =
            answer.map_or_else(|kind| format!("{kind:?}"), |text| text.split(' ').next().unwrap().to_owned());
        *shares.entry(key).or_default() += 1;
    }
    shares
}

#[test]
fn what_is_written_reads_back_and_a_restart_writes_nothing() {
    let lab = Lab::new(0);
    let sticky = service("sticky ClusterIP 10.96.0.6\nport t tcp 80\naffinity 30\nendpoint 10.244.1.10 t=80");
    let services = snapshot([web(&[0, 1, 2]), sticky, service("none ClusterIP 10.96.0.7\nport t tcp 80")]);
    let mut first = proxy(&lab);
    first.sync(&services).unwrap();
    assert_eq!(first.status().transactions, 1);
    first.check().unwrap();
    assert_eq!(first.status().repairs, 0);
    let mut second = proxy(&lab);
    second.sync(&services).unwrap();
    assert_eq!(second.status().transactions, 0, "all was there already");
    let listing = lab.output("node", "nft", &["list", "ruleset"]);
    assert!(listing.contains("map @backends") && listing.contains("10.96.0.5 . tcp . 80"), "{listing}");
    lab.inside("node", || {
        Kernel::open().unwrap().remove_all(Some(DEFAULT_LOOPBACK_SOURCE)).unwrap();
    });
    assert_eq!(lab.output("node", "nft", &["list", "ruleset"]), "");
}

#[test]
fn tcp_and_udp_reach_every_endpoint_from_everywhere() {
    let lab = lab_with_pods(3);
    proxy(&lab).sync(&snapshot([web(&[0, 1, 2])])).unwrap();
    // (from, to): a ClusterIP, the node's address by NodePort and by the load balancer's port, 127.0.0.1.
    let ways = [
        ("client", "10.96.0.5:80"),
        ("client", "10.123.0.2:30001"),
        ("client", "10.123.0.2:80"),
        ("node", "10.96.0.5:80"),
        ("node", "10.123.0.2:30001"),
        ("node", "127.0.0.1:30001"),
        ("node", "10.123.0.2:80"),
        ("pod0", "10.96.0.5:80"),
        ("pod0", "10.123.0.2:30001"),
        ("pod0", "10.123.0.2:80"),
    ];
    for (from, to) in ways {
        let address: SocketAddr = to.parse().unwrap();
        let tcp = lab.inside(from, move || shares((0..30).map(|_| tcp(address))));
        assert_eq!(tcp.keys().collect::<Vec<_>>(), ["pod0", "pod1", "pod2"], "tcp {from} -> {to}: {tcp:?}");
        let udp = lab.inside(from, move || {
            shares((0..30).map(|_| ask(&UdpSocket::bind("0.0.0.0:0").unwrap(), address)))
        });
        assert_eq!(udp.keys().collect::<Vec<_>>(), ["pod0", "pod1", "pod2"], "udp {from} -> {to}: {udp:?}");
    }
}

#[test]
fn connections_are_spread_evenly() {
    let lab = lab_with_pods(3);
    proxy(&lab).sync(&snapshot([web(&[0, 1, 2])])).unwrap();
    let address: SocketAddr = "10.96.0.5:80".parse().unwrap();
    // One port each: a port that is used again would follow its old flow.
    let shares = lab.inside("client", move || {
        shares((20_000..21_200).map(|port| ask(&UdpSocket::bind(("0.0.0.0", port)).unwrap(), address)))
    });
    let expected = 400.0;
    let chi_square: f64 =
        shares.values().map(|n| (f64::from(u32::try_from(*n).unwrap()) - expected).powi(2) / expected).sum();
    // p = 0.0001 at two degrees of freedom.
    assert!(shares.len() == 3 && chi_square < 18.4, "{shares:?}: {chi_square}");
}

#[test]
fn sources_are_kept_where_they_can_be() {
    let lab = lab_with_pods(2);
    proxy(&lab).sync(&snapshot([web(&[0])])).unwrap();
    let cases = [
        ("pod1", "10.96.0.5:80", "pod0 10.244.1.11", "another Pod is seen as itself"),
        ("pod0", "10.96.0.5:80", "pod0 10.244.1.1", "a Pod that reaches itself comes from the node"),
        ("client", "10.96.0.5:80", "pod0 10.123.0.1", "a ClusterIP keeps the client"),
        ("client", "10.123.0.2:30001", "pod0 10.244.1.1", "a NodePort's answer must pass the node"),
        ("client", "10.123.0.2:80", "pod0 10.244.1.1", "so must a load balancer's"),
    ];
    for (from, to, expected, why) in cases {
        assert_eq!(lab.tcp(from, to).as_deref(), Ok(expected), "{why}: tcp {from} -> {to}");
        assert_eq!(lab.udp(from, to).as_deref(), Ok(expected), "{why}: udp {from} -> {to}");
    }
}

#[test]
fn without_endpoints_connections_are_refused_at_once() {
    let lab = lab_with_pods(1);
    let mut proxy = proxy(&lab);
    proxy.sync(&snapshot([web(&[])])).unwrap();
    let refused = |from: &str, to: &str| {
        let start = Instant::now();
        assert_eq!(lab.tcp(from, to), Err(ErrorKind::ConnectionRefused), "tcp {from} -> {to}");
        assert!(start.elapsed() < Duration::from_millis(500), "tcp {from} -> {to}: {:?}", start.elapsed());
    };
    for to in ["10.96.0.5:80", "10.96.0.5:81", "10.123.0.2:30001"] {
        for from in ["client", "node", "pod0"] {
            refused(from, to);
        }
    }
    refused("node", "127.0.0.1:30001");
    assert_eq!(lab.udp("client", "10.96.0.5:80"), Err(ErrorKind::ConnectionRefused));
    assert_eq!(lab.udp("pod0", "10.123.0.2:30001"), Err(ErrorKind::ConnectionRefused));
    proxy.sync(&snapshot([web(&[0])])).unwrap();
    assert_eq!(lab.tcp("client", "10.96.0.5:80").as_deref(), Ok("pod0 10.123.0.1"), "the first one serves");
    refused("client", "10.96.0.5:81");
}

#[test]
fn a_client_stays_where_it_was_until_that_endpoint_goes() {
    let lab = lab_with_pods(3);
    let sticky = |pods: &[u8]| ServiceView {
        affinity: Some(sealane_model::SessionAffinity { timeout_s: 60 }),
        ..web(pods)
    };
    let mut proxy = proxy(&lab);
    proxy.sync(&snapshot([sticky(&[0, 1, 2])])).unwrap();
    let of =
        |from: &str, to: &str| -> String { lab.tcp(from, to).unwrap().split(' ').next().unwrap().to_owned() };
    let first = of("client", "10.96.0.5:80");
    for _ in 0..10 {
        assert_eq!(of("client", "10.96.0.5:80"), first);
        assert_eq!(of("client", "10.123.0.2:30001"), first, "over all front ends");
    }
    let rest: Vec<u8> = (0..3).filter(|i| format!("pod{i}") != first).collect();
    proxy.sync(&snapshot([sticky(&rest)])).unwrap();
    let second = of("client", "10.96.0.5:80");
    assert_ne!(second, first, "moves on at once");
    for _ in 0..10 {
        assert_eq!(of("client", "10.96.0.5:80"), second);
    }
    lab.output("node", "nft", &["list", "ruleset"]);
}

#[test]
fn a_ping_of_a_cluster_ip_is_answered() {
    let lab = lab_with_pods(1);
    proxy(&lab).sync(&snapshot([web(&[0])])).unwrap();
    let Some(ping) =
        ["/bin/ping", "/usr/bin/ping"].into_iter().find(|path| std::path::Path::new(path).exists())
    else {
        return;
    };
    for from in ["client", "node", "pod0"] {
        lab.output(from, ping, &["-c", "1", "-W", "2", "10.96.0.5"]);
    }
}

#[test]
fn what_others_change_is_put_right() {
    let lab = lab_with_pods(1);
    let mut proxy = proxy(&lab);
    proxy.sync(&snapshot([web(&[0])])).unwrap();
    let break_and_check = |proxy: &mut Proxy<Kernel>, args: &[&str], repairs: u64| {
        lab.output("node", "nft", args);
        std::thread::sleep(Duration::from_millis(1));
        while proxy.status().repairs < repairs {
            proxy.check().unwrap();
        }
        assert_eq!(lab.tcp("client", "10.96.0.5:80").as_deref(), Ok("pod0 10.123.0.1"), "after {args:?}");
    };
    break_and_check(&mut proxy, &["flush", "chain", "ip", "sealane", "services"], 1);
    break_and_check(&mut proxy, &["delete", "table", "ip", "sealane"], 2);
    break_and_check(&mut proxy, &["flush", "map", "ip", "sealane", "services"], 3);
    break_and_check(&mut proxy, &["add", "chain", "ip", "sealane", "theirs"], 4);
    break_and_check(
        &mut proxy,
        &[
            "insert",
            "rule",
            "ip",
            "sealane",
            "nat-pre",
            "ip",
            "saddr",
            "{",
            "10.123.0.1,",
            "10.9.9.9",
            "}",
            "accept",
        ],
        5,
    );
    lab.output("node", "nft", &["add", "table", "ip", "other"]);
    proxy.check().unwrap();
    assert_eq!(proxy.status().repairs, 5, "another table is not ours to mind");
    assert!(lab.output("node", "nft", &["list", "tables"]).contains("table ip other"));
}

#[test]
fn udp_clients_move_on_when_their_endpoint_goes() {
    for filter in [true, false] {
        let lab = lab_with_pods(2);
        let kernel = lab.inside("node", move || {
            if filter { Kernel::open().unwrap() } else { Kernel::open_without_conntrack_filter().unwrap() }
        });
        let mut proxy = Proxy::new(Config::new("node-1"), kernel);
        proxy.sync(&snapshot([web(&[0])])).unwrap();
        let (cluster_ip, node_port) = ("10.96.0.5:80".parse().unwrap(), "10.123.0.2:30001".parse().unwrap());
        let sockets = lab.inside("client", || [0; 2].map(|_| UdpSocket::bind("0.0.0.0:0").unwrap()));
        assert_eq!(ask(&sockets[0], cluster_ip).as_deref(), Ok("pod0 10.123.0.1"));
        assert_eq!(ask(&sockets[1], node_port).as_deref(), Ok("pod0 10.244.1.1"));
        proxy.sync(&snapshot([web(&[1])])).unwrap();
        assert_eq!(ask(&sockets[0], cluster_ip).as_deref(), Ok("pod1 10.123.0.1"), "filter {filter}");
        assert_eq!(ask(&sockets[1], node_port).as_deref(), Ok("pod1 10.244.1.1"), "filter {filter}");
        // The same while no proxy runs: the next one compares with what the kernel held.
        self::proxy(&lab).sync(&snapshot([web(&[0])])).unwrap();
        assert_eq!(ask(&sockets[0], cluster_ip).as_deref(), Ok("pod0 10.123.0.1"), "after a restart");
    }
}

#[test]
fn udp_clients_that_asked_too_early_are_served_when_the_service_comes() {
    let lab = lab_with_pods(1);
    let mut proxy = proxy(&lab);
    proxy.sync(&snapshot([service("other ClusterIP 10.96.0.9\nport t tcp 80")])).unwrap();
    let early = lab.inside("pod0", || UdpSocket::bind("0.0.0.0:0").unwrap());
    early.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    early.send_to(b"?", "10.96.0.5:80").unwrap();
    proxy.sync(&snapshot([web(&[0])])).unwrap();
    assert_eq!(ask(&early, "10.96.0.5:80".parse().unwrap()).as_deref(), Ok("pod0 10.244.1.1"));
}
