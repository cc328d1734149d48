//! Links, addresses, neighbours and routes of a network namespace over rtnetlink, and namespaces that are pinned as files.
//!
//! A dozen requests, no more than sealane makes. They are synchronous: the kernel does the work within the system call and
//! its answer is there when that returns. Errors are the kernel's own (`io::Error` with its errno); what was being
//! done is the caller's to say.

mod address;
mod link;
pub mod namespace;
mod neighbour;
mod route;
mod socket;
#[cfg(test)]
mod tests;

pub use link::{Link, Veth};
pub use route::Route;
pub use socket::Netlink;
