//! The API over the in-process client, on a store in memory: what each request answers, byte for byte where clients care.

#![allow(missing_docs, clippy::unwrap_used)]

mod apply;
mod authority;
mod delete;
mod discovery;
mod kinds;
mod list;
mod proxy;
mod server;
mod socket;
mod streams;
mod watch;
mod write;
