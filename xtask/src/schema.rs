//! `cargo xtask schema`: derives the API server's schema of the kinds it serves.
//!
//! From Kubernetes' OpenAPI definitions (PyPI package kubernetes-validate 1.37.0, `pip download --no-deps`, unzipped:
//! `kubernetes_validate/kubernetes-json-schema/v1.33.0-local/_definitions.json`) come names, types, patch keys and
//! descriptions; from the crate k8s-pb 0.9.0 (its `src` directory) the protobuf field numbers; from `pointers.txt` which
//! zeros mean something. Written are two text files: the types, read by every process that serves the API, and the
//! descriptions, touched only when somebody asks for OpenAPI.

mod definitions;
mod emit;
mod protobuf;

use std::{fs, path::Path};

/// The arguments.
pub(crate) const USAGE: &str = "DEFINITIONS.json K8S_PB_SRC";

const POINTERS: &str = include_str!("schema/pointers.txt");

/// The kinds that are or soon will be served, a line a group version.
const SERVED: &str = "\
core.v1 Namespace Node Pod PodTemplate Service Endpoints ConfigMap Secret ServiceAccount Event Binding ReplicationController
apps.v1 Deployment ReplicaSet ControllerRevision StatefulSet DaemonSet
autoscaling.v1 Scale
discovery.v1 EndpointSlice
networking.v1 ServiceCIDR IPAddress
networking.v1beta1 ServiceCIDR IPAddress
coordination.v1 Lease
events.v1 Event
rbac.v1 Role RoleBinding ClusterRole ClusterRoleBinding
authentication.v1 TokenRequest TokenReview SelfSubjectReview
authorization.v1 SubjectAccessReview LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview
policy.v1 Eviction
meta.v1 DeleteOptions Status Patch APIResourceList APIGroupList APIGroup APIVersions WatchEvent";

/// Reads both sources and writes `crates/apiserver/src/schema/{types,descriptions}.txt`.
pub(crate) fn run(definitions: &Path, k8s_pb: &Path) -> Result<(), String> {
    let all = definitions::read(definitions)?;
    let messages = protobuf::read(k8s_pb)?;
    let types = definitions::reachable(&all, SERVED)?;
    let out = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/apiserver/src/schema");
    let text = emit::types(&types, &messages, POINTERS)?;
    write(&out.join("types.txt"), &text)?;
    write(&out.join("descriptions.txt"), &emit::descriptions(&types))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))
}
