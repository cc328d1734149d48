//! What a kind does beyond being stored: one file a kind, called by the generic registry in the order
//! default → prepare → validate → allocate → write → on_read.
//!
//! One directory or file a family of kinds; `access.rs` reads and writes JSON totally, `format.rs` knows formats.
//!
//! Invariant: all of an object's errors are reported at once, before anything is allocated.

mod access_control;
mod address;
mod configuration;
mod endpoints;
mod event;
mod generation;
mod lease;
mod namespace;
mod node;
mod pod;
#[cfg(test)]
mod tests;
pub(crate) mod workload;

pub(crate) mod access;
pub(crate) mod format;
pub(crate) mod service;

use crate::kinds::RBAC;
use crate::status::{ApiError, FieldError};
use sealane_storage::{Condition, Op, Store};
use serde_json::Value;

/// Which part of an object a write may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The object itself; a change of `status` is dropped if the kind has a status subresource.
    Main,
    /// `…/status`.
    Status,
    /// Another subresource (`scale`, `binding`, `token`, …), which the registry has already folded into the object.
    Other,
}

/// Claims that must be committed in the same transaction as the object.
#[derive(Debug, Default)]
pub struct Claims {
    /// What must hold.
    pub conditions: Vec<Condition>,
    /// What is written besides the object.
    pub ops: Vec<Op>,
}

/// What an allocation may look at.
pub struct AllocateContext<'a> {
    /// The store, for claims that stand.
    pub store: &'a dyn Store,
    /// The cluster's settings.
    pub config: &'a crate::Config,
    /// Another try after the transaction met a claim of somebody else.
    pub attempt: u32,
    /// True for `dryRun=All`: choose, but nothing will be written.
    pub dry_run: bool,
}

/// The behaviour of a kind. Every method has the behaviour of a kind that has none.
pub trait Strategy: Send + Sync {
    /// Fills in the defaults that Kubernetes stores, on create and on update, before validation.
    fn default(&self, _object: &mut Value) {}
    /// Before a create: drops what the caller may not set (`status`), sets what the server sets (`generation`).
    fn prepare_create(&self, _object: &mut Value) {}
    /// Before an update: keeps what may not change, infers what was left out, counts `metadata.generation`.
    fn prepare_update(&self, _new: &mut Value, _old: &Value, _part: Part) {}
    /// All that is wrong with a new object (metadata is checked by the registry).
    fn validate(&self, _object: &Value) -> Vec<FieldError> {
        Vec::new()
    }
    /// All that is wrong with a change.
    fn validate_update(&self, new: &Value, _old: &Value, _part: Part) -> Vec<FieldError> {
        self.validate(new)
    }
    /// Claims addresses, ports and the like: writes them into `new` and returns what the transaction must hold and
    /// write. `old` is `None` on create.
    fn allocate(
        &self,
        _cx: &AllocateContext<'_>,
        _new: &mut Value,
        _old: Option<&Value>,
    ) -> Result<Claims, ApiError> {
        Ok(Claims::default())
    }
    /// Whether the object may be deleted.
    fn check_delete(&self, _store: &dyn Store, _object: &Value) -> Result<(), ApiError> {
        Ok(())
    }
    /// What to write when the object goes for good.
    fn release(&self, _cx: &AllocateContext<'_>, _object: &Value) -> Claims {
        Claims::default()
    }
    /// Mends an object as it is served.
    fn on_read(&self, _object: &mut Value) {}
    /// `Warning:` headers for a write or a read of this kind.
    fn warnings(&self, _object: &Value) -> Vec<String> {
        Vec::new()
    }
}

/// A kind that is stored and no more.
struct Plain;

impl Strategy for Plain {}

/// The strategy of a kind, by its storage group and name.
#[must_use]
pub fn for_kind(group: &str, kind: &str) -> &'static dyn Strategy {
    match (group, kind) {
        ("", "Service") => &service::Service,
        ("", "Pod") => &pod::Pod,
        ("", "Namespace") => &namespace::Namespace,
        ("", "Node") => &node::Node,
        ("", "ConfigMap") => &configuration::ConfigMap,
        ("", "Secret") => &configuration::Secret,
        ("", "Endpoints") => &endpoints::Endpoints,
        ("", "Event") => &event::Event,
        ("apps", "Deployment") => &workload::Deployment,
        ("apps", "ReplicaSet") => &workload::ReplicaSet,
        ("discovery.k8s.io", "EndpointSlice") => &endpoints::EndpointSlice,
        ("coordination.k8s.io", "Lease") => &lease::Lease,
        ("networking.k8s.io", "ServiceCIDR") => &address::ServiceCidr,
        ("networking.k8s.io", "IPAddress") => &address::IpAddress,
        (RBAC, "Role") => &access_control::Role,
        (RBAC, "ClusterRole") => &access_control::ClusterRole,
        (RBAC, "RoleBinding" | "ClusterRoleBinding") => &access_control::Binding,
        _ => &Plain,
    }
}
