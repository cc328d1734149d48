//! Pods: defaults, admission, what may change (`pkg/registry/core/pod`).

mod admission;
pub(crate) mod defaults;
mod qos;
pub(crate) mod quantity;
mod validate;
mod validate_container;
mod validate_update;

pub(crate) use validate::pod_spec as validate_pod_spec;

use super::access::{at, drop_nulls, object, set};
use super::generation;
use super::{AllocateContext, Claims, Part, Strategy};
use crate::status::{ApiError, FieldError};
use serde_json::{Value, json};

/// The strategy of Pods.
pub(super) struct Pod;

impl Strategy for Pod {
    fn default(&self, object: &mut Value) {
        if let Some(spec) = object.get_mut("spec") {
            drop_nulls(spec);
        }
        defaults::pod(object);
    }

    fn prepare_create(&self, pod: &mut Value) {
        generation::start(pod);
        if let Some(spec) = object(pod, "spec") {
            admission::tolerations(spec);
            admission::priority(spec);
        }
        let class = qos::class(at(pod, &["spec"]));
        set(pod, "status", json!({"phase": "Pending", "qosClass": class}));
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, part: Part) {
        if part != Part::Main {
            return; // being bound to a node is no change of what is asked for
        }
        if let Some(spec) = new.get_mut("spec") {
            defaults::keep_service_account(spec, at(old, &["spec"]));
        }
        generation::count_spec(new, old, part);
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        validate::pod_spec("spec", at(object, &["spec"]))
    }

    fn validate_update(&self, new: &Value, old: &Value, part: Part) -> Vec<FieldError> {
        match part {
            Part::Main => validate_update::validate(new, old),
            Part::Status | Part::Other => Vec::new(),
        }
    }

    fn allocate(
        &self,
        cx: &AllocateContext<'_>,
        new: &mut Value,
        old: Option<&Value>,
    ) -> Result<Claims, ApiError> {
        if old.is_none() {
            admission::check_priority(new)?;
            admission::service_account(cx, new)?;
        }
        Ok(Claims::default())
    }
}
