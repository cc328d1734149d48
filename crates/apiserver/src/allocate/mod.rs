//! Addresses and node ports: drawn, claimed and freed in the transaction that writes their Service.
//!
//! A ClusterIP is claimed by its IPAddress object, a node port by a key under `/allocations/nodeports/`. The claims
//! of a write are the difference between what the Service held and what it will hold, so a crash leaks nothing and no
//! repair loop is needed.
//!
//! Invariant: after every committed transaction the claims that stand are exactly what the stored Services hold.

mod band;
mod cidr;
mod cluster_ip;
mod families;
mod node_port;
#[cfg(test)]
mod tests;

use crate::status::{ApiError, FieldError};
use crate::strategy::service::ServiceView;
use crate::strategy::{AllocateContext, Claims};
use sealane_storage::Store;
use serde_json::Value;

/// Draws and claims what a Service needs on create (`old` is none) or update, and frees what it no longer needs.
pub(crate) fn service(
    cx: &AllocateContext<'_>,
    new: &mut Value,
    old: Option<&Value>,
) -> Result<Claims, ApiError> {
    let pool = cidr::Pool::read(cx)?;
    families::initialize(new, old, &pool.families())?;
    cluster_ip::choose(cx, &pool, new, old)?;
    node_port::choose(cx, new, old)?;
    let mut claims = Claims::default();
    cluster_ip::claim(cx, new, old, &mut claims);
    node_port::claim(cx, Some(new), old, &mut claims);
    Ok(claims)
}

/// The Service (`namespace/name`) that holds the address of an IPAddress object.
pub(crate) fn holder(store: &dyn Store, ip_address: &Value) -> Option<String> {
    cluster_ip::holder(store, ip_address)
}

/// Frees what a Service held.
pub(crate) fn release_service(cx: &AllocateContext<'_>, object: &Value) -> Claims {
    let mut claims = Claims::default();
    cluster_ip::release(cx, object, &mut claims);
    node_port::claim(cx, None, Some(object), &mut claims);
    claims
}

fn refused(service: &Value, error: FieldError) -> ApiError {
    ApiError::invalid("", "Service", ServiceView::new(service).name(), &[error])
}
