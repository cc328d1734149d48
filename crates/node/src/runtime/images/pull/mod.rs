//! Pulls images from registries into the store, in a process that reaches them; nodes ask over a socket ([`Pulls`]).
//!
//! A node's process lives in a network namespace that leads to no registry, so the pulling is another process' work: it has
//! the host's network, serves all nodes of the machine (two that want one image wait for one pull), and goes on when a
//! node's agent ends. Invariants: the store shows an image when all of it is there; what is there is not fetched again;
//! a download that broke off goes on where it was, also in the next process ([`work::Work`]).

mod blob;
mod client;
mod job;
mod server;
mod work;

pub use client::Pulls;
pub use server::serve_pulls;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use serde::{Deserialize, Serialize};

use super::registry::{Credential, RegistryError, Transport};
use super::{ImageError, ImageStore, Reference};
use work::Work;

/// An image to pull.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PullRequest {
    /// Its name as the Pod has it.
    pub image: String,
    /// Tried one after the other; nobody in particular if there is none.
    #[serde(default)]
    pub credentials: Vec<Credential>,
}

/// An image that is in the store now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pulled {
    /// The image's id, `sha256:…`.
    pub id: String,
    /// What it takes in the store, in bytes.
    pub size_bytes: u64,
    /// How long the pull took, in milliseconds.
    pub took_ms: u64,
}

/// Why an image was not pulled.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The registry's part of it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The store's part of it: an invalid name, a layer that is not what it should be, a full disk.
    #[error(transparent)]
    Store(#[from] ImageError),
    /// A layer's content is not what its digest says.
    #[error("registry {host} sends other content than asked for: {wanted} has digest {found}")]
    Digest {
        /// The registry.
        host: String,
        /// As the manifest says.
        wanted: String,
        /// As it came.
        found: String,
    },
    /// An image for other machines.
    #[error("image {image} is not there for {ours}, only for {theirs}")]
    Platform {
        /// The image.
        image: String,
        /// This machine's platform.
        ours: String,
        /// Those that there are.
        theirs: String,
    },
    /// A format that is not read.
    #[error("image {image}: {what}")]
    Unsupported {
        /// The image.
        image: String,
        /// What is not read.
        what: String,
    },
}

impl PullError {
    fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |e| Self::Store(ImageError::io(what, path)(e))
    }

    /// Whether another credential may do better.
    fn denied(&self) -> bool {
        matches!(self, Self::Registry(RegistryError::Denied { .. } | RegistryError::NotFound { .. }))
    }
}

/// How a pull goes out; shared by all who wait for it.
type Outcome = Result<Pulled, Arc<PullError>>;

/// Pulls images into one store. Cheap to clone.
#[derive(Clone)]
pub struct Puller {
    shared: Arc<Inner>,
}

struct Inner {
    transport: Arc<Transport>,
    work: Work,
    running: Mutex<HashMap<PullRequest, Shared<BoxFuture<'static, Outcome>>>>,
}

impl Puller {
    /// With `loopback_only` no registry but this machine's own is dialled.
    ///
    /// # Errors
    /// When the store's directory for work in progress cannot be made, or TLS cannot be set up.
    pub fn new(store: ImageStore, loopback_only: bool) -> Result<Self, PullError> {
        let transport = Arc::new(Transport::new(loopback_only)?);
        let inner = Inner { transport, work: Work::open(store)?, running: Mutex::default() };
        Ok(Self { shared: Arc::new(inner) })
    }

    /// Pulls an image, or waits for the same pull that is under way. The pull goes on if the caller does not wait.
    ///
    /// # Errors
    /// See [`PullError`].
    pub async fn pull(&self, request: PullRequest) -> Outcome {
        let waiting = {
            let mut running = self.running();
            match running.get(&request) {
                Some(same) => same.clone(),
                None => {
                    let task = tokio::spawn(self.clone().run(request.clone()));
                    let lost = |e| Err(Arc::new(PullError::io("running", "a pull")(io::Error::other(e))));
                    let future: BoxFuture<'static, Outcome> =
                        task.map(move |done| done.unwrap_or_else(lost)).boxed();
                    running.entry(request).or_insert(future.shared()).clone()
                }
            }
        };
        waiting.await
    }

    async fn run(self, request: PullRequest) -> Outcome {
        let outcome = self.try_credentials(&request).await;
        match &outcome {
            Ok(pulled) => {
                tracing::info!(image = request.image, id = pulled.id, ms = pulled.took_ms, "pulled")
            }
            Err(error) => tracing::info!(image = request.image, %error, "cannot pull"),
        }
        self.running().remove(&request);
        outcome.map_err(Arc::new)
    }

    async fn try_credentials(&self, request: &PullRequest) -> Result<Pulled, PullError> {
        let reference = Reference::parse(&request.image)?;
        let mut credentials: Vec<Option<&Credential>> = request.credentials.iter().map(Some).collect();
        if credentials.is_empty() {
            credentials.push(None);
        }
        let mut last = None;
        for credential in credentials {
            let transport = self.shared.transport.clone();
            match job::pull(&self.shared.work, transport, &reference, credential.cloned()).await {
                Err(error) if error.denied() => last = Some(error),
                done => return done,
            }
        }
        Err(last.expect("at least one credential, or none, was tried"))
    }

    fn running(&self) -> MutexGuard<'_, HashMap<PullRequest, Shared<BoxFuture<'static, Outcome>>>> {
        self.shared.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
