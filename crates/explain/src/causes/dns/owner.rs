//! Whom to tell of the DNS settings of a Pod: what made it, so that it is told once for all of its Pods.

use crate::finding::Object;
use crate::objects::Pod;
use crate::view::View;

/// What made a Pod, or the Pod itself; none for a Pod of a node or a Job, which nobody mends by its template.
pub(super) fn owner(view: &View<'_>, pod: &Pod) -> Option<Object> {
    let namespace = &pod.metadata.namespace;
    let pod = view.pod(namespace, &pod.metadata.name)?;
    match view.maker(pod) {
        Some(("Deployment", name)) => Some(Object::new("Deployment", namespace, name)),
        Some(("StatefulSet", name)) => Some(Object::new("StatefulSet", namespace, name)),
        Some(("DaemonSet", name)) => Some(Object::new("DaemonSet", namespace, name)),
        Some(("ReplicaSet", name)) => Some(Object::new("ReplicaSet", namespace, name)),
        Some(_) => None,
        None => Some(Object::new("Pod", namespace, &pod.metadata.name)),
    }
}
