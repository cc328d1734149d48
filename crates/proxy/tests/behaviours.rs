//! What becomes of a packet: each behaviour of the data path, traced through the planned table.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod fixture;

use fixture::{node, service};
use sealane_model::ServiceView;
use sealane_nft::trace::{FlowState, Outcome, Packet, Trace, Tracer};
use sealane_nft::{Table, audit};
use sealane_proxy::plan::{Layout, Options, plan_service};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;

fn options() -> Options {
    Options {
        node_addresses: vec![Ipv4Addr::new(10, 123, 0, 2)],
        service_cidrs: vec![(Ipv4Addr::new(10, 96, 0, 0), 16)],
        loopback_source: Some(Ipv4Addr::new(169, 254, 30, 1)),
        ..Options::default()
    }
}

fn plan(services: &[ServiceView], options: &Options) -> (Table, Vec<String>) {
    let mut layout = Layout::new(options.clone(), None);
    let mut findings = Vec::new();
    for view in services {
        let (plan, found) = plan_service(view, &node(), options);
        findings.extend(found);
        layout.set_service(&view.name, Some(plan));
    }
    findings.extend(layout.findings());
    assert_eq!(audit(layout.table()), Vec::<String>::new());
    let text = findings.iter().map(|f| format!("{}: {}: {}", f.service.name, f.reason, f.message)).collect();
    (layout.table().clone(), text)
}

/// A table to send packets through; random numbers count upwards.
struct Node {
    table: Table,
    next: u32,
}

impl Node {
    fn of(services: &[&str]) -> Self {
        let services: Vec<_> = services.iter().map(|text| service(text)).collect();
        Self { table: plan(&services, &options()).0, next: 0 }
    }

    fn send(&mut self, packet: Packet) -> Trace {
        let is_local =
            |ip: Ipv4Addr| ip == Ipv4Addr::new(10, 123, 0, 2) || ip == Ipv4Addr::new(169, 254, 30, 1);
        let mut random = |modulus: u32| {
            self.next = self.next.wrapping_add(1);
            self.next % modulus
        };
        let mut tracer = Tracer::new(std::mem::replace(&mut self.table, empty()), &is_local, &mut random);
        let trace = tracer.trace(packet);
        self.table = tracer.into_table();
        trace
    }

    /// Where a packet ends up, with `(masqueraded)`, or what its sender is told.
    fn way(&mut self, packet: Packet) -> String {
        let trace = self.send(packet);
        let end = format!("{}:{}", trace.packet.dst, trace.packet.dst_port);
        match (trace.outcome, trace.masqueraded) {
            (Outcome::Sent | Outcome::Delivered, true) => format!("{end} (masqueraded)"),
            (Outcome::Sent | Outcome::Delivered, false) => end,
            (other, _) => format!("{other:?}"),
        }
    }

    fn ends(&mut self, packet: &Packet, times: usize) -> BTreeSet<String> {
        (0..times).map(|_| self.way(packet.clone())).collect()
    }
}

const WEB: &str = "web NodePort 10.96.0.5
    port t tcp 80/30001
    port u udp 80/30001
    port s sctp 80/30001
    endpoint 10.244.1.10 t=8080 u=8080 s=8080
    endpoint 10.244.2.11@node-2 t=8080 u=8080 s=8080";

fn empty() -> Table {
    Table::new(sealane_nft::Family::Ip, "")
}

fn client(protocol: u8, to: &str) -> Packet {
    Packet::new(protocol, "10.123.0.1:40000", to)
}

#[test]
fn p1_cluster_ips_lead_to_every_endpoint_for_all_protocols() {
    let mut node = Node::of(&[WEB]);
    for protocol in [TCP, UDP, SCTP] {
        let ends = node.ends(&Packet::new(protocol, "10.244.2.99:40000", "10.96.0.5:80"), 10);
        assert_eq!(ends, BTreeSet::from(["10.244.1.10:8080".into(), "10.244.2.11:8080".into()]));
    }
}

#[test]
fn p1_any_number_of_endpoints_is_served_evenly() {
    for count in [1_u32, 2, 63, 64, 65, 100, 128, 129, 300] {
        let lines: String =
            (0..count).map(|i| format!("endpoint 10.244.{}.{} t=80\n", i / 250, i % 250 + 1)).collect();
        let mut node = Node::of(&[&format!("web ClusterIP 10.96.0.5\nport t tcp 80\n{lines}")]);
        let packet = client(TCP, "10.96.0.5:80");
        let ends = node.ends(&packet, usize::try_from(count).unwrap() * 12);
        assert_eq!(ends.len(), usize::try_from(count).unwrap(), "{count} endpoints");
        assert!(!ends.contains("10.96.0.5:80"), "{count} endpoints: none is let through untranslated");
    }
}

#[test]
fn p2_from_the_node_itself_to_pods_and_to_host_processes() {
    let dns =
        "dns ClusterIP 10.96.0.10\nport d udp 53\nendpoint 10.123.0.2 d=53\nendpoint 10.123.0.3@node-2 d=53";
    let mut node = Node::of(&[WEB, dns]);
    let local = Packet::new(TCP, "10.123.0.2:40000", "10.96.0.5:80").local();
    assert_eq!(node.ends(&local, 4).len(), 2);
    let lookup = Packet::new(UDP, "10.123.0.2:40000", "10.96.0.10:53").local();
    let ends = node.ends(&lookup, 4);
    assert_eq!(ends, BTreeSet::from(["10.123.0.2:53".into(), "10.123.0.3:53".into()]), "not masqueraded");
    let from_pod = Packet::new(UDP, "10.244.1.10:40000", "10.96.0.10:53");
    assert_eq!(node.ends(&from_pod, 4), ends);
}

#[test]
fn p3_a_pod_that_reaches_itself_is_masqueraded_and_only_then() {
    let mut node = Node::of(&[WEB]);
    let ends = node.ends(&Packet::new(TCP, "10.244.1.10:40000", "10.96.0.5:80"), 4);
    assert_eq!(ends, BTreeSet::from(["10.244.1.10:8080 (masqueraded)".into(), "10.244.2.11:8080".into()]));
    let direct = Packet::new(TCP, "10.244.1.10:40000", "10.244.1.10:8080");
    assert_eq!(node.way(direct), "10.244.1.10:8080", "what is not for a Service is left alone");
}

#[test]
fn p4_node_ports_on_node_addresses_with_and_without_local_endpoints() {
    let mut node = Node::of(&[WEB]);
    for protocol in [TCP, UDP, SCTP] {
        let ends = node.ends(&client(protocol, "10.123.0.2:30001"), 4);
        let expected = ["10.244.1.10:8080 (masqueraded)", "10.244.2.11:8080 (masqueraded)"];
        assert_eq!(ends, expected.map(String::from).into());
    }
    assert_eq!(node.way(client(TCP, "10.123.0.3:30001")), "10.123.0.3:30001", "another node's address");
    assert_eq!(node.way(client(TCP, "10.123.0.2:30002")), "10.123.0.2:30002", "nobody's port");
    let mut remote =
        Node::of(&["web NodePort 10.96.0.5\nport t tcp 80/30001\nendpoint 10.244.2.11@node-2 t=80"]);
    assert_eq!(remote.way(client(TCP, "10.123.0.2:30001")), "10.244.2.11:80 (masqueraded)");
}

#[test]
fn p4_node_ports_on_some_addresses_only() {
    let options = Options { nodeport_addresses: vec![Ipv4Addr::new(10, 123, 0, 2)], ..options() };
    let mut node = Node { table: plan(&[service(WEB)], &options).0, next: 0 };
    assert_eq!(node.ends(&client(TCP, "10.123.0.2:30001"), 4).len(), 2);
    let other = Packet::new(TCP, "10.244.1.10:40000", "169.254.30.1:30001");
    assert_eq!(node.way(other), "169.254.30.1:30001", "local, but not one of them");
}

#[test]
fn p4_a_cluster_ip_port_with_the_number_of_a_node_port_is_not_masqueraded() {
    let twin = "twin ClusterIP 10.96.0.6\nport t tcp 30001\nendpoint 10.244.2.20@node-2 t=80";
    let mut node = Node::of(&[WEB, twin]);
    assert_eq!(node.way(client(TCP, "10.96.0.6:30001")), "10.244.2.20:80");
}

#[test]
fn p5_without_endpoints_and_on_unserved_ports_the_client_is_refused() {
    let mut node = Node::of(&["none NodePort 10.96.0.5\nport t tcp 80/30001\nport u udp 80/30001"]);
    for to in ["10.96.0.5:80", "10.96.0.5:81", "10.123.0.2:30001"] {
        assert_eq!(node.way(client(TCP, to)), "Reset", "{to}");
        assert_eq!(node.way(client(UDP, to)), "Unreachable(3)", "{to}");
        assert_eq!(node.way(client(TCP, to).local()), "Reset", "{to} locally");
    }
    assert_eq!(node.way(client(TCP, "10.96.0.77:80")), "10.96.0.77:80", "an address that no Service has");
}

#[test]
fn p6_p7_local_policies_choose_local_endpoints_and_keep_the_client() {
    let web = format!("{WEB}\nexternal-local");
    let mut node = Node::of(&[&web]);
    assert_eq!(node.ends(&client(TCP, "10.123.0.2:30001"), 4), BTreeSet::from(["10.244.1.10:8080".into()]));
    assert_eq!(node.ends(&client(TCP, "10.96.0.5:80"), 4).len(), 2);
    let far = "web NodePort 10.96.0.5\nport t tcp 80/30001\nendpoint 10.244.2.11@node-2 t=80\nexternal-local";
    assert_eq!(Node::of(&[far]).way(client(TCP, "10.123.0.2:30001")), "Dropped");
    let web = format!("{WEB}\ninternal-local");
    assert_eq!(
        Node::of(&[&web]).ends(&client(TCP, "10.96.0.5:80"), 4),
        BTreeSet::from(["10.244.1.10:8080".into()])
    );
}

#[test]
fn p8_affinity_holds_over_all_front_ends_and_moves_on_from_a_dead_endpoint() {
    let sticky = format!("{WEB}\naffinity 100");
    let mut node = Node::of(&[&sticky]);
    let first = node.way(client(TCP, "10.96.0.5:80"));
    for _ in 0..5 {
        assert_eq!(node.way(client(TCP, "10.96.0.5:80")), first);
        assert_eq!(node.way(client(TCP, "10.123.0.2:30001")), format!("{first} (masqueraded)"));
    }
    let others: BTreeSet<String> =
        (1..9).map(|i| node.way(Packet::new(TCP, &format!("10.9.9.{i}:4000"), "10.96.0.5:80"))).collect();
    assert_eq!(others.len(), 2, "other clients go elsewhere too");
    let dead = first.split(':').next().unwrap().to_owned();
    let remembered = node.table.sets["affinity"].elements.clone();
    let rest: String =
        sticky.lines().filter(|line| !line.contains(&dead)).map(|l| format!("{l}\n")).collect();
    let mut after = Node::of(&[&rest]);
    after.table.sets.get_mut("affinity").unwrap().elements = remembered;
    let second = after.way(client(TCP, "10.96.0.5:80"));
    assert!(second != first && second.starts_with("10.244."), "{second}");
    assert_eq!(after.way(client(TCP, "10.96.0.5:80")), second);
}

#[test]
fn p8_a_full_affinity_map_still_serves() {
    let options = Options { affinity_capacity: 1, ..options() };
    let sticky = format!("{WEB}\naffinity 100");
    let mut node = Node { table: plan(&[service(&sticky)], &options).0, next: 0 };
    let first = node.way(client(TCP, "10.96.0.5:80"));
    assert_eq!(node.way(client(TCP, "10.96.0.5:80")), first);
    let second = Packet::new(TCP, "10.9.9.9:4000", "10.96.0.5:80");
    assert!(node.ends(&second, 6).iter().all(|end| end.starts_with("10.244.")));
}

#[test]
fn p9_terminating_endpoints_serve_when_no_ready_one_is_left() {
    let text = "web ClusterIP 10.96.0.5\nport t tcp 80\nendpoint 10.244.1.10!terminating t=80\nendpoint 10.244.1.11!unready t=80";
    assert_eq!(
        Node::of(&[text]).ends(&client(TCP, "10.96.0.5:80"), 4),
        BTreeSet::from(["10.244.1.10:80".into()])
    );
    let text = format!("{text}\nendpoint 10.244.1.12 t=80");
    assert_eq!(
        Node::of(&[&text]).ends(&client(TCP, "10.96.0.5:80"), 4),
        BTreeSet::from(["10.244.1.12:80".into()])
    );
}

#[test]
fn p11_p12_load_balancer_and_external_addresses_even_if_they_are_the_nodes_own() {
    let text = "web LoadBalancer 10.96.0.5\nport t tcp 80/30001\nendpoint 10.244.1.10 t=8080
        lb 10.123.0.2\nlb 10.123.0.3\nlbproxy 10.123.0.4\nexternal 192.0.2.7";
    let mut node = Node::of(&[text]);
    for to in ["10.123.0.2:80", "10.123.0.3:80", "192.0.2.7:80"] {
        assert_eq!(node.way(client(TCP, to)), "10.244.1.10:8080 (masqueraded)", "{to}");
        assert_eq!(node.way(client(TCP, to).local()), "10.244.1.10:8080 (masqueraded)", "{to} locally");
    }
    assert_eq!(node.way(client(TCP, "10.123.0.4:80")), "10.123.0.4:80", "ipMode Proxy is not for us");
    assert_eq!(
        node.way(client(TCP, "10.123.0.2:81")),
        "10.123.0.2:81",
        "the node's other ports stay its own"
    );
    let restricted = format!("{text}\nranges");
    assert_eq!(
        Node::of(&[&restricted]).way(client(TCP, "10.123.0.2:80")),
        "Dropped",
        "closed until it is supported"
    );
}

#[test]
fn p14_p16_headless_and_others_services_have_no_rules() {
    let empty = plan(&[], &options()).0;
    for extra in ["headless", "proxy another", "unproxied"] {
        let (table, findings) = plan(&[service(&format!("{WEB}\n{extra}"))], &options());
        assert_eq!((table, findings), (empty.clone(), vec![]), "{extra}");
    }
    let unready =
        "web ClusterIP 10.96.0.5\nport t tcp 80\nendpoint 10.244.1.10!unready t=80\npublish-not-ready";
    assert_eq!(Node::of(&[unready]).way(client(TCP, "10.96.0.5:80")), "10.244.1.10:80");
}

#[test]
fn p17_node_ports_on_127_0_0_1() {
    let mut node = Node::of(&[WEB]);
    let packet = Packet::new(TCP, "127.0.0.1:40000", "127.0.0.1:30001").local();
    assert_eq!(node.ends(&packet, 4).len(), 2);
    assert!(node.send(packet).masqueraded);
    let back =
        Packet { flow: FlowState::Reply, ..Packet::new(TCP, "10.123.0.2:30001", "169.254.30.1:40000") };
    let back = node.send(back);
    assert_eq!((back.packet.src, back.packet.dst), (Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST));
    let intruder = node.send(Packet::new(TCP, "10.123.0.1:40000", "169.254.30.1:8080"));
    assert_ne!(intruder.packet.dst, Ipv4Addr::LOCALHOST, "nobody outside reaches 127.0.0.1 this way");
    let other = Packet::new(TCP, "127.0.0.1:40000", "127.0.0.1:8080").local();
    assert_eq!(node.way(other), "127.0.0.1:8080");
    let other = Packet::new(TCP, "127.0.0.5:40000", "127.0.0.5:30001").local();
    assert_eq!(node.way(other), "127.0.0.5:30001", "only 127.0.0.1 can be answered");
}

#[test]
fn p18_a_broken_service_becomes_a_finding_and_the_others_work() {
    let broken =
        "broken ClusterIP 10.96.0.9\nport z tcp 0\nport a tcp 80\nport b tcp 80\nendpoint 127.0.0.1 a=80";
    let thief = "thief ClusterIP 10.96.0.8\nport t tcp 80\nexternal 10.96.0.5\nendpoint 10.244.1.66 t=80";
    let six = "six ClusterIP fd00::1\nport t tcp 80";
    let services = [broken, thief, six, WEB].map(service);
    let (table, findings) = plan(&services, &options());
    for expected in [
        "broken: BadPort",
        "broken: DuplicatePort",
        "broken: BadEndpoint: endpoint 127.0.0.1:80",
        "six: FamilyNotServed",
        "thief: AddressTaken: 10.96.0.5:80/Tcp is served for default/web",
    ] {
        assert!(
            findings.iter().any(|finding| finding.starts_with(expected)),
            "{expected} not in {findings:#?}"
        );
    }
    let mut node = Node { table, next: 0 };
    assert_eq!(node.ends(&client(TCP, "10.96.0.5:80"), 4).len(), 2);
    assert_eq!(node.way(client(TCP, "10.96.0.9:80")), "Reset");
}

#[test]
fn p19_other_traffic_crosses_at_most_two_lookups_and_keeps_its_mark() {
    let mut node = Node::of(&[WEB]);
    let others = [
        client(TCP, "192.0.2.1:443"),
        client(UDP, "10.244.1.10:53"),
        client(TCP, "10.123.0.2:22"),
        client(TCP, "192.0.2.1:443").local(),
        Packet::echo(Ipv4Addr::new(10, 123, 0, 1), Ipv4Addr::new(192, 0, 2, 1)),
    ];
    for packet in others {
        let trace = node.send(Packet { mark: 0x4000, ..packet.clone() });
        let limit = if packet.protocol == 1 { 3 } else { 2 };
        assert!(trace.lookups <= limit, "{packet:?}: {} look-ups, {:#?}", trace.lookups, trace.steps);
        assert!(!trace.translated && !trace.masqueraded && trace.packet.mark == 0x4000);
        let later = node.send(Packet { flow: FlowState::Original, ..packet });
        assert!(later.lookups <= usize::from(later.packet.dst.is_loopback()), "nothing for known flows");
    }
    let served = node.send(Packet { mark: 0x4000, ..client(TCP, "10.96.0.5:80") });
    assert_eq!(served.packet.mark, 0x4000, "marks are others' and stay");
}

#[test]
fn a_ping_of_a_served_cluster_ip_is_the_nodes_to_answer() {
    let mut node = Node::of(&[WEB, "none ClusterIP 10.96.0.6\nport t tcp 80"]);
    let from = Ipv4Addr::new(10, 123, 0, 1);
    let ping = node.send(Packet::echo(from, Ipv4Addr::new(10, 96, 0, 5)));
    assert_eq!((ping.outcome, ping.packet.dst), (Outcome::Delivered, Ipv4Addr::new(10, 123, 0, 2)));
    let none = node.send(Packet::echo(from, Ipv4Addr::new(10, 96, 0, 6)));
    assert_eq!(none.outcome, Outcome::Unreachable(3));
}
