//! What goes into a trace and what comes out.

use std::net::Ipv4Addr;

/// Where a packet comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ingress {
    /// Made by a process of this machine.
    Local,
    /// Came in over a link.
    Link,
}

/// A packet's place in its flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowState {
    /// The first: nat chains see it.
    New,
    /// A later one of the same direction.
    Original,
    /// An answer.
    Reply,
}

/// A packet: addresses, ports and its place in a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Where it comes from.
    pub ingress: Ingress,
    /// Source address.
    pub src: Ipv4Addr,
    /// Destination address.
    pub dst: Ipv4Addr,
    /// Transport protocol: 1, 6, 17, 132.
    pub protocol: u8,
    /// Source port; for ICMP type and code.
    pub src_port: u16,
    /// Destination port; for ICMP the checksum.
    pub dst_port: u16,
    /// Its mark.
    pub mark: u32,
    /// What conntrack knows of its flow.
    pub flow: FlowState,
}

impl Packet {
    /// A packet from a link, as `("10.0.0.1:4000", "10.96.0.5:80")`.
    ///
    /// # Panics
    /// If the text is not an address and a port: for tests and literals.
    #[must_use]
    pub fn new(protocol: u8, src: &str, dst: &str) -> Self {
        let parse = |text: &str| -> std::net::SocketAddrV4 { text.parse().expect("address:port") };
        let (src, dst) = (parse(src), parse(dst));
        Self {
            ingress: Ingress::Link,
            src: *src.ip(),
            dst: *dst.ip(),
            protocol,
            src_port: src.port(),
            dst_port: dst.port(),
            mark: 0,
            flow: FlowState::New,
        }
    }

    /// An ICMP echo request from a link.
    #[must_use]
    pub fn echo(src: Ipv4Addr, dst: Ipv4Addr) -> Self {
        let ingress = Ingress::Link;
        Self { ingress, src, dst, protocol: 1, src_port: 8 << 8, dst_port: 0, mark: 0, flow: FlowState::New }
    }

    /// The same from a process of this machine.
    #[must_use]
    pub fn local(mut self) -> Self {
        self.ingress = Ingress::Local;
        self
    }

    pub(super) fn network_header(&self) -> [u8; 20] {
        let mut header = [0; 20];
        header[0] = 0x45;
        header[9] = self.protocol;
        header[12..16].copy_from_slice(&self.src.octets());
        header[16..20].copy_from_slice(&self.dst.octets());
        header
    }

    pub(super) fn transport_header(&self) -> [u8; 4] {
        let ([a, b], [c, d]) = (self.src_port.to_be_bytes(), self.dst_port.to_be_bytes());
        [a, b, c, d]
    }
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Handed to a process of this machine.
    Delivered,
    /// Sent on over a link.
    Sent,
    /// Dropped without a word.
    Dropped,
    /// The sender got a TCP RST.
    Reset,
    /// The sender got ICMP unreachable of this code.
    Unreachable(u8),
}

/// The path of one packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// What became of it.
    pub outcome: Outcome,
    /// The packet as it left, with its new destination.
    pub packet: Packet,
    /// True if its destination was translated.
    pub translated: bool,
    /// True if its source became the address of the link it leaves by.
    pub masqueraded: bool,
    /// Look-ups in sets and maps on its way.
    pub lookups: usize,
    /// What happened, one line each: hooks, jumps, look-ups and verdicts.
    pub steps: Vec<String>,
}
