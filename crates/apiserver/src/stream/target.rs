//! Which container a request means, and on which node it is.

use crate::status::ApiError;
use serde_json::{Value, json};

/// A container and where it runs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) node: String,
    pub(super) container: String,
}

/// Finds the container: the one that is named, or the only one (`pkg/registry/core/pod/strategy.go`).
pub(super) fn target(pod: &Value, name: &str, wanted: &str) -> Result<Target, ApiError> {
    let names = |field: &str| -> Vec<String> {
        let list = pod["spec"][field].as_array();
        list.into_iter().flatten().filter_map(|c| c["name"].as_str().map(str::to_owned)).collect()
    };
    let (containers, init) = (names("containers"), names("initContainers"));
    let container = if wanted.is_empty() {
        match (containers.as_slice(), init.is_empty()) {
            ([one], true) => one.clone(),
            ([], _) => {
                return Err(ApiError::bad_request(format!(
                    "a container name must be specified for pod {name}"
                )));
            }
            _ => return Err(ambiguous(name, &containers, &init)),
        }
    } else if containers.iter().chain(&init).any(|c| c == wanted) {
        wanted.to_owned()
    } else {
        return Err(ApiError::bad_request(format!("container {wanted} is not valid for pod {name}")));
    };
    Ok(Target { node: node(pod, name)?, container })
}

/// The node that a Pod is on.
pub(super) fn node(pod: &Value, name: &str) -> Result<String, ApiError> {
    let node = pod["spec"]["nodeName"].as_str().filter(|n| !n.is_empty());
    let none = || ApiError::bad_request(format!("pod {name} does not have a host assigned"));
    node.map(str::to_owned).ok_or_else(none)
}

fn ambiguous(name: &str, containers: &[String], init: &[String]) -> ApiError {
    let list = containers.join(" ");
    let mut why = format!("a container name must be specified for pod {name}, choose one of: [{list}]");
    if !init.is_empty() {
        why.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
    }
    ApiError::bad_request(why)
}

/// Nothing runs in a Pod that is over.
pub(super) fn check_running(pod: &Value, name: &str) -> Result<(), ApiError> {
    match pod["status"]["phase"].as_str() {
        Some(phase @ ("Succeeded" | "Failed")) => {
            let why =
                format!("cannot exec into a container in a completed pod {name}; current phase is {phase}");
            let mut error = ApiError::bad_request(why);
            error.details = json!({});
            Err(error)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_container_is_chosen_as_kubernetes_does() {
        let pod = |containers: &[&str], init: &[&str]| {
            let list = |names: &[&str]| names.iter().map(|n| json!({"name": n})).collect::<Vec<_>>();
            json!({"spec": {"nodeName": "n", "containers": list(containers), "initContainers": list(init)}})
        };
        let one = pod(&["a"], &[]);
        assert_eq!(target(&one, "p", "").unwrap(), Target { node: "n".into(), container: "a".into() });
        assert_eq!(target(&one, "p", "b").unwrap_err().message, "container b is not valid for pod p");
        let two = pod(&["a", "b"], &["i"]);
        assert_eq!(
            target(&two, "p", "").unwrap_err().message,
            "a container name must be specified for pod p, choose one of: [a b] or one of the init containers: [i]"
        );
        assert_eq!(target(&two, "p", "i").unwrap().container, "i");
        let unscheduled = json!({"spec": {"containers": [{"name": "a"}]}});
        assert_eq!(target(&unscheduled, "p", "").unwrap_err().message, "pod p does not have a host assigned");
    }
}
