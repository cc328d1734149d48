//! The acceptance cases of cluster DNS, by their numbers: what each question is answered with.

#![allow(clippy::unwrap_used, reason = "tests, helpers too")]

mod fixture;

use fixture::{Decoded, ask, cluster, config, empty_zone, query, type_number, zone};
use sealane_dns::answer::Transport;
use sealane_dns::{Config, Pods};

/// Numbers, name, types, code, answer, authority and additional records. `Z` is the cluster domain and `@` the name asked
/// for; records without an owner are `@`'s; the time to live is 5 unless said; `SOA` is the cluster's, `SOA4` that of
/// in-addr.arpa.
type Case = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

const NOTHING: &[&str] = &[];
const SOA: &[&str] = &["SOA"];
const SOA4: &[&str] = &["SOA4"];

const CASES: &[Case] = &[
    ("1", "web.prod.svc.Z", "A", "NOERROR", &["A 10.96.0.20"], NOTHING),
    ("2", "web.prod.svc.Z", "AAAA", "NOERROR", NOTHING, SOA),
    ("3", "dual.prod.svc.Z", "A", "NOERROR", &["A 10.96.0.11"], NOTHING),
    ("3", "dual.prod.svc.Z", "AAAA", "NOERROR", &["AAAA fd00::11"], NOTHING),
    ("4", "WeB.PrOd.SvC.cLuster.Local", "A", "NOERROR", &["A 10.96.0.20"], NOTHING),
    ("5", "nope.prod.svc.Z", "A AAAA SRV TXT ANY SOA NS", "NXDOMAIN", NOTHING, SOA),
    ("6", "web.gone.svc.Z", "A", "NXDOMAIN", NOTHING, SOA),
    ("7", "gone.svc.Z", "A", "NXDOMAIN", NOTHING, SOA),
    ("8", "prod.svc.Z", "A NS", "NOERROR", NOTHING, SOA),
    ("8", "empty.svc.Z", "A NS", "NOERROR", NOTHING, SOA),
    ("8", "svc.Z", "A NS", "NOERROR", NOTHING, SOA),
    ("8", "pod.Z", "A NS", "NOERROR", NOTHING, SOA),
    ("9", "foo.Z", "A NS", "NXDOMAIN", NOTHING, SOA),
    ("9", "foo.svc.Z", "A NS", "NXDOMAIN", NOTHING, SOA),
    ("10", "web.prod.svc.Z", "CNAME MX TXT HTTPS HINFO SOA ANY", "NOERROR", NOTHING, SOA),
    ("11", "dns-version.Z", "TXT", "NOERROR", &["28800 TXT \"1.1.0\""], NOTHING),
    ("11", "dns-version.Z", "A", "NOERROR", NOTHING, SOA),
    ("12", "Z", "SOA", "NOERROR", SOA, NOTHING),
    (
        "13",
        "Z",
        "NS",
        "NOERROR",
        &["NS kube-dns.kube-system.svc.Z"],
        &["kube-dns.kube-system.svc.Z A 10.96.0.10"],
    ),
    ("14", "Z", "A AAAA SRV HINFO", "NOERROR", NOTHING, SOA),
    ("15", "ns.dns.Z", "A", "NOERROR", &["A 10.96.0.10"], NOTHING),
    ("15", "ns.dns.Z", "AAAA", "NOERROR", NOTHING, SOA),
    (
        "16",
        "_http._tcp.web.prod.svc.Z",
        "SRV",
        "NOERROR",
        &["SRV 0 100 80 web.prod.svc.Z"],
        &["web.prod.svc.Z A 10.96.0.20"],
    ),
    (
        "17",
        "web.prod.svc.Z",
        "SRV",
        "NOERROR",
        &["SRV 0 50 80 web.prod.svc.Z", "SRV 0 50 443 web.prod.svc.Z"],
        &["web.prod.svc.Z A 10.96.0.20"],
    ),
    (
        "18",
        "_http._tcp.dual.prod.svc.Z",
        "SRV",
        "NOERROR",
        &["SRV 0 50 80 dual.prod.svc.Z"],
        &["dual.prod.svc.Z A 10.96.0.11", "dual.prod.svc.Z AAAA fd00::11"],
    ),
    (
        "19",
        "noname.prod.svc.Z",
        "SRV",
        "NOERROR",
        &["SRV 0 100 80 noname.prod.svc.Z"],
        &["noname.prod.svc.Z A 10.96.0.12"],
    ),
    ("19", "_._tcp.noname.prod.svc.Z", "SRV", "NXDOMAIN", NOTHING, SOA),
    ("20", "_bad._tcp.web.prod.svc.Z", "SRV", "NXDOMAIN", NOTHING, SOA),
    ("20", "_http._udp.web.prod.svc.Z", "SRV", "NXDOMAIN", NOTHING, SOA),
    (
        "21",
        "http.tcp.web.prod.svc.Z",
        "SRV",
        "NOERROR",
        &["SRV 0 100 80 web.prod.svc.Z"],
        &["web.prod.svc.Z A 10.96.0.20"],
    ),
    ("22", "_http._tcp.web.prod.svc.Z", "A", "NOERROR", &["A 10.96.0.20"], NOTHING),
    ("22", "_tcp.web.prod.svc.Z", "A SRV", "NOERROR", NOTHING, SOA),
    ("22", "_udp.web.prod.svc.Z", "A", "NXDOMAIN", NOTHING, SOA),
    ("23", "10-1-0-5.web.prod.svc.Z", "A", "NOERROR", &["A 10.1.0.5"], NOTHING),
    ("25", "bogus.web.prod.svc.Z", "A", "NXDOMAIN", NOTHING, SOA),
    ("26", "a.b.c.web.prod.svc.Z", "A", "NXDOMAIN", NOTHING, SOA),
    ("27", "*.prod.svc.Z", "A", "NXDOMAIN", NOTHING, SOA),
    ("27", "any.prod.svc.Z", "A", "NXDOMAIN", NOTHING, SOA),
    ("28", "idle.prod.svc.Z", "A", "NOERROR", &["A 10.96.0.13"], NOTHING),
    ("30", "db.prod.svc.Z", "A", "NOERROR", &["A 10.1.0.1", "A 10.1.0.2"], NOTHING),
    ("30", "db.prod.svc.Z", "AAAA", "NOERROR", &["AAAA fd00::1"], NOTHING),
    ("31", "db-0.db.prod.svc.Z", "A", "NOERROR", &["A 10.1.0.1"], NOTHING),
    ("31", "DB-0.db.prod.svc.Z", "AAAA", "NOERROR", NOTHING, SOA),
    ("31", "10-1-0-1.db.prod.svc.Z", "A", "NXDOMAIN", NOTHING, SOA),
    ("32", "10-1-0-2.db.prod.svc.Z", "A", "NOERROR", &["A 10.1.0.2"], NOTHING),
    ("33", "10-1-0-3.db.prod.svc.Z", "A", "NXDOMAIN", NOTHING, SOA),
    ("34", "fd00--1.db.prod.svc.Z", "AAAA", "NOERROR", &["AAAA fd00::1"], NOTHING),
    ("34", "fd00-0-1.db.prod.svc.Z", "AAAA", "NXDOMAIN", NOTHING, SOA),
    (
        "35",
        "_pg._tcp.db.prod.svc.Z",
        "SRV",
        "NOERROR",
        &[
            "SRV 0 33 5432 10-1-0-2.db.prod.svc.Z",
            "SRV 0 33 5432 db-0.db.prod.svc.Z",
            "SRV 0 33 5432 fd00--1.db.prod.svc.Z",
        ],
        &[
            "10-1-0-2.db.prod.svc.Z A 10.1.0.2",
            "db-0.db.prod.svc.Z A 10.1.0.1",
            "fd00--1.db.prod.svc.Z AAAA fd00::1",
        ],
    ),
    ("35", "_pg._tcp.db.prod.svc.Z", "A", "NOERROR", &["A 10.1.0.1", "A 10.1.0.2"], NOTHING),
    ("35", "db-0.db.prod.svc.Z", "SRV", "NOERROR", &["SRV 0 100 5432 @"], &["db-0.db.prod.svc.Z A 10.1.0.1"]),
    ("36", "pub.prod.svc.Z", "A", "NOERROR", &["A 10.1.0.9"], NOTHING),
    ("37", "down.prod.svc.Z", "A AAAA SRV", "NXDOMAIN", NOTHING, SOA),
    ("38", "portless.prod.svc.Z", "A", "NOERROR", &["A 10.1.0.20"], NOTHING),
    ("38", "portless.prod.svc.Z", "SRV", "NOERROR", NOTHING, SOA),
    ("39", "ext.prod.svc.Z", "CNAME", "NOERROR", &["CNAME www.example.com"], NOTHING),
    ("40", "ext.prod.svc.Z", "A AAAA", "NOERROR", &["CNAME www.example.com"], NOTHING),
    ("43", "ext.prod.svc.Z", "SRV MX TXT", "NOERROR", NOTHING, SOA),
    ("44", "x.ext.prod.svc.Z", "A CNAME SRV", "NXDOMAIN", NOTHING, SOA),
    (
        "45",
        "extin.prod.svc.Z",
        "A",
        "NOERROR",
        &["CNAME web.prod.svc.Z", "web.prod.svc.Z A 10.96.0.20"],
        NOTHING,
    ),
    ("45", "extin.prod.svc.Z", "CNAME", "NOERROR", &["CNAME web.prod.svc.Z"], NOTHING),
    ("45", "extin.prod.svc.Z", "AAAA", "NOERROR", NOTHING, SOA),
    (
        "45",
        "extin2.prod.svc.Z",
        "A",
        "NOERROR",
        &["CNAME EXTIN.prod.svc.Z", "EXTIN.prod.svc.Z CNAME web.prod.svc.Z", "web.prod.svc.Z A 10.96.0.20"],
        NOTHING,
    ),
    (
        "45",
        "extdb.prod.svc.Z",
        "A",
        "NOERROR",
        &["CNAME db-0.db.prod.svc.Z", "db-0.db.prod.svc.Z A 10.1.0.1"],
        NOTHING,
    ),
    (
        "45",
        "extout.prod.svc.Z",
        "A",
        "NOERROR",
        &["CNAME ext.prod.svc.Z", "ext.prod.svc.Z CNAME www.example.com"],
        NOTHING,
    ),
    ("45", "extgone.prod.svc.Z", "A", "NOERROR", NOTHING, SOA),
    ("46", "extloop.prod.svc.Z", "A", "NOERROR", NOTHING, SOA),
    ("47", "extip.prod.svc.Z", "A CNAME", "NXDOMAIN", NOTHING, SOA),
    ("48", "20.0.96.10.in-addr.arpa", "PTR", "NOERROR", &["PTR web.prod.svc.Z"], NOTHING),
    ("48", "20.0.96.10.in-addr.arpa", "A", "NOERROR", NOTHING, SOA4),
    ("48", "0.96.10.in-addr.arpa", "PTR", "NOERROR", NOTHING, SOA4),
    ("49", "1.0.1.10.in-addr.arpa", "PTR", "NOERROR", &["PTR db-0.db.prod.svc.Z"], NOTHING),
    ("49", "5.0.1.10.in-addr.arpa", "PTR", "NOERROR", &["PTR 10-1-0-5.web.prod.svc.Z"], NOTHING),
    (
        "49",
        "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa",
        "PTR",
        "NOERROR",
        &["PTR fd00--1.db.prod.svc.Z"],
        NOTHING,
    ),
    ("50", "200.0.1.10.in-addr.arpa", "PTR", "NXDOMAIN", NOTHING, SOA4),
    ("50", "3.0.1.10.in-addr.arpa", "PTR", "NXDOMAIN", NOTHING, SOA4),
    ("51", "web.prod.svc.Z", "PTR", "NOERROR", NOTHING, SOA),
    ("53", "10-9-9-9.prod.pod.Z", "A", "NOERROR", &["A 10.9.9.9"], NOTHING),
    ("53", "10-9-9-9.prod.pod.Z", "AAAA", "NOERROR", NOTHING, SOA),
    ("53", "fd00--5.prod.pod.Z", "AAAA", "NOERROR", &["AAAA fd00::5"], NOTHING),
    ("54", "x.prod.pod.Z", "A", "NXDOMAIN", NOTHING, SOA),
    ("54", "10-1-0-5.gone.pod.Z", "A", "NXDOMAIN", NOTHING, SOA),
    ("54", "prod.pod.Z", "A", "NOERROR", NOTHING, SOA),
    ("54", "empty.pod.Z", "A", "NOERROR", NOTHING, SOA),
    ("56", "web.test.svc.Z", "A", "NOERROR", &["A 10.96.1.20"], NOTHING),
    ("62", "Z", "AXFR IXFR", "REFUSED", NOTHING, NOTHING),
    ("68", "www.example.com", "A", "REFUSED", NOTHING, NOTHING),
    ("68", "local", "A SOA", "REFUSED", NOTHING, NOTHING),
    ("68", ".", "NS", "REFUSED", NOTHING, NOTHING),
    ("68", "notcluster.local", "A", "REFUSED", NOTHING, NOTHING),
];

fn full_name(name: &str) -> String {
    match name.strip_suffix('Z') {
        Some(above) => format!("{above}cluster.local"),
        None => name.to_string(),
    }
}

/// A record of the table, written out.
fn record(short: &str, asked: &str) -> String {
    if let "SOA" | "SOA4" = short {
        let zone = if short == "SOA4" { "in-addr.arpa" } else { "cluster.local" };
        // The zone's name is in the question, in the client's case.
        let owner = &asked[asked.len() - zone.len()..];
        let data = "ns.dns.cluster.local. hostmaster.cluster.local. 1700000000 7200 1800 86400 5";
        return format!("{owner} 5 SOA {data}");
    }
    let mut words: Vec<String> = short.split(' ').map(full_name).collect();
    if type_of(&words[0]) {
        words.insert(0, "5".into());
    }
    if words[0].parse::<u32>().is_ok() {
        words.insert(0, "@".into());
    } else if type_of(&words[1]) {
        words.insert(1, "5".into());
    }
    let names = matches!(words[2].as_str(), "NS" | "CNAME" | "PTR");
    for word in &mut words {
        *word = word.replace('@', asked);
    }
    if names {
        // The other library shows the final dot of these.
        words.last_mut().unwrap().push('.');
    }
    words.join(" ")
}

fn type_of(word: &str) -> bool {
    ["A", "AAAA", "NS", "CNAME", "PTR", "SRV", "TXT", "SOA"].contains(&word)
}

fn check(zone: &sealane_dns::zone::Zone, cases: &[Case]) {
    let mut failures = Vec::new();
    for (number, name, types, rcode, answer, rest) in cases {
        let name = full_name(name);
        for qtype in types.split(' ') {
            let got = ask(zone, &query(&name, type_number(qtype), 1, Some((4096, 0))), Transport::Udp);
            let mut wanted: Vec<_> = answer.iter().map(|short| record(short, &name)).collect();
            let mut got_answer = got.answer.clone();
            wanted.sort();
            got_answer.sort();
            let (mut authority, mut additional): (Vec<_>, Vec<_>) =
                rest.iter().map(|short| record(short, &name)).partition(|record| record.contains(" SOA "));
            additional.push("OPT".into());
            let mut got_additional = got.additional.clone();
            [&mut authority, &mut additional, &mut got_additional].into_iter().for_each(|one| one.sort());
            let authoritative = *rcode != "REFUSED";
            let same = got.rcode == *rcode
                && got_answer == wanted
                && got.authority == authority
                && got_additional == additional
                && got.authoritative == authoritative
                && !got.truncated;
            if !same {
                failures.push(format!("{number}: {name} {qtype}\n  wanted {rcode} {wanted:?} {authority:?} {additional:?}\n  got {got:?}"));
            }
        }
    }
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn the_table_holds() {
    check(&zone(&config(), &cluster()), CASES);
}

#[test]
fn options_hold() {
    let ignoring = Config { ignore_empty_services: true, ..config() };
    check(
        &zone(&ignoring, &cluster()),
        &[
            ("29", "idle.prod.svc.Z", "A", "NXDOMAIN", NOTHING, SOA),
            ("29", "web.prod.svc.Z", "A", "NOERROR", &["A 10.96.0.20"], NOTHING),
        ],
    );
    let without_pods = Config { pods: Pods::Disabled, ..config() };
    check(
        &zone(&without_pods, &cluster()),
        &[
            ("52", "10-1-0-5.prod.pod.Z", "A", "NXDOMAIN", NOTHING, SOA),
            ("52", "prod.pod.Z", "A", "NXDOMAIN", NOTHING, SOA),
        ],
    );
    let without_test = Config { namespaces: Some(["prod".to_string()].into()), ..config() };
    check(
        &zone(&without_test, &cluster()),
        &[
            ("56", "web.test.svc.Z", "A", "NXDOMAIN", NOTHING, SOA),
            ("56", "test.svc.Z", "A", "NXDOMAIN", NOTHING, SOA),
            ("56", "empty.svc.Z", "A", "NXDOMAIN", NOTHING, SOA),
            ("56", "20.1.96.10.in-addr.arpa", "PTR", "NXDOMAIN", NOTHING, SOA4),
            ("56", "web.prod.svc.Z", "A", "NOERROR", &["A 10.96.0.20"], NOTHING),
        ],
    );
    let without_endpoints = Config { endpoints: false, ..config() };
    check(
        &zone(&without_endpoints, &cluster()),
        &[
            ("59", "db.prod.svc.Z", "A", "NXDOMAIN", NOTHING, SOA),
            ("59", "10-1-0-5.web.prod.svc.Z", "A", "NXDOMAIN", NOTHING, SOA),
        ],
    );
}

#[test]
fn nothing_is_denied_before_the_first_snapshot() {
    let zone = empty_zone(&config());
    assert!(!zone.is_ready());
    let rcode = |name: &str, qtype| {
        ask(&zone, &query(&full_name(name), type_number(qtype), 1, None), Transport::Udp).rcode
    };
    for (name, qtype, expected) in [
        ("nope.prod.svc.Z", "A", "SERVFAIL"),
        ("web.prod.svc.Z", "A", "SERVFAIL"),
        ("prod.svc.Z", "A", "SERVFAIL"),
        ("_http._tcp.web.prod.svc.Z", "SRV", "SERVFAIL"),
        ("10-1-0-5.prod.pod.Z", "A", "SERVFAIL"),
        ("20.0.96.10.in-addr.arpa", "PTR", "SERVFAIL"),
        ("Z", "SOA", "NOERROR"),
        ("svc.Z", "A", "NOERROR"),
        ("www.example.com", "A", "REFUSED"),
    ] {
        assert_eq!(rcode(name, qtype), expected, "58: {name} {qtype}");
    }
    let ns = ask(&zone, &query("cluster.local", 2, 1, None), Transport::Udp);
    assert_eq!(ns.answer, ["cluster.local 5 NS ns.dns.cluster.local."], "13: by its own address until then");
    assert_eq!(ns.additional, ["ns.dns.cluster.local 5 A 10.123.0.2"]);
}

#[test]
fn answers_fit_the_transport() {
    let zone = zone(&config(), &cluster());
    let many = |opt, transport| ask(&zone, &query("many.prod.svc.cluster.local", 1, 1, opt), transport);
    let small = many(None, Transport::Udp);
    assert!(small.truncated && small.length <= 512 && small.additional.is_empty());
    assert_eq!(small.answer.len(), (512 - 12 - 33) / 16, "64: as many as fit");
    let whole = |got: Decoded| (got.truncated, got.answer.len());
    assert_eq!(whole(many(None, Transport::Tcp)), (false, 60), "64: all over TCP");
    assert_eq!(whole(many(Some((4096, 0)), Transport::Udp)), (false, 60), "65");
    let lying = many(Some((100, 0)), Transport::Udp);
    assert!(lying.truncated && lying.length <= 512 && lying.length > 450, "65: not less than 512");
    assert_eq!(lying.additional, ["OPT"]);
}

#[test]
fn glue_goes_before_the_answer_does() {
    let mut snapshot = cluster();
    let view = fixture::service("prod", "wide", &[], &[]);
    let endpoints =
        (1..=8).map(|n| fixture::endpoint(&format!("10.3.0.{n}"), None, true, &[("pg", 5432)])).collect();
    let view = sealane_model::ServiceView { endpoints, ..view };
    snapshot.services.insert(view.name.clone(), view.into());
    let zone = zone(&config(), &snapshot);
    let got = ask(&zone, &query("wide.prod.svc.cluster.local", 33, 1, None), Transport::Udp);
    assert_eq!((got.truncated, got.answer.len()), (false, 8));
    assert!(got.additional.len() < 8 && got.length <= 512, "64: {} bytes", got.length);
}

#[test]
fn the_message_around_the_question() {
    let zone = zone(&config(), &cluster());
    let got = ask(&zone, &query("web.prod.svc.cluster.local", 1, 1, Some((1232, 1))), Transport::Udp);
    assert_eq!((got.rcode.as_str(), got.answer.len(), got.additional.len()), ("BADVERS", 0, 1), "66");
    let got = ask(&zone, &query("web.prod.svc.cluster.local", 1, 3, None), Transport::Udp);
    assert_eq!((got.rcode.as_str(), got.answer.len()), ("REFUSED", 0), "67");
    let mut message = Vec::new();
    let answered = |packet: &[u8], message: &mut Vec<u8>| {
        fixture::answer(&zone, packet, Transport::Udp, 0, message).map(|answered| answered.rcode.name())
    };
    let good = query("web.prod.svc.cluster.local", 1, 1, Some((1232, 0)));
    let mut notify = good.clone();
    notify[2] |= 4 << 3;
    assert_eq!(answered(&notify, &mut message), Some("NOTIMP"));
    let mut response = good.clone();
    response[2] |= 0x80;
    assert_eq!(answered(&response, &mut message), None, "a response gets no response");
    assert_eq!(answered(&good[..11], &mut message), None);
    for cut in 12..good.len() {
        assert_eq!(answered(&good[..cut], &mut message), Some("FORMERR"), "cut at {cut}");
        assert_eq!(message[..4], [0x12, 0x34, 0x81, 1]);
        assert_eq!(message.len(), 12);
    }
    answered(&good, &mut message);
    assert_eq!(message[2..4], [0x85, 0], "QR, AA, RD; no recursion, no error");
    assert_eq!(message[12..12 + 29], good[12..12 + 29], "the question as it was asked");
}

#[test]
fn answers_take_turns() {
    let zone = zone(&config(), &cluster());
    let packet = query("db.prod.svc.cluster.local", 1, 1, None);
    let first = |turn| {
        let mut message = Vec::new();
        fixture::answer(&zone, &packet, Transport::Udp, turn, &mut message).unwrap();
        let answer = fixture::decode(&message).answer;
        assert_eq!(answer.len(), 2);
        answer[0].clone()
    };
    assert_ne!(first(0), first(1));
    assert_eq!(first(0), first(2));
}
