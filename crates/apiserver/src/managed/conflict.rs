//! The fields that others manage and an apply would change (`managedfields/internal/conflict.go`).

use super::element::Element;
use super::managers::{Id, Operation};
use super::set::Set;
use crate::status::ApiError;
use serde_json::{Value, json};

/// Fields in conflict, by manager.
#[derive(Debug, Default)]
pub(super) struct Conflicts(Vec<(String, Vec<Vec<Element>>)>);

impl Conflicts {
    /// Adds the fields of a manager.
    pub(super) fn add(&mut self, id: &Id, fields: &Set) {
        self.0.push((shown(id), fields.paths()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The conflicts that a set does not allow.
    pub(super) fn outside(self, allowed: &Set) -> Self {
        let rest = self.0.into_iter().filter_map(|(manager, mut paths)| {
            paths.retain(|path| !allowed.has(path));
            (!paths.is_empty()).then_some((manager, paths))
        });
        Self(rest.collect())
    }

    /// 409 with a cause for every field.
    pub(super) fn error(&self) -> ApiError {
        let text = |path: &[Element]| path.iter().map(ToString::to_string).collect::<String>();
        let causes: Vec<Value> = self
            .0
            .iter()
            .flat_map(|(manager, paths)| paths.iter().map(move |path| (manager, path)))
            .map(|(manager, path)| {
                json!({"reason": "FieldManagerConflict", "message": format!("conflict with {manager}"),
                    "field": text(path)})
            })
            .collect();
        let message = match self.0.as_slice() {
            [(manager, paths)] if paths.len() == 1 => {
                format!("Apply failed with 1 conflict: conflict with {manager}: {}", text(&paths[0]))
            }
            all => {
                let mut lines = Vec::new();
                for (manager, paths) in all {
                    lines.push(format!("conflicts with {manager}:"));
                    lines.extend(paths.iter().map(|path| format!("- {}", text(path))));
                }
                format!("Apply failed with {} conflicts: {}", causes.len(), lines.join("\n"))
            }
        };
        let mut error = ApiError::new(409, "Conflict", message);
        error.details = json!({"causes": causes});
        error
    }
}

/// `"kubectl" with subresource "scale" using apps/v1`. Kubernetes leaves the time out, too: it is no part of who that is.
fn shown(id: &Id) -> String {
    let mut text = format!("{:?}", id.manager);
    if !id.subresource.is_empty() {
        text.push_str(&format!(" with subresource {:?}", id.subresource));
    }
    if id.operation == Operation::Update {
        text.push_str(&format!(" using {}", id.api_version));
    }
    text
}
