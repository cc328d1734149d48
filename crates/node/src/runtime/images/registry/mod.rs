//! A registry's pull side (OCI distribution specification 1.1): manifests and blobs of one repository.
//!
//! Our own because of one promise: under `--egress none` no host but this one is dialled, and a registry can send its
//! clients elsewhere by a redirect or a token's realm. Every request goes through [`Transport`], which keeps that promise.

mod challenge;
mod session;
mod token;
mod transport;

pub(super) use session::{Blob, Registry};
pub(super) use transport::{IDLE, Transport, is_loopback};

use std::io;

use serde::{Deserialize, Serialize};

/// How to prove who is asking.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Credential {
    /// For HTTP's basic scheme, and to get a token with.
    pub username: String,
    /// Belongs to the name.
    pub password: String,
    /// An OAuth refresh token, in place of name and password; empty if there is none.
    pub identity_token: String,
}

/// Why a registry did not give what was asked for. The text names the registry, the cause, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// `--egress none`: only this machine is dialled.
    #[error("registry {0} is not dialled under --egress none; load the image with `sealane image load`")]
    NotDialled(String),
    /// No connection, or it broke.
    #[error("registry {host}: {cause}; without a registry, load the image with `sealane image load`")]
    Unreachable {
        /// The registry.
        host: String,
        /// What the network said.
        cause: String,
    },
    /// It wants to know who is asking, or somebody else to ask.
    #[error("registry {host} refuses access to {repository} ({status}): {message}; see imagePullSecrets")]
    Denied {
        /// The registry.
        host: String,
        /// What was asked for.
        repository: String,
        /// The HTTP status.
        status: u16,
        /// What the registry said.
        message: String,
    },
    /// There is no such thing.
    #[error("registry {host} does not have {what}: {message}")]
    NotFound {
        /// The registry.
        host: String,
        /// The manifest or blob.
        what: String,
        /// What the registry said.
        message: String,
    },
    /// Any other status.
    #[error("registry {host} answers {status} for {what}: {message}")]
    Status {
        /// The registry.
        host: String,
        /// The manifest or blob.
        what: String,
        /// The HTTP status.
        status: u16,
        /// What the registry said.
        message: String,
    },
    /// It answered what no registry answers.
    #[error("registry {host} answers what is no {what}: {cause}")]
    Malformed {
        /// The registry.
        host: String,
        /// What was expected.
        what: &'static str,
        /// What is wrong.
        cause: String,
    },
    /// The system's certificates cannot be used.
    #[error("preparing TLS: {0}")]
    Tls(#[source] io::Error),
}

impl RegistryError {
    /// Whether the same request may succeed a moment later.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Status { status, .. } => *status >= 500 || *status == 429,
            _ => false,
        }
    }
}
