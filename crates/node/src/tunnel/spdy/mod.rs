//! The part of SPDY/3.1 that Kubernetes' clients speak for port-forward, exec and attach: streams with headers that a client
//! opens, data both ways, resets and pings (<https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1/>).
//!
//! | file | holds |
//! |---|---|
//! | `frame.rs` | bytes ⇄ frames, without I/O |
//! | `header.rs`, `dictionary.rs` | the compressed header blocks |
//! | `connection.rs` | the server's side of a connection |
//!
//! Flow control by WINDOW_UPDATE is neither asked for nor obeyed: no client of Kubernetes does either, and some take such a
//! frame for an error. What is not read holds up the whole connection instead.

mod connection;
mod dictionary;
mod frame;
mod header;

pub(super) use connection::{Connection, Sender, Stream};
#[cfg(test)]
pub(crate) use frame::{Frame, Reader, Status, data as data_frame, reset as reset_frame, syn_stream};
#[cfg(test)]
pub(crate) use header::BlockWriter;
pub(crate) use header::Headers;
