//! The hooks that a packet passes, in the kernel's order.

use super::machine::{End, Machine};
use super::packet::{FlowState, Ingress, Outcome, Packet, Trace};
use crate::{Hook, Kind, Name, Reject, Table};
use std::net::Ipv4Addr;

/// Priority of conntrack; what runs before it sees and changes packets before their flow is known.
const CONNTRACK: i32 = -200;

/// A table with the machine around it. Dynamic sets fill as packets pass.
pub struct Tracer<'a> {
    table: Table,
    is_local: &'a dyn Fn(Ipv4Addr) -> bool,
    random: &'a mut dyn FnMut(u32) -> u32,
}

impl<'a> Tracer<'a> {
    /// `is_local`: the machine's own addresses (127.0.0.0/8 is always). `random(n)` gives a number below `n`.
    pub fn new(
        table: Table,
        is_local: &'a dyn Fn(Ipv4Addr) -> bool,
        random: &'a mut dyn FnMut(u32) -> u32,
    ) -> Self {
        Self { table, is_local, random }
    }

    /// The table as it is now.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The table, with what the packets left in it.
    #[must_use]
    pub fn into_table(self) -> Table {
        self.table
    }

    /// Sends one packet through.
    pub fn trace(&mut self, packet: Packet) -> Trace {
        let outer = self.is_local;
        let is_local = move |address: Ipv4Addr| address.is_loopback() || outer(address);
        let order = Order::of(&self.table);
        let first = if packet.ingress == Ingress::Local { Hook::Output } else { Hook::Prerouting };
        let mut machine = Machine::new(&mut self.table, packet, &is_local, self.random);
        let outcome = walk(&mut machine, &order, first);
        Trace {
            outcome,
            packet: machine.packet,
            translated: machine.translated,
            masqueraded: machine.masqueraded,
            lookups: machine.lookups,
            steps: machine.steps,
        }
    }
}

/// The base chains, sorted by hook and priority.
struct Order(Vec<(Hook, i32, Kind, Name)>);

impl Order {
    fn of(table: &Table) -> Self {
        let base = |(name, chain): (&Name, &crate::Chain)| {
            chain.base.map(|base| (base.hook, base.priority, base.kind, name.clone()))
        };
        let mut order: Vec<_> = table.chains.iter().filter_map(base).collect();
        order.sort();
        Self(order)
    }
}

fn walk(machine: &mut Machine<'_>, order: &Order, first: Hook) -> Outcome {
    if let Some(end) = hook(machine, order, first) {
        return end;
    }
    let stays = (machine.is_local)(machine.packet.dst);
    if first == Hook::Prerouting
        && !stays
        && let Some(end) = hook(machine, order, Hook::Forward)
    {
        return end;
    }
    // What a process sends to this machine passes postrouting too, on its way to the loopback link.
    if (first == Hook::Output || !stays)
        && let Some(end) = hook(machine, order, Hook::Postrouting)
    {
        return end;
    }
    if stays {
        return hook(machine, order, Hook::Input).unwrap_or(Outcome::Delivered);
    }
    Outcome::Sent
}

/// Runs the chains of one hook; `None` if the packet goes on.
fn hook(machine: &mut Machine<'_>, order: &Order, hook: Hook) -> Option<Outcome> {
    let mut tracked = !matches!(hook, Hook::Prerouting | Hook::Output);
    for (_, priority, kind, chain) in order.0.iter().filter(|(at, ..)| *at == hook) {
        if !tracked && *priority >= CONNTRACK {
            machine.original = machine.packet.clone();
            tracked = true;
        }
        if *kind == Kind::Nat && machine.packet.flow != FlowState::New {
            continue;
        }
        machine.steps.push(format!("hook {hook}: {chain}"));
        match machine.run(chain) {
            End::Accept => {}
            End::Drop => return Some(Outcome::Dropped),
            End::Reject(Reject::TcpReset) => return Some(Outcome::Reset),
            End::Reject(Reject::Icmp(code)) => return Some(Outcome::Unreachable(code)),
        }
    }
    None
}
