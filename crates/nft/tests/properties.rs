//! What holds for any table: it reads back from its text and its netlink form, and a diff leads where it says.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use proptest::prelude::*;
use sealane_nft::wire::{Reader, attributes, encode, messages};
use sealane_nft::{
    Base, BaseChain, Bytes, Change, Checksum, CtKey, Data, Expr, Family, Field, Hook, Kind, MetaKey, Name,
    Reg, Reject, Set, SetKind, Table, Target, UpdateOp, Value, Verdict, apply, audit, diff, parse, print,
};

fn reg() -> impl Strategy<Value = Reg> {
    (0_u8..16).prop_map(Reg)
}

fn name() -> impl Strategy<Value = Name> {
    prop::sample::select(vec!["a", "b", "c"]).prop_map(Name::from)
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 1..=8)
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        Just(Verdict::Accept),
        Just(Verdict::Drop),
        Just(Verdict::Return),
        name().prop_map(Verdict::Jump),
        name().prop_map(Verdict::Goto),
    ]
}

fn base() -> impl Strategy<Value = Base> {
    prop::sample::select(vec![Base::Network, Base::Transport])
}

fn loads() -> impl Strategy<Value = Expr> {
    let meta = prop::sample::select(vec![MetaKey::Mark, MetaKey::L4Proto, MetaKey::Oif]);
    let ct = prop::sample::select(vec![
        CtKey::Status,
        CtKey::Direction,
        CtKey::OriginalDstIp,
        CtKey::OriginalDstPort,
    ]);
    prop_oneof![
        (base(), 0_u32..64, 1_u32..16, reg()).prop_map(|(base, offset, len, dreg)| Expr::Payload {
            base,
            offset,
            len,
            dreg
        }),
        (meta, reg()).prop_map(|(key, dreg)| Expr::Meta { key, dreg }),
        (ct, reg()).prop_map(|(key, dreg)| Expr::Ct { key, dreg }),
        reg().prop_map(|dreg| Expr::FibDaddrType { dreg }),
        (reg(), bytes()).prop_map(|(dreg, data)| Expr::Immediate { dreg, data }),
        (1_u32.., reg()).prop_map(|(modulus, dreg)| Expr::Random { modulus, dreg }),
        (reg(), reg(), bytes()).prop_map(|(sreg, dreg, mask)| Expr::And { sreg, dreg, mask }),
    ]
}

fn acts() -> impl Strategy<Value = Expr> {
    let checksum = prop::option::of(
        (0_u32..20, any::<bool>()).prop_map(|(offset, pseudo_header)| Checksum { offset, pseudo_header }),
    );
    let target = prop_oneof![Just(Target::Nowhere), Just(Target::Verdict), reg().prop_map(Target::Reg)];
    let op = prop::sample::select(vec![UpdateOp::Update, UpdateOp::Delete]);
    prop_oneof![
        (base(), 0_u32..64, 1_u32..16, reg(), checksum).prop_map(|(base, offset, len, sreg, checksum)| {
            Expr::PayloadSet { base, offset, len, sreg, checksum }
        }),
        reg().prop_map(|sreg| Expr::MetaSet { key: MetaKey::Mark, sreg }),
        (reg(), any::<bool>(), bytes()).prop_map(|(sreg, equal, data)| Expr::Cmp { sreg, equal, data }),
        (reg(), bytes(), bytes()).prop_map(|(sreg, low, high)| Expr::Range { sreg, low, high }),
        (name(), reg(), target).prop_map(|(set, sreg, target)| Expr::Lookup { set, sreg, target }),
        (name(), op, reg(), reg(), prop::option::of(1_u64..))
            .prop_map(|(set, op, key, data, timeout_ms)| { Expr::DynSet { set, op, key, data, timeout_ms } }),
        (reg(), prop::option::of(reg())).prop_map(|(addr, port)| Expr::Dnat { addr, port }),
        Just(Expr::Masquerade),
        Just(Expr::Reject(Reject::TcpReset)),
        any::<u8>().prop_map(|code| Expr::Reject(Reject::Icmp(code))),
        verdict().prop_map(Expr::Verdict),
    ]
}

fn value(field: Field) -> BoxedStrategy<Value> {
    match field {
        Field::Ipv4 => any::<[u8; 4]>().prop_map(|ip| Value::Ipv4(ip.into())).boxed(),
        Field::Proto => any::<u8>().prop_map(Value::Proto).boxed(),
        Field::Port => any::<u16>().prop_map(Value::Port).boxed(),
        Field::Mark => any::<u32>().prop_map(Value::Mark).boxed(),
    }
}

fn values(fields: &[Field]) -> impl Strategy<Value = Bytes> + use<> {
    fields.iter().map(|field| value(*field)).collect::<Vec<_>>().prop_map(|values| Bytes::key(&values))
}

fn fields() -> impl Strategy<Value = Vec<Field>> {
    prop::collection::vec(prop::sample::select(Field::ALL.to_vec()), 1..=3)
}

fn set() -> impl Strategy<Value = Set> {
    let kind = prop_oneof![Just(SetKind::Set), Just(SetKind::Verdicts), fields().prop_map(SetKind::Map)];
    (fields(), kind, 0_u32..3).prop_flat_map(|(key, kind, size)| {
        let data = match &kind {
            SetKind::Set => Just(Data::None).boxed(),
            SetKind::Verdicts => verdict().prop_map(Data::Verdict).boxed(),
            SetKind::Map(fields) => values(fields).prop_map(Data::Bytes).boxed(),
        };
        let elements = prop::collection::btree_map(values(&key), data, 0..5);
        elements.prop_map(move |elements| {
            let mut set = Set::new(&key, kind.clone());
            set.size = size * 1000;
            set.elements = elements;
            set
        })
    })
}

fn table() -> impl Strategy<Value = Table> {
    let hook = prop::sample::select(vec![
        Hook::Prerouting,
        Hook::Input,
        Hook::Forward,
        Hook::Output,
        Hook::Postrouting,
    ]);
    let kind = prop::sample::select(vec![Kind::Filter, Kind::Nat, Kind::Route]);
    let base = (kind, hook, -400..400).prop_map(|(kind, hook, priority)| BaseChain { kind, hook, priority });
    let rules = prop::collection::vec(prop::collection::vec(prop_oneof![loads(), acts()], 1..6), 0..4);
    let chains = prop::collection::btree_map(name(), (prop::option::of(base), rules), 0..3);
    (prop::collection::btree_map(name(), set(), 0..3), chains).prop_map(|(sets, chains)| {
        let mut table = Table::new(Family::Ip, "t");
        table.sets = sets;
        chains.into_iter().for_each(|(name, (base, rules))| table.chain(&name, base, rules));
        table
    })
}

fn read_back(changes: &[Change], limit: usize) -> Option<Table> {
    let mut reader = Reader::new(Family::Ip, "t");
    for batch in encode(Family::Ip, "t", changes, limit, &mut 7) {
        messages(&batch.bytes).for_each(|message| reader.message(&message));
    }
    reader.finish()
}

proptest! {
    #[test]
    fn text_reads_back(table in table()) {
        prop_assert_eq!(parse(&print(&table)).unwrap(), table);
    }

    #[test]
    fn netlink_reads_back(table in table(), limit in prop::sample::select(vec![100_usize, 2_000, usize::MAX])) {
        prop_assert_eq!(read_back(&diff(None, &table), limit), Some(table));
    }

    #[test]
    fn a_diff_leads_from_old_to_new(old in table(), new in table()) {
        let mut kernel = Some(old.clone());
        for change in diff(Some(&old), &new) {
            apply(&mut kernel, (Family::Ip, "t"), &change).unwrap();
        }
        prop_assert_eq!(kernel, Some(new.clone()));
        prop_assert_eq!(diff(Some(&new), &new), vec![]);
    }

    #[test]
    fn nothing_that_comes_in_makes_a_decoder_panic(noise in prop::collection::vec(any::<u8>(), 0..300), text in ".{0,80}") {
        let mut reader = Reader::new(Family::Ip, "t");
        messages(&noise).for_each(|message| reader.message(&message));
        let _ = attributes(&noise).filter_map(|attr| attr.text()).count();
        let _ = parse(&text);
        let _ = parse(&format!("table ip t {{\n\tchain a {{\n{text}\n"));
    }

    #[test]
    fn broken_messages_do_not_panic(table in table(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        for mut batch in encode(Family::Ip, "t", &diff(None, &table), usize::MAX, &mut 0) {
            let index = at.index(batch.bytes.len());
            batch.bytes[index] = byte;
            let mut reader = Reader::new(Family::Ip, "t");
            messages(&batch.bytes).for_each(|message| reader.message(&message));
        }
    }
}

#[test]
fn the_auditor_names_what_leads_nowhere() {
    let text = "table ip t {
	map m { type mark : verdict
		0x1 : goto gone
	}
	chain a {
		jump nowhere
		lookup none r0
		meta l4proto -> r0 · lookup m r1 -> verdict
		goto b
	}
	chain b {
		jump a
	}
}
";
    let problems = audit(&parse(text).unwrap()).join("\n");
    for expected in [
        "chain a rule 0: leads to chain nowhere",
        "chain a rule 1: no set none",
        "chain a rule 2: Lookup",
        "reads r1 before this rule set it",
        "set m: element leads to chain gone",
        "chain a leads back to itself",
        "chain b leads back to itself",
    ] {
        assert!(problems.contains(expected), "{expected} is not in:\n{problems}");
    }
}
