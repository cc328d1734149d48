//! How far a rolling update may stray from the wanted number of Pods.

use k8s_openapi::api::apps::v1::DeploymentSpec;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// True unless the strategy is Recreate.
pub(super) fn is_rolling(spec: &DeploymentSpec) -> bool {
    spec.strategy.as_ref().and_then(|s| s.type_.as_deref()).is_none_or(|kind| kind != "Recreate")
}

/// Pods above the wanted number.
pub(super) fn max_surge(spec: &DeploymentSpec) -> i32 {
    if is_rolling(spec) { fenceposts(spec).0 } else { 0 }
}

/// Pods below the wanted number, never more than that number.
pub(super) fn max_unavailable(spec: &DeploymentSpec) -> i32 {
    let replicas = spec.replicas.unwrap_or(1);
    if is_rolling(spec) && replicas > 0 { fenceposts(spec).1.min(replicas) } else { 0 }
}

/// Surge is rounded up, unavailability down; both zero would never get anywhere, so one may be unavailable.
fn fenceposts(spec: &DeploymentSpec) -> (i32, i32) {
    let rolling = spec.strategy.as_ref().and_then(|strategy| strategy.rolling_update.as_ref());
    let replicas = i64::from(spec.replicas.unwrap_or(1));
    let surge = resolve(rolling.and_then(|r| r.max_surge.as_ref()), replicas, true);
    let unavailable = resolve(rolling.and_then(|r| r.max_unavailable.as_ref()), replicas, false);
    if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable) }
}

fn resolve(value: Option<&IntOrString>, replicas: i64, up: bool) -> i32 {
    let percent = match value {
        Some(IntOrString::Int(number)) => return *number,
        Some(IntOrString::String(text)) => {
            text.strip_suffix('%').and_then(|n| n.parse::<i64>().ok()).unwrap_or(0)
        }
        None => 25,
    };
    let product = percent.saturating_mul(replicas);
    let number = if up { (product + 99) / 100 } else { product / 100 };
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rounding() {
        // (replicas, maxSurge, maxUnavailable) → (surge, unavailable)
        let table = [
            ((10, json!("25%"), json!("25%")), (3, 2)),
            ((1, json!("25%"), json!("25%")), (1, 0)),
            ((3, json!(0), json!("25%")), (0, 1)),
            ((0, json!("25%"), json!("25%")), (0, 0)),
            ((4, json!(2), json!(9)), (2, 4)),
            ((10, json!("100%"), json!("0%")), (10, 0)),
            ((12, json!(null), json!(null)), (3, 3)),
        ];
        for ((replicas, surge, unavailable), expected) in table {
            let rolling = json!({"maxSurge": surge, "maxUnavailable": unavailable});
            let spec: DeploymentSpec = serde_json::from_value(json!({
                "replicas": replicas, "selector": {}, "template": {},
                "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling},
            }))
            .unwrap();
            assert_eq!((max_surge(&spec), max_unavailable(&spec)), expected, "{replicas} {rolling}");
        }
        let recreate: DeploymentSpec =
            serde_json::from_value(json!({"selector": {}, "template": {}, "strategy": {"type": "Recreate"}}))
                .unwrap();
        assert_eq!((max_surge(&recreate), max_unavailable(&recreate)), (0, 0));
    }
}
