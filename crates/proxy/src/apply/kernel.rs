//! The kernel's nftables, over one nfnetlink socket.

use super::socket::Socket;
use super::{ApplyFailure, Backend, conntrack, loopback};
use crate::plan::{StaleFlow, TABLE};
use sealane_nft::wire::{Reader, dump_request, encode, generation, generation_request};
use sealane_nft::{Change, Family, Table};
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Bytes of one transaction if the socket's buffer is the system's default.
const SMALL_BATCH: usize = 150_000;
/// Dumps that were interrupted by changes are begun again this often.
const DUMP_TRIES: usize = 10;
const ENOENT: i32 = 2;

/// The ruleset and conntrack of one network namespace: that of the thread that opened it.
#[derive(Debug)]
pub struct Kernel {
    socket: Socket,
    /// The one table that is read and written.
    table: Arc<str>,
    /// The generation of the ruleset if nobody else has changed it.
    expected: Option<u32>,
    /// The kernel filters conntrack deletions itself (Linux 6.12).
    filters_conntrack: bool,
}

impl Kernel {
    /// Opens the socket in this thread's network namespace.
    ///
    /// # Errors
    /// No netlink, or no CAP_NET_ADMIN.
    pub fn open() -> Result<Self, ApplyFailure> {
        Self::open_table(TABLE)
    }

    /// The same, for another table than the Services'.
    ///
    /// # Errors
    /// As [`Kernel::open`].
    pub fn open_table(table: &str) -> Result<Self, ApplyFailure> {
        let netfilter = rustix::net::netlink::NETFILTER;
        let socket =
            Socket::open(Some(netfilter)).map_err(ApplyFailure::io("opening an nfnetlink socket"))?;
        Ok(Self {
            socket,
            table: table.into(),
            expected: None,
            filters_conntrack: conntrack::kernel_filters(),
        })
    }

    /// The same, removing conntrack entries as kernels before 6.12 need it: dump, and delete one by one.
    ///
    /// # Errors
    /// As [`Kernel::open`].
    pub fn open_without_conntrack_filter() -> Result<Self, ApplyFailure> {
        Ok(Self { filters_conntrack: false, ..Self::open()? })
    }

    /// Gives `lo` the address that NodePort connections to 127.0.0.1 come from.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn add_loopback_source(&mut self, address: Ipv4Addr) -> Result<(), ApplyFailure> {
        loopback::change(address, true).map_err(ApplyFailure::io("adding the loopback source to lo"))
    }

    /// Removes our table and the loopback source, if they are there.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn remove_all(&mut self, loopback_source: Option<Ipv4Addr>) -> Result<(), ApplyFailure> {
        if self.read()?.is_some() {
            self.write(&[Change::DeleteTable])?;
        }
        let Some(address) = loopback_source else { return Ok(()) };
        loopback::change(address, false).map_err(ApplyFailure::io("removing the loopback source from lo"))
    }

    fn generation(&mut self) -> Result<u32, ApplyFailure> {
        let request = generation_request(self.socket.next());
        let mut found = None;
        let asked = self.socket.ask(&request, true, |message| found = generation(message));
        asked.map_err(ApplyFailure::io("asking for the ruleset's generation"))?;
        found.ok_or_else(|| ApplyFailure::Io {
            doing: "asking for the ruleset's generation",
            source: io::ErrorKind::InvalidData.into(),
        })
    }

    fn dump(&mut self) -> io::Result<Option<Table>> {
        let mut reader = Reader::new(Family::Ip, &self.table);
        for what in 0..4 {
            let request = dump_request(Family::Ip, &self.table, what, None, self.socket.next());
            match self.socket.ask(&request, false, |message| reader.message(message)) {
                Err(error) if error.raw_os_error() == Some(ENOENT) => return Ok(None),
                answered => answered?,
            }
        }
        for set in reader.static_sets() {
            let request = dump_request(Family::Ip, &self.table, 0, Some(&set), self.socket.next());
            self.socket.ask(&request, false, |message| reader.message(message))?;
        }
        Ok(reader.finish())
    }
}

impl Backend for Kernel {
    fn read(&mut self) -> Result<Option<Table>, ApplyFailure> {
        for _ in 0..DUMP_TRIES {
            let before = self.generation()?;
            let table = match self.dump() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                dumped => dumped.map_err(ApplyFailure::io("reading the table back"))?,
            };
            if self.generation()? == before {
                self.expected = Some(before);
                return Ok(table);
            }
        }
        Err(ApplyFailure::Io { doing: "reading the table back", source: io::ErrorKind::Interrupted.into() })
    }

    fn write(&mut self, changes: &[Change]) -> Result<(), ApplyFailure> {
        let limit = if self.socket.large { usize::MAX } else { SMALL_BATCH };
        for batch in encode(Family::Ip, &self.table, changes, limit, self.socket.sequence()) {
            let done = self.socket.transact(&batch.bytes, batch.first, batch.last);
            done.map_err(|source| ApplyFailure::Refused { source })?;
            self.expected = self.expected.map(|generation| match generation.wrapping_add(1) {
                0 => 1,
                next => next,
            });
        }
        Ok(())
    }

    fn forget(&mut self, stale: &[StaleFlow]) -> Result<(), ApplyFailure> {
        let done = conntrack::delete(&mut self.socket, stale, self.filters_conntrack);
        done.map_err(ApplyFailure::io("removing stale conntrack entries"))
    }

    fn changed_by_others(&mut self) -> Result<bool, ApplyFailure> {
        let now = self.generation()?;
        Ok(self.expected != Some(now))
    }
}
