//! What a container may do and use: its security context, resources and OOM score. Pure.

use k8s_openapi::api::core::v1::{Container, Pod};

use super::quantity;
use super::volumes::fs_group;
use crate::runtime::{Resources, SeccompProfile, SecurityContext};

/// The Pod's and the container's security contexts, merged; the container's wins.
pub(crate) fn context(pod: &Pod, container: &Container) -> SecurityContext {
    let of_pod = pod.spec.as_ref().and_then(|s| s.security_context.as_ref());
    let own = container.security_context.as_ref();
    let id = |a: Option<i64>, b: Option<i64>| a.or(b).and_then(|n| u32::try_from(n).ok());
    let capabilities = own.and_then(|s| s.capabilities.as_ref());
    let groups = of_pod.and_then(|s| s.supplemental_groups.as_deref()).unwrap_or_default();
    SecurityContext {
        run_as_user: id(own.and_then(|s| s.run_as_user), of_pod.and_then(|s| s.run_as_user)),
        run_as_group: id(own.and_then(|s| s.run_as_group), of_pod.and_then(|s| s.run_as_group)),
        run_as_non_root: own
            .and_then(|s| s.run_as_non_root)
            .or(of_pod.and_then(|s| s.run_as_non_root))
            .unwrap_or(false),
        supplemental_groups: groups
            .iter()
            .filter_map(|g| u32::try_from(*g).ok())
            .chain(fs_group(pod))
            .collect(),
        capabilities_add: capabilities.and_then(|c| c.add.clone()).unwrap_or_default(),
        capabilities_drop: capabilities.and_then(|c| c.drop.clone()).unwrap_or_default(),
        privileged: own.and_then(|s| s.privileged).unwrap_or(false),
        read_only_root_filesystem: own.and_then(|s| s.read_only_root_filesystem).unwrap_or(false),
        no_new_privileges: own.and_then(|s| s.allow_privilege_escalation) == Some(false),
        seccomp: if own.and_then(|s| s.privileged).unwrap_or(false) || profile(pod, container) == "Unconfined"
        {
            SeccompProfile::Unconfined
        } else {
            SeccompProfile::RuntimeDefault
        },
    }
}

/// `seccompProfile.type`, the container's before the Pod's. Without one the runtime's profile holds, as with the kubelet's
/// `--seccomp-default`.
fn profile<'a>(pod: &'a Pod, container: &'a Container) -> &'a str {
    let of_pod = pod.spec.as_ref().and_then(|s| s.security_context.as_ref());
    let of_pod = of_pod.and_then(|s| s.seccomp_profile.as_ref());
    let own = container.security_context.as_ref().and_then(|s| s.seccomp_profile.as_ref());
    own.or(of_pod).map_or("RuntimeDefault", |p| &p.type_)
}

/// Refuses what this node cannot do, by name.
///
/// # Errors
/// For people.
pub(crate) fn check(pod: &Pod, container: &Container) -> Result<(), String> {
    match profile(pod, container) {
        "RuntimeDefault" | "Unconfined" => Ok(()),
        other => Err(format!(
            "seccompProfile of type {other} is not supported; there are RuntimeDefault and Unconfined"
        )),
    }
}

/// Requests and limits in the runtime's units.
pub(crate) fn resources(container: &Container) -> Resources {
    let resources = container.resources.as_ref();
    let limit = |name: &str| {
        resources.and_then(|r| r.limits.as_ref()).and_then(|m| m.get(name)).map(|q| q.0.as_str())
    };
    let request = |name: &str| {
        resources.and_then(|r| r.requests.as_ref()).and_then(|m| m.get(name)).map(|q| q.0.as_str())
    };
    Resources {
        cpu_request_millicores: request("cpu").or(limit("cpu")).and_then(quantity::millicores),
        cpu_limit_millicores: limit("cpu").and_then(quantity::millicores),
        memory_limit_bytes: limit("memory").and_then(quantity::units),
        pids_limit: None,
    }
}

/// The kubelet's score (pkg/kubelet/qos/policy.go): guaranteed −997, best effort 1000, burstable between by its share.
pub(crate) fn oom_score_adj(pod: &Pod, container: &Container, node_memory_bytes: u64) -> i32 {
    match pod.status.as_ref().and_then(|s| s.qos_class.as_deref()) {
        Some("Guaranteed") => return -997,
        Some("Burstable") => {}
        _ => return 1000,
    }
    let requests = container.resources.as_ref().and_then(|r| r.requests.as_ref().or(r.limits.as_ref()));
    let bytes = requests.and_then(|m| m.get("memory")).and_then(|q| quantity::units(&q.0)).unwrap_or(0);
    let share = u128::from(bytes) * 1000 / u128::from(node_memory_bytes.max(1));
    i32::try_from(1000_u128.saturating_sub(share)).unwrap_or(1000).clamp(3, 999)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pair(pod: Value, container: Value) -> (Pod, Container) {
        let mut container = container;
        container["name"] = json!("c");
        (
            serde_json::from_value(json!({"spec": {"containers": [], "securityContext": pod}})).unwrap(),
            serde_json::from_value(container).unwrap(),
        )
    }

    #[test]
    fn the_containers_context_wins() {
        let (pod, container) = pair(
            json!({"runAsUser": 1, "runAsGroup": 2, "fsGroup": 3, "supplementalGroups": [4], "runAsNonRoot": true}),
            json!({"securityContext": {"runAsUser": 9, "allowPrivilegeEscalation": false,
                "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]}}}),
        );
        let got = context(&pod, &container);
        assert_eq!((got.run_as_user, got.run_as_group), (Some(9), Some(2)));
        assert_eq!(got.supplemental_groups, [4, 3]);
        assert!(got.run_as_non_root && got.no_new_privileges && !got.privileged);
        assert_eq!((got.capabilities_add.len(), got.capabilities_drop.len()), (1, 1));
    }

    #[test]
    fn seccomp_profiles() {
        let profile = |kind: &str| json!({"seccompProfile": {"type": kind}});
        for (of_pod, own, wanted) in [
            (json!({}), json!({}), Some(SeccompProfile::RuntimeDefault)),
            (profile("Unconfined"), json!({}), Some(SeccompProfile::Unconfined)),
            (profile("Unconfined"), profile("RuntimeDefault"), Some(SeccompProfile::RuntimeDefault)),
            (json!({}), json!({"privileged": true}), Some(SeccompProfile::Unconfined)),
            (profile("Localhost"), json!({}), None),
        ] {
            let (pod, container) = pair(of_pod, json!({"securityContext": own}));
            let got = check(&pod, &container).ok().map(|()| context(&pod, &container).seccomp);
            assert_eq!(got, wanted, "{pod:?}");
        }
    }

    #[test]
    fn resources_in_the_runtimes_units() {
        let (_, container) = pair(
            json!({}),
            json!({"resources": {"limits": {"cpu": "1", "memory": "64Mi"}, "requests": {"cpu": "250m"}}}),
        );
        let got = resources(&container);
        assert_eq!((got.cpu_request_millicores, got.cpu_limit_millicores), (Some(250), Some(1000)));
        assert_eq!(got.memory_limit_bytes, Some(64 << 20));
    }

    #[test]
    fn oom_scores() {
        let (mut pod, container) = pair(json!({}), json!({"resources": {"requests": {"memory": "1Gi"}}}));
        for (class, wanted) in [("Guaranteed", -997), ("BestEffort", 1000), ("Burstable", 750)] {
            pod.status = Some(serde_json::from_value(json!({"qosClass": class})).unwrap());
            assert_eq!(oom_score_adj(&pod, &container, 4 << 30), wanted, "{class}");
        }
    }
}
