//! The QoS class of a Pod (`pkg/apis/core/helper/qos`).

use super::quantity;
use crate::strategy::access::{at, list};
use serde_json::Value;

/// `Guaranteed`: every container has limits of cpu and memory and requests as high; `BestEffort`: none has any;
/// else `Burstable`.
pub(super) fn class(spec: &Value) -> &'static str {
    let mut any = false;
    let mut guaranteed = true;
    for container in list(spec, "containers").iter().chain(list(spec, "initContainers")) {
        for resource in ["cpu", "memory"] {
            let amount = |of: &str| {
                let value = at(container, &["resources", of, resource]);
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                quantity::parse(&text).filter(|n| *n > 0)
            };
            let (limit, request) = (amount("limits"), amount("requests"));
            any |= limit.is_some() || request.is_some();
            guaranteed &= limit.is_some() && limit == request;
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}
