//! The constant shape of the table: every chain, map and rule. Services and endpoints are only ever elements.
//!
//! A connection's way: `services` (or `nodeports`) gives `id << 12 | class`; `class` leads to a chain for that number of
//! endpoints; that chain looks the front end up again, because a rule may only use registers that it set itself, and
//! picks `backends[id . random]`. The packet mark is a scratch cell within one rule and is put back before the rule
//! ends: without it the kernel takes the rules as well, but `nft list ruleset` (1.0.6) aborts on a key that is the
//! result of a map.

use super::Options;
use super::words::{and, contains, daddr, differs, dport, equal, l4proto, load, map, r, saddr, scratch};
use sealane_nft::{
    Base, BaseChain, Checksum, CtKey, Data, Expr, Family, Field, Hook, Kind, Reject, Set, SetKind, Table,
    Target, UpdateOp, Value, Verdict,
};
use std::net::Ipv4Addr;

/// The name of our table.
pub const TABLE: &str = "sealane";

/// Bits of a front end's data that name its class.
pub(super) const CLASS_MASK: u32 = 0xfff;
/// Bits by which an id is shifted.
pub(super) const ID_SHIFT: u32 = 12;
/// The class of front ends without endpoints.
pub(super) const CLASS_REJECT: u32 = 0;
/// Wide chains have this plus the logarithm of their width.
const CLASS_WIDE: u32 = 64;
/// The class of front ends whose packets are dropped.
pub(super) const CLASS_DROP: u32 = 100;
/// The first class of affinity chains.
pub(super) const CLASS_AFFINITY: u32 = 128;
/// Logarithm of the widest chain: as many endpoints as there can be.
const WIDEST: u32 = 16;
/// Tries of a wide chain at slots that may be empty; at worst half of them are.
const TRIES: usize = 8;

/// `IPS_DST_NAT`.
const DST_NAT: u32 = 0x20;
/// `RTN_LOCAL`.
const LOCAL: u32 = 2;
/// ICMP code "port unreachable".
const PORT_UNREACHABLE: u8 = 3;
const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// The table with all its chains and no Services.
#[must_use]
pub fn skeleton(options: &Options) -> Table {
    let mut table = Table::new(Family::Ip, TABLE);
    add_sets(&mut table, options);
    table.chain("services", None, dispatch(options));
    table.chain(
        "reject",
        None,
        vec![
            vec![l4proto(0), equal(0, &[6]), Expr::Reject(Reject::TcpReset)],
            // Type 2 (icmpx) is taken by the kernel in an `ip` table and drops silently.
            vec![Expr::Reject(Reject::Icmp(PORT_UNREACHABLE))],
        ],
    );
    let jump = vec![vec![Expr::Verdict(Verdict::Jump("services".into()))]];
    table.chain("nat-pre", base(Kind::Nat, Hook::Prerouting, -100), jump.clone());
    table.chain("nat-out", base(Kind::Nat, Hook::Output, -100), jump);
    table.chain("nat-post", base(Kind::Nat, Hook::Postrouting, 100), masquerade(options));
    add_loopback(&mut table, options);
    for width in widths(options) {
        table.chain(&balance_chain_name(width), None, balance_chain(width, options));
    }
    let class = table.sets.get_mut("class").expect("added above");
    class.put(&[Value::Mark(CLASS_REJECT)], Data::goto("reject"));
    class.put(&[Value::Mark(CLASS_DROP)], Data::Verdict(Verdict::Drop));
    for width in widths(options) {
        class.put(&[Value::Mark(balance_class(width, options))], Data::goto(&balance_chain_name(width)));
    }
    for address in &options.nodeport_addresses {
        if let Some(set) = table.sets.get_mut("nodeport_ips") {
            set.put(&[Value::Ipv4(*address)], Data::None);
        }
    }
    table
}

fn base(kind: Kind, hook: Hook, priority: i32) -> Option<BaseChain> {
    Some(BaseChain { kind, hook, priority })
}

fn add_sets(table: &mut Table, options: &Options) {
    use Field::{Ipv4, Mark, Port, Proto};
    table.set("services", Set::new(&[Ipv4, Proto, Port], SetKind::Map(vec![Mark])));
    table.set("nodeports", Set::new(&[Proto, Port], SetKind::Map(vec![Mark])));
    table.set("class", Set::new(&[Mark], SetKind::Verdicts));
    table.set("backends", Set::new(&[Mark, Mark], SetKind::Map(vec![Ipv4, Port])));
    table.set("slots", Set::new(&[Mark, Mark], SetKind::Map(vec![Mark])));
    table.set("endpoints", Set::new(&[Mark], SetKind::Map(vec![Ipv4, Port])));
    let mut affinity = Set::new(&[Mark, Ipv4], SetKind::Map(vec![Mark]));
    affinity.dynamic = true;
    affinity.size = options.affinity_capacity;
    table.set("affinity", affinity);
    table.set("hairpin", Set::new(&[Ipv4, Ipv4], SetKind::Set));
    table.set("masq_fronts", Set::new(&[Ipv4, Proto, Port], SetKind::Set));
    table.set("masq_nodeports", Set::new(&[Proto, Port], SetKind::Set));
    table.set("ping_ips", Set::new(&[Ipv4], SetKind::Set));
    table.set("cluster_ips", Set::new(&[Ipv4], SetKind::Set));
    if !options.nodeport_addresses.is_empty() {
        table.set("nodeport_ips", Set::new(&[Ipv4], SetKind::Set));
    }
}

/// How a packet names its Service.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Address,
    NodePort,
}

/// Loads `id << 12 | class` into r0, if the packet is for a front end.
fn front(by: By, options: &Options) -> Vec<Expr> {
    let mut exprs = match by {
        By::Address => vec![daddr(0), l4proto(1), dport(2), map("services", 0, 0)],
        By::NodePort => vec![l4proto(0), dport(1), map("nodeports", 0, 0)],
    };
    if by == By::NodePort {
        // Whether the address is the node's own is asked after a hit only: it costs more than a look-up.
        if options.nodeport_addresses.is_empty() {
            exprs.extend([Expr::FibDaddrType { dreg: r(4) }, equal(4, &LOCAL.to_ne_bytes())]);
        } else {
            exprs.extend([daddr(4), contains("nodeport_ips", 4)]);
        }
    }
    exprs.extend(scratch(0));
    exprs
}

/// Chain `services`: to the chain of the front end's class; what is for a ClusterIP and nobody serves is rejected.
fn dispatch(options: &Options) -> Vec<Vec<Expr>> {
    let class = Expr::Lookup { set: "class".into(), sreg: r(0), target: Target::Verdict };
    let to_class = [and(0, &CLASS_MASK.to_ne_bytes()), class];
    let mut by_address = front(By::Address, options);
    by_address.extend(to_class.clone());
    let mut by_node_port = front(By::NodePort, options);
    // 127.0.0.1 comes here with a swapped address; any other loopback address could never be answered.
    by_node_port.extend([daddr(5), and(5, &[255, 0, 0, 0]), differs(5, &[127, 0, 0, 0])]);
    by_node_port.extend(to_class);
    let mut rules = vec![by_address, by_node_port];
    if let Some(address) = options.node_addresses.first() {
        let echo_request = Expr::Payload { base: Base::Transport, offset: 0, len: 1, dreg: r(0) };
        let icmp = [l4proto(0), equal(0, &[1]), echo_request, equal(0, &[8])];
        let answer =
            [daddr(0), contains("ping_ips", 0), load(1, *address), Expr::Dnat { addr: r(1), port: None }];
        rules.push(icmp.into_iter().chain(answer).collect());
    }
    let unserved = [daddr(0), contains("cluster_ips", 0), Expr::Verdict(Verdict::Goto("reject".into()))];
    if options.service_cidrs.is_empty() {
        rules.push(unserved.to_vec());
    }
    for (address, len) in &options.service_cidrs {
        let mask = u32::MAX.checked_shl(32 - u32::from(*len)).unwrap_or(0);
        let network = (u32::from(*address) & mask).to_be_bytes();
        let in_range = [daddr(0), and(0, &mask.to_be_bytes()), equal(0, &network)];
        rules.push(in_range.into_iter().chain(unserved.clone()).collect());
    }
    rules
}

/// Chain `nat-post`: the source becomes the node's where the answer would otherwise pass us by.
fn masquerade(options: &Options) -> Vec<Vec<Expr>> {
    let original_port = |dreg: u8| Expr::Ct { key: CtKey::OriginalDstPort, dreg: r(dreg) };
    let original_front = [Expr::Ct { key: CtKey::OriginalDstIp, dreg: r(0) }, l4proto(1), original_port(2)];
    let leave = Expr::Verdict(Verdict::Accept);
    let mut rules = vec![vec![
        Expr::Ct { key: CtKey::Status, dreg: r(0) },
        and(0, &DST_NAT.to_ne_bytes()),
        equal(0, &[0; 4]),
        leave.clone(),
    ]];
    if let Some(source) = options.loopback_source {
        rules.push(vec![saddr(0), equal(0, &source.octets()), Expr::Masquerade]);
    }
    rules.push(vec![saddr(0), daddr(1), contains("hairpin", 0), Expr::Masquerade]);
    let by_front = original_front.clone().into_iter();
    rules.push(by_front.chain([contains("masq_fronts", 0), Expr::Masquerade]).collect());
    // A ClusterIP's port may have the number of someone's NodePort.
    rules.push(original_front.into_iter().chain([map("services", 0, 0), leave]).collect());
    rules.push(vec![l4proto(0), original_port(1), contains("masq_nodeports", 0), Expr::Masquerade]);
    rules
}

/// NodePorts on 127.0.0.1: addresses are swapped before conntrack sees the packet, and back after it.
fn add_loopback(table: &mut Table, options: &Options) {
    let (Some(source), Some(node)) = (options.loopback_source, options.node_addresses.first()) else {
        return;
    };
    let write = |offset: u32, sreg: u8| Expr::PayloadSet {
        base: Base::Network,
        offset,
        len: 4,
        sreg: r(sreg),
        checksum: Some(Checksum { offset: 10, pseudo_header: true }),
    };
    let both = [LOOPBACK.octets(), LOOPBACK.octets()].concat();
    let out = vec![
        Expr::Payload { base: Base::Network, offset: 12, len: 8, dreg: r(0) },
        equal(0, &both),
        l4proto(2),
        dport(3),
        map("nodeports", 2, 2),
        load(4, *node),
        write(16, 4),
        load(5, source),
        write(12, 5),
    ];
    // Answers only: whoever sends to the source address from outside must not reach what listens on 127.0.0.1.
    let answer = [Expr::Ct { key: CtKey::Direction, dreg: r(2) }, equal(2, &[1])];
    let to_source = [daddr(0), equal(0, &source.octets())];
    let swap = [load(1, LOOPBACK), write(16, 1), write(12, 1)];
    let back = to_source.into_iter().chain(answer).chain(swap).collect();
    table.chain("loopback-out", base(Kind::Route, Hook::Output, -300), vec![out]);
    table.chain("loopback-in", base(Kind::Filter, Hook::Input, 101), vec![back]);
}

// --- balancing

/// The widths that have a chain: every number up to `exact_widths`, then powers of two.
fn widths(options: &Options) -> impl Iterator<Item = u32> {
    let exact = options.exact_widths;
    (1..=exact).chain((0..=WIDEST).map(|power| 1 << power).filter(move |width| *width > exact))
}

/// The width of the chain for so many endpoints.
pub(super) fn width(endpoints: u32, options: &Options) -> u32 {
    if endpoints <= options.exact_widths { endpoints } else { endpoints.next_power_of_two().min(1 << WIDEST) }
}

/// The class of a balancing chain.
pub(super) fn balance_class(width: u32, options: &Options) -> u32 {
    if width <= options.exact_widths { width } else { CLASS_WIDE + width.ilog2() }
}

fn balance_chain_name(width: u32) -> String {
    format!("lb-{width}")
}

/// The name of an affinity chain.
pub(super) fn affinity_chain_name(width: u32, timeout_s: u32) -> String {
    format!("aff-{width}-{timeout_s}")
}

/// Numbers of slots to pick from, tried in order.
///
/// A wide chain has empty slots in its upper half, so after some tries the lower half, which is full, decides. Slot 0
/// is last: two look-ups of one packet can straddle a commit, and the slot that was picked may be gone.
fn moduli(width: u32, exact_widths: u32) -> Vec<u32> {
    let mut moduli = if width <= exact_widths { vec![width] } else { vec![width; TRIES] };
    if width > exact_widths {
        moduli.push(width / 2);
    }
    moduli.push(1);
    moduli
}

fn id() -> Expr {
    and(0, &(!CLASS_MASK).to_ne_bytes())
}

fn pick(modulus: u32) -> Expr {
    Expr::Random { modulus, dreg: r(1) }
}

fn balance_chain(width: u32, options: &Options) -> Vec<Vec<Expr>> {
    let mut rules = Vec::new();
    for by in [By::Address, By::NodePort] {
        for modulus in moduli(width, options.exact_widths) {
            let mut rule = front(by, options);
            rule.extend([id(), pick(modulus), map("backends", 0, 0)]);
            rule.push(Expr::Dnat { addr: r(0), port: Some(r(1)) });
            rules.push(rule);
        }
    }
    rules
}

/// The rules of an affinity chain: remembered clients, then new ones, then new ones of a full map.
pub(super) fn affinity_chain(width: u32, timeout_s: u32, options: &Options) -> Vec<Vec<Expr>> {
    let timeout_ms = Some(u64::from(timeout_s) * 1000);
    let remember =
        |op, timeout_ms| Expr::DynSet { set: "affinity".into(), op, key: r(0), data: r(2), timeout_ms };
    let dnat = Expr::Dnat { addr: r(3), port: Some(r(4)) };
    let mut rules = Vec::new();
    for by in [By::Address, By::NodePort] {
        let mut hit = front(by, options);
        hit.extend([id(), saddr(1), map("affinity", 0, 2)]);
        hit.extend(scratch(2));
        // A client whose endpoint is gone finds nothing here and is a new one.
        hit.extend([map("endpoints", 2, 3), remember(UpdateOp::Update, timeout_ms), dnat.clone()]);
        rules.push(hit);
        for remembered in [true, false] {
            for modulus in moduli(width, options.exact_widths) {
                let mut rule = front(by, options);
                rule.extend([id(), pick(modulus), map("slots", 0, 2)]);
                rule.extend(scratch(2));
                if remembered {
                    // An update alone would keep the data of a stale element.
                    rule.extend([saddr(1), remember(UpdateOp::Delete, None)]);
                    rule.push(remember(UpdateOp::Update, timeout_ms));
                }
                rule.extend([map("endpoints", 2, 3), dnat.clone()]);
                rules.push(rule);
            }
        }
    }
    rules
}
