//! RoleBindings and ClusterRoleBindings. (Roles have the default columns.)

use super::{AGE, NAME, Printer, age, list, name, text};
use serde_json::{Value, json};

pub(super) const BINDING: Printer = Printer {
    columns: &[
        NAME,
        ("Role", "string", "", 0),
        AGE,
        ("Users", "string", "", 1),
        ("Groups", "string", "", 1),
        ("ServiceAccounts", "string", "", 1),
    ],
    cells: |object, now| {
        let role = format!("{}/{}", text(object, "/roleRef/kind"), text(object, "/roleRef/name"));
        vec![
            json!(name(object)),
            json!(role),
            json!(age(object, now)),
            json!(subjects(object, "User")),
            json!(subjects(object, "Group")),
            json!(subjects(object, "ServiceAccount")),
        ]
    },
};

fn subjects(object: &Value, kind: &str) -> String {
    let of_kind = list(object, "/subjects").iter().filter(|s| s["kind"] == kind);
    let shown = of_kind.map(|subject| match kind {
        "ServiceAccount" => format!("{}/{}", text(subject, "/namespace"), text(subject, "/name")),
        _ => text(subject, "/name").to_owned(),
    });
    shown.collect::<Vec<_>>().join(", ")
}
