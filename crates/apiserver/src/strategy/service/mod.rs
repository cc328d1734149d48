//! Services: what is filled in, inferred, refused and allocated (`pkg/registry/core/service`).

mod defaults;
#[cfg(test)]
mod tests;
mod update;
mod validate;
mod validate_addresses;
mod validate_update;
mod view;
mod warnings;

pub(crate) use validate_addresses::validate_addresses;
pub(crate) use view::ServiceView;

use super::access::{keep, set};
use super::{AllocateContext, Claims, Part, Strategy};
use crate::status::{ApiError, FieldError};
use serde_json::{Value, json};

/// The strategy of Services.
pub(super) struct Service;

impl Strategy for Service {
    fn default(&self, object: &mut Value) {
        defaults::set_defaults(object);
    }

    fn prepare_create(&self, object: &mut Value) {
        set(object, "status", json!({"loadBalancer": {}}));
        if let Some(spec) = object.get_mut("spec") {
            update::normalize_cluster_ips(spec, None);
        }
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, part: Part) {
        match part {
            Part::Main => {
                keep(new, old, "status");
                update::infer(new, old);
            }
            Part::Status => update::keep_spec(new, old),
            Part::Other => {}
        }
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        validate::validate(object)
    }

    fn validate_update(&self, new: &Value, old: &Value, part: Part) -> Vec<FieldError> {
        match part {
            Part::Status => validate::validate_status(new),
            Part::Main | Part::Other => validate_update::validate(new, old),
        }
    }

    fn allocate(
        &self,
        cx: &AllocateContext<'_>,
        new: &mut Value,
        old: Option<&Value>,
    ) -> Result<Claims, ApiError> {
        crate::allocate::service(cx, new, old)
    }

    fn release(&self, cx: &AllocateContext<'_>, object: &Value) -> Claims {
        crate::allocate::release_service(cx, object)
    }

    fn warnings(&self, object: &Value) -> Vec<String> {
        warnings::warnings(object)
    }
}
