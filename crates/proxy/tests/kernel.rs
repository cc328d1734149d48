//! The proxy on a real kernel, with real packets, in network namespaces of the test's own.

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
        let key = answer.map_or_else(|kind| format!("{kind:?}"), |text| text.split(' ').next().unwrap().to_owned());
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
