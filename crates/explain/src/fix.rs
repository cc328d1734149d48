//! Commands that mend, put together.

use crate::objects::Pod;
use crate::view::View;
use serde_json::{Value, json};

/// What made a Pod, as kubectl takes it (`deployment/web`), if a change of its template reaches the Pod.
pub(crate) fn maker(view: &View<'_>, pod: &Pod) -> Option<String> {
    let namespace = pod.metadata.namespace.as_str();
    let pod = view.pod(namespace, &pod.metadata.name)?;
    match view.maker(pod)? {
        (kind @ ("Deployment" | "StatefulSet" | "DaemonSet"), name) => {
            Some(format!("{}/{name}", kind.to_lowercase()))
        }
        _ => None,
    }
}

/// The command that patches the Pod template that a Pod was made from.
pub(crate) fn template(view: &View<'_>, pod: &Pod, spec: &Value) -> Option<String> {
    let (kind, name) = maker(view, pod)?.split_once('/').map(|(k, n)| (k.to_owned(), n.to_owned()))?;
    let patch = json!({"spec": {"template": {"spec": spec}}});
    Some(format!("kubectl -n {} patch {kind} {name} -p '{patch}'", pod.metadata.namespace))
}

/// The command that shows all that is known of a Pod.
pub(crate) fn describe(pod: &Pod) -> String {
    format!("kubectl -n {} describe pod {}", pod.metadata.namespace, pod.metadata.name)
}
