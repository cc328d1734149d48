//! The kernel's tables of sockets, `/proc/net/{tcp,tcp6,udp,udp6}`, as far as they say who listens. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;

/// TCP's state LISTEN.
const LISTEN: u8 = 0x0A;
/// TCP's state CLOSE, which is also that of a UDP socket without a peer.
const UNCONNECTED: u8 = 0x07;

/// What a table is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Protocol {
    /// Listens in state LISTEN.
    Tcp,
    /// Listens if it is bound and has no peer.
    Udp,
}

/// A socket that takes connections or datagrams from anybody.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Listener {
    /// Of what.
    pub(super) protocol: Protocol,
    /// The port.
    pub(super) port: u16,
    /// The address it is bound to. `::` takes IPv4, too, unless the socket is IPv6 only, which the tables do not tell.
    pub(super) address: IpAddr,
}

/// The listeners in one table. The heading, sockets that do not listen, and lines that make no sense are passed over.
pub(super) fn listeners(protocol: Protocol, table: &str) -> impl Iterator<Item = Listener> {
    table.lines().filter_map(move |line| listener(protocol, line))
}

fn listener(protocol: Protocol, line: &str) -> Option<Listener> {
    // Slot, local address, remote address, state.
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (local, _remote, state) = (fields.next()?, fields.next()?, fields.next()?);
    let wanted = match protocol {
        Protocol::Tcp => LISTEN,
        Protocol::Udp => UNCONNECTED,
    };
    let (address, port) = local.split_once(':')?;
    let (address, port) = (ip(address)?, u16::from_str_radix(port, 16).ok()?);
    let listens = u8::from_str_radix(state, 16) == Ok(wanted) && port != 0;
    listens.then_some(Listener { protocol, port, address })
}

/// One word or four: an address as it lies in memory, printed as numbers in the machine's byte order. An IPv4 address
/// within IPv6 is what it is for those who connect: IPv4.
fn ip(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(hex.get(at * 8..at * 8 + 8)?, 16).ok();
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?.to_ne_bytes()).into()),
        32 => {
            let mut bytes = [0; 16];
            for (at, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(at)?.to_ne_bytes());
            }
            Some(IpAddr::from(Ipv6Addr::from(bytes)).to_canonical())
        }
        _ => None,
    }
}

// The tables are those of a little-endian machine.
#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    const V4: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    #[test]
    fn a_line_is_a_listener_or_nothing() {
        use Protocol::{Tcp, Udp};
        let rest = "00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0";
        for (protocol, line, wanted) in [
            (Tcp, "   0: 00000000:1F90 00000000:0000 0A", Some("0.0.0.0:8080")),
            (Tcp, "  17: 0100007F:0050 00000000:0000 0A", Some("127.0.0.1:80")),
            (Tcp, "   0: 0101F40A:FFFF 00000000:0000 0A", Some("10.244.1.1:65535")),
            (
                Tcp,
                "   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A",
                Some("[::]:8080"),
            ),
            (
                Tcp,
                "   0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A",
                Some("[::1]:8080"),
            ),
            (
                Tcp,
                "   0: B80D0120785634120000000001000000:01BB 00000000000000000000000000000000:0000 0A",
                Some("[2001:db8:1234:5678::1]:443"),
            ),
            (
                Tcp,
                "   0: 0000000000000000FFFF00000100007F:1F90 00000000000000000000000000000000:0000 0A",
                Some("127.0.0.1:8080"),
            ),
            (Udp, " 4711: 00000000:2328 00000000:0000 07", Some("0.0.0.0:9000")),
            // Established, also of UDP; closing; waiting.
            (Tcp, "   0: 0100007F:1F90 0100007F:A000 01", None),
            (Udp, "   0: 0100007F:A000 0A60000A:0035 01", None),
            (Tcp, "   0: 0100007F:1F90 0100007F:A000 06", None),
            // What means to listen in one protocol does not in the other.
            (Tcp, "   0: 00000000:1F90 00000000:0000 07", None),
            (Udp, "   0: 00000000:1F90 00000000:0000 0A", None),
            (Udp, "   0: 00000000:0000 00000000:0000 07", None),
            // Malformed.
            (Tcp, V4, None),
            (Tcp, "", None),
            (Tcp, "   0:", None),
            (Tcp, "   0: 00000000:1F90", None),
            (Tcp, "   0: 00000000:1F90 00000000:0000 XX", None),
            (Tcp, "   0: 00000000 00000000:0000 0A", None),
            (Tcp, "   0: 00000000:1F900 00000000:0000 0A", None),
            (Tcp, "   0: 000000:1F90 00000000:0000 0A", None),
            (Tcp, "   0: 0000000g:1F90 00000000:0000 0A", None),
            (Tcp, "   0: 000000\u{e9}:1F90 00000000:0000 0A", None),
            (Tcp, "   0: 00000000000000000000000001\u{e9}0000:1F90 0:0000 0A", None),
        ] {
            let found = listener(protocol, &format!("{line} {rest}"));
            let text = found.as_ref().map(|l| std::net::SocketAddr::new(l.address, l.port).to_string());
            assert_eq!(text.as_deref(), wanted, "{protocol:?} {line}");
            assert!(found.is_none_or(|l| l.protocol == protocol));
        }
    }

    #[test]
    fn a_table_gives_its_listeners() {
        let table = format!(
            "{V4}   0: 00000000:1F90 00000000:0000 0A 0 0 1\nnonsense\n   1: 0100007F:1F90 0100007F:A000 01 0 0 2\n   \
             2: 0100007F:0050 00000000:0000 0A 0 0 3\n"
        );
        let ports: Vec<_> = listeners(Protocol::Tcp, &table).map(|l| l.port).collect();
        assert_eq!(ports, [8080, 80]);
    }

    #[test]
    fn it_reads_as_kubernetes_writes_protocols() {
        let listener =
            Listener { protocol: Protocol::Udp, port: 9000, address: Ipv6Addr::UNSPECIFIED.into() };
        let wanted = serde_json::json!({"protocol": "UDP", "address": "::", "port": 9000});
        assert_eq!(serde_json::to_value(listener).unwrap(), wanted);
    }
}
