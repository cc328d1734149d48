//! Quantities such as `100m`, `1.5Gi`, `2e3`, and what Pods ask for and nodes have.

use k8s_openapi::api::core::v1::{Container, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use std::collections::BTreeMap;

/// Amounts by resource name in thousandths.
pub(super) type Amounts = BTreeMap<String, i64>;

/// A quantity in thousandths, rounded up; what is not a quantity is 0 (the API has checked it).
pub(super) fn thousandths(text: &str) -> i64 {
    let end = text.find(|c: char| !(c.is_ascii_digit() || "+-.".contains(c))).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let Ok(number) = number.parse::<f64>() else { return 0 };
    let factor = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024f64.powi(2),
        "Gi" => 1024f64.powi(3),
        "Ti" => 1024f64.powi(4),
        "Pi" => 1024f64.powi(5),
        "Ei" => 1024f64.powi(6),
        _ => match suffix.strip_prefix(['e', 'E']).and_then(|exponent| exponent.parse().ok()) {
            Some(exponent) => 10f64.powi(exponent),
            None => return 0,
        },
    };
    // A float-to-integer cast saturates, which is what too large an amount should do.
    #[allow(clippy::cast_possible_truncation, reason = "saturates")]
    let amount = (number * factor * 1000.0).ceil() as i64;
    amount
}

/// Amounts of a resource list.
pub(super) fn amounts(list: Option<&BTreeMap<String, Quantity>>) -> Amounts {
    list.into_iter().flatten().map(|(name, quantity)| (name.clone(), thousandths(&quantity.0))).collect()
}

/// Adds one to the other.
pub(super) fn add(to: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let sum = to.entry(name.clone()).or_default();
        *sum = sum.saturating_add(*amount);
    }
}

fn raise(to: &mut Amounts, floor: &Amounts) {
    for (name, amount) in floor {
        let present = to.entry(name.clone()).or_default();
        *present = (*present).max(*amount);
    }
}

/// What a Pod asks for: its containers together (sidecars among them), or its hungriest init container beside the
/// sidecars that run by then, if that is more; plus overhead.
pub(super) fn requests(spec: &PodSpec) -> Amounts {
    let of = |container: &Container| amounts(container.resources.as_ref().and_then(|r| r.requests.as_ref()));
    let mut running = Amounts::new();
    let mut starting = Amounts::new();
    for container in spec.init_containers.iter().flatten() {
        let mut beside = running.clone();
        add(&mut beside, &of(container));
        raise(&mut starting, &beside);
        if container.restart_policy.as_deref() == Some("Always") {
            running = beside;
        }
    }
    for container in &spec.containers {
        add(&mut running, &of(container));
    }
    raise(&mut running, &starting);
    add(&mut running, &amounts(spec.overhead.as_ref()));
    running
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn quantities() {
        let table = [
            ("100m", 100),
            ("1", 1000),
            ("0.5", 500),
            ("1.5Gi", 1_610_612_736_000),
            ("128Mi", 134_217_728_000),
            ("2e3", 2_000_000),
            ("1k", 1_000_000),
            ("1n", 1),
            ("nonsense", 0),
        ];
        for (text, expected) in table {
            assert_eq!(thousandths(text), expected, "{text}");
        }
    }

    #[test]
    fn a_pods_requests() {
        let container = |cpu: &str, policy: Option<&str>| json!({"name": "c", "restartPolicy": policy, "resources": {"requests": {"cpu": cpu}}});
        let spec: PodSpec = serde_json::from_value(json!({
            "initContainers": [container("1", None), container("200m", Some("Always")), container("900m", None)],
            "containers": [container("300m", None), container("100m", None)],
            "overhead": {"cpu": "10m"},
        }))
        .unwrap();
        // Init: max(1, 0.2 + 0.9) = 1.1; running: 0.2 + 0.4.
        assert_eq!(requests(&spec)["cpu"], 1110);
    }
}
