//! Images: one store a machine, shared by its nodes and the CLI.
//!
//! Invariants: a layer is unpacked once, into a directory named by the digest of its uncompressed tar; whatever is visible
//! under its final name is complete (made aside, then renamed); changes hold the store's lock; a layer that a container
//! uses is locked by its shim and never deleted.

mod archive;
mod builtin;
mod config;
mod elf;
mod error;
mod layer;
mod locked;
mod manifest;
mod mount;
mod place;
mod pull;
mod reference;
mod registry;
mod store;
mod zstd;

pub use config::Image;
pub use error::ImageError;
pub use mount::{MountMethod, mount_rootfs};
pub(crate) use place::{ensure_directory, read_below};
pub use pull::{PullError, PullRequest, Pulled, Puller, Pulls, serve_pulls};
pub use reference::Reference;
pub use registry::{Credential, RegistryError};
pub(crate) use store::lock_layers;
pub use store::{ImageStore, ImageSummary};
