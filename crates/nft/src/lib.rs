//! A typed nftables ruleset: build, print, parse, diff, audit, trace, and its netlink encoding.
//!
//! Invariants: pure. No sockets, no clock, no randomness of its own; a number that a packet's path depends on is handed
//! in. Knows nothing of Services. Rules are written in the kernel's own expressions, because what the kernel can do is
//! more than what `nft`'s language can say.

mod audit;
mod change;
mod element;
mod expr;
mod parse;
mod print;
mod register;
mod table;
pub mod trace;
pub mod wire;

pub use audit::audit;
pub use change::{ApplyError, Change, apply, diff};
pub use element::{Bytes, Data, Elements, Field, SetKind, Value};
pub use expr::{Base, Checksum, CtKey, Expr, MetaKey, Reg, Reject, Target, UpdateOp, Verdict};
pub use parse::{ParseError, parse};
pub use print::{print, print_elements, print_rule};
pub use table::{BaseChain, Chain, Family, Hook, Kind, Name, Rule, Set, Table};
