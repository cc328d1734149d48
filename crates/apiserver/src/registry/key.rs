//! Where objects lie in the store.

use sealane_storage::Key;

/// The prefix of every object of a resource, with the closing slash: `/registry/apps/deployments/`. The core group is
/// written `core`.
#[must_use]
pub(crate) fn resource_prefix(group: &str, plural: &str) -> String {
    format!("/registry/{}/{plural}/", if group.is_empty() { "core" } else { group })
}

/// The key of one object; `namespace` is empty for cluster-scoped kinds.
#[must_use]
pub(crate) fn object_key(group: &str, plural: &str, namespace: &str, name: &str) -> Key {
    let prefix = resource_prefix(group, plural);
    if namespace.is_empty() {
        format!("{prefix}{name}").into()
    } else {
        format!("{prefix}{namespace}/{name}").into()
    }
}
