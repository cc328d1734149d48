//! Runs the expressions of one base chain.

use super::packet::{FlowState, Packet};
use crate::register::{data_len, fields_len};
use crate::{
    Base, Bytes, CtKey, Data, Expr, MetaKey, Name, Reg, Reject, Set, Table, Target, UpdateOp, Verdict,
};
use std::net::Ipv4Addr;

/// `IPS_DST_NAT`.
const DST_NAT: u32 = 0x20;
/// `RTN_UNICAST` and `RTN_LOCAL`.
const ROUTE_TYPES: [u32; 2] = [1, 2];

/// What a base chain decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Accept,
    Drop,
    Reject(Reject),
}

/// What a rule decided.
enum Flow {
    Next,
    Break,
    Verdict(Verdict),
    End(End),
}

/// The state of one flow while its packet is on the way.
pub(super) struct Machine<'a> {
    pub(super) table: &'a mut Table,
    pub(super) packet: Packet,
    pub(super) original: Packet,
    pub(super) translated: bool,
    pub(super) masqueraded: bool,
    pub(super) lookups: usize,
    pub(super) steps: Vec<String>,
    pub(super) is_local: &'a dyn Fn(Ipv4Addr) -> bool,
    pub(super) random: &'a mut dyn FnMut(u32) -> u32,
    registers: [u8; 64],
}

impl<'a> Machine<'a> {
    pub(super) fn new(
        table: &'a mut Table,
        packet: Packet,
        is_local: &'a dyn Fn(Ipv4Addr) -> bool,
        random: &'a mut dyn FnMut(u32) -> u32,
    ) -> Self {
        Self {
            table,
            original: packet.clone(),
            packet,
            translated: false,
            masqueraded: false,
            lookups: 0,
            steps: Vec::new(),
            is_local,
            random,
            registers: [0; 64],
        }
    }

    /// Runs a base chain to its end.
    pub(super) fn run(&mut self, base: &Name) -> End {
        let mut stack: Vec<(Name, usize)> = vec![(base.clone(), 0)];
        while let Some((chain, index)) = stack.pop() {
            let Some(rule) = self.table.chains.get(&chain).and_then(|c| c.rules.get(index)).cloned() else {
                continue;
            };
            match self.rule(&chain, &rule.exprs) {
                Flow::Next | Flow::Break => stack.push((chain, index + 1)),
                Flow::Verdict(Verdict::Jump(target)) => {
                    stack.push((chain, index + 1));
                    stack.push((target, 0));
                }
                Flow::Verdict(Verdict::Goto(target)) => stack.push((target, 0)),
                Flow::Verdict(Verdict::Return) => {}
                Flow::Verdict(Verdict::Accept) => return End::Accept,
                Flow::Verdict(Verdict::Drop) => return End::Drop,
                Flow::End(end) => return end,
            }
        }
        End::Accept
    }

    fn rule(&mut self, chain: &Name, exprs: &[Expr]) -> Flow {
        self.registers = [0; 64];
        for expr in exprs {
            match self.step(expr) {
                Flow::Next => {}
                Flow::Break => return Flow::Break,
                decided => {
                    self.steps.push(format!("{chain}: {expr}"));
                    return decided;
                }
            }
        }
        Flow::Next
    }

    fn read(&self, reg: Reg, len: usize) -> &[u8] {
        let start = usize::from(reg.0) * 4;
        self.registers.get(start..start + len).unwrap_or(&[])
    }

    fn read32(&self, reg: Reg) -> u32 {
        self.read(reg, 4).try_into().map_or(0, u32::from_ne_bytes)
    }

    fn write(&mut self, reg: Reg, bytes: &[u8]) {
        let start = usize::from(reg.0) * 4;
        let end = start + bytes.len().next_multiple_of(4);
        if let Some(slot) = self.registers.get_mut(start..end) {
            slot.fill(0);
            slot[..bytes.len()].copy_from_slice(bytes);
        }
    }

    fn step(&mut self, expr: &Expr) -> Flow {
        match expr {
            Expr::Payload { base, offset, len, dreg } => return self.payload(*base, *offset, *len, *dreg),
            Expr::PayloadSet { base, offset, len, sreg, .. } => {
                self.payload_set(*base, *offset, *len, *sreg);
            }
            Expr::Meta { key: MetaKey::L4Proto, dreg } => self.write(*dreg, &[self.packet.protocol]),
            Expr::Meta { key: MetaKey::Oif, dreg } => self.write(*dreg, &0_u32.to_ne_bytes()),
            Expr::Meta { key: MetaKey::Mark, dreg } => self.write(*dreg, &self.packet.mark.to_ne_bytes()),
            Expr::MetaSet { sreg, .. } => self.packet.mark = self.read32(*sreg),
            Expr::Ct { key, dreg } => self.ct(*key, *dreg),
            Expr::FibDaddrType { dreg } => {
                let kind = ROUTE_TYPES[usize::from((self.is_local)(self.packet.dst))];
                self.write(*dreg, &kind.to_ne_bytes());
            }
            Expr::Cmp { sreg, equal, data } => {
                return next_if((self.read(*sreg, data.len()) == data.as_slice()) == *equal);
            }
            Expr::Range { sreg, low, high } => {
                let value = self.read(*sreg, low.len());
                return next_if(value >= low.as_slice() && value <= high.as_slice());
            }
            Expr::And { sreg, dreg, mask } => {
                let value = self.read(*sreg, mask.len()).iter().zip(mask).map(|(a, b)| a & b);
                let value: Vec<u8> = value.collect();
                self.write(*dreg, &value);
            }
            Expr::Immediate { dreg, data } => self.write(*dreg, data),
            Expr::Lookup { set, sreg, target } => return self.lookup(set, *sreg, *target),
            Expr::Random { modulus, dreg } => {
                let number = (self.random)(*modulus) % (*modulus).max(1);
                self.write(*dreg, &number.to_ne_bytes());
            }
            Expr::DynSet { set, op, key, data, .. } => return self.dynset(set, *op, *key, *data),
            Expr::Dnat { addr, port } => {
                self.dnat(*addr, *port);
                return Flow::End(End::Accept);
            }
            Expr::Masquerade => {
                self.masqueraded = true;
                return Flow::End(End::Accept);
            }
            Expr::Reject(reject) => return Flow::End(End::Reject(*reject)),
            Expr::Verdict(verdict) => return Flow::Verdict(verdict.clone()),
            Expr::Foreign(_) => return Flow::Break,
        }
        Flow::Next
    }

    fn payload(&mut self, base: Base, offset: u32, len: u32, dreg: Reg) -> Flow {
        let (network, transport) = (self.packet.network_header(), self.packet.transport_header());
        let header: &[u8] = if base == Base::Network { &network } else { &transport };
        let (Ok(start), Ok(len)) = (usize::try_from(offset), usize::try_from(len)) else {
            return Flow::Break;
        };
        let Some(bytes) = header.get(start..start + len) else { return Flow::Break };
        self.write(dreg, bytes);
        Flow::Next
    }

    /// Only what is written in fact: addresses.
    fn payload_set(&mut self, base: Base, offset: u32, len: u32, sreg: Reg) {
        let mut header = self.packet.network_header();
        let (Ok(start), Ok(len)) = (usize::try_from(offset), usize::try_from(len)) else { return };
        if let (Base::Network, Some(slot)) = (base, header.get_mut(start..start + len)) {
            slot.copy_from_slice(self.read(sreg, len));
        }
        let address = |at: usize| Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]);
        (self.packet.src, self.packet.dst) = (address(12), address(16));
    }

    fn ct(&mut self, key: CtKey, dreg: Reg) {
        let bytes = match key {
            CtKey::Status => (if self.translated { DST_NAT } else { 0 }).to_ne_bytes().to_vec(),
            CtKey::Direction => vec![u8::from(self.packet.flow == FlowState::Reply)],
            CtKey::OriginalDstIp => self.original.dst.octets().to_vec(),
            CtKey::OriginalDstPort => self.original.dst_port.to_be_bytes().to_vec(),
        };
        self.write(dreg, &bytes);
    }

    fn lookup(&mut self, set: &Name, sreg: Reg, target: Target) -> Flow {
        self.lookups += 1;
        let Some(found) = self.table.sets.get(set) else { return Flow::Break };
        let Some(data) = self.element(found, sreg) else { return Flow::Break };
        self.steps.push(format!("found in {set}"));
        match (target, data) {
            (Target::Nowhere, _) => Flow::Next,
            (Target::Reg(dreg), Data::Bytes(bytes)) => {
                self.write(dreg, bytes.as_slice());
                Flow::Next
            }
            (Target::Verdict, Data::Verdict(verdict)) => Flow::Verdict(verdict),
            _ => Flow::Break,
        }
    }

    fn element(&self, set: &Set, key: Reg) -> Option<Data> {
        let key = Bytes::from_slice(self.read(key, fields_len(&set.key)))?;
        set.elements.get(&key).cloned()
    }

    /// As in the kernel: an update of what is there keeps the old data; a full set ends the rule.
    fn dynset(&mut self, set: &Name, op: UpdateOp, key: Reg, data: Reg) -> Flow {
        let Some(found) = self.table.sets.get(set) else { return Flow::Break };
        let key = Bytes::from_slice(self.read(key, fields_len(&found.key)));
        let data = Bytes::from_slice(self.read(data, data_len(found)));
        let full =
            found.size > 0 && found.elements.len() >= usize::try_from(found.size).unwrap_or(usize::MAX);
        let (Some(key), Some(data), Some(found)) = (key, data, self.table.sets.get_mut(set)) else {
            return Flow::Break;
        };
        match op {
            UpdateOp::Update if found.elements.contains_key(&key) => {}
            UpdateOp::Update if full => return Flow::Break,
            UpdateOp::Update => drop(found.elements.insert(key, Data::Bytes(data))),
            UpdateOp::Delete => drop(found.elements.remove(&key)),
        }
        Flow::Next
    }

    fn dnat(&mut self, addr: Reg, port: Option<Reg>) {
        if let [a, b, c, d] = *self.read(addr, 4) {
            self.packet.dst = Ipv4Addr::new(a, b, c, d);
        }
        if let Some(&[high, low]) = port.map(|port| self.read(port, 2)) {
            self.packet.dst_port = u16::from_be_bytes([high, low]);
        }
        self.translated = true;
    }
}

fn next_if(condition: bool) -> Flow {
    if condition { Flow::Next } else { Flow::Break }
}
