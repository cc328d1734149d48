//! Black-box tests: the built binary and the real kubectl, nothing of the implementation. They need root, and send traffic only to
//! 127.0.0.1; everything else is asked from inside a Pod.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod explain;
mod foreign;
mod foreign_api;
mod full_disk;
mod harness;
mod nodes;
mod pulls;
mod refusals;
mod remains;
mod streams;
mod thread;
mod toolbox;
mod tutorial;
mod udp;
mod word;
