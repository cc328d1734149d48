//! Pods.

use super::{AGE, NAME, Printer, age, list, name, number, or_else, text};
use jiff::Timestamp;
use serde_json::{Value, json};

pub(super) const POD: Printer = Printer {
    columns: &[
        NAME,
        ("Ready", "string", "", 0),
        ("Status", "string", "", 0),
        ("Restarts", "string", "", 0),
        AGE,
        ("IP", "string", "", 1),
        ("Node", "string", "", 1),
        ("Nominated Node", "string", "", 1),
        ("Readiness Gates", "string", "", 1),
    ],
    cells: |pod, now| {
        let summary = summarize(pod);
        let restarts = match summary.last_restart {
            Some(at) if summary.restarts > 0 => {
                format!("{} ({} ago)", summary.restarts, super::duration::human(now.duration_since(at)))
            }
            _ => summary.restarts.to_string(),
        };
        vec![
            json!(name(pod)),
            json!(format!("{}/{}", summary.ready, summary.total)),
            json!(summary.reason),
            json!(restarts),
            json!(age(pod, now)),
            json!(or_else(text(pod, "/status/podIPs/0/ip"), or_else(text(pod, "/status/podIP"), "<none>"))),
            json!(or_else(text(pod, "/spec/nodeName"), "<none>")),
            json!(or_else(text(pod, "/status/nominatedNodeName"), "<none>")),
            json!(readiness_gates(pod)),
        ]
    },
};

/// The conditions of a row whose Pod has ended.
pub(super) fn row_conditions(object: &Value) -> Option<Value> {
    if object["kind"] != "Pod" {
        return None;
    }
    let (reason, message) = match text(object, "/status/phase") {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return None,
    };
    Some(json!([{"type": "Completed", "status": "True", "reason": reason, "message": message}]))
}

#[derive(Default)]
struct Summary {
    ready: usize,
    total: usize,
    restarts: i64,
    last_restart: Option<Timestamp>,
    reason: String,
}

impl Summary {
    fn count_restarts(&mut self, status: &Value) {
        self.restarts += number(status, "/restartCount");
        let finished: Result<Timestamp, _> = text(status, "/lastState/terminated/finishedAt").parse();
        self.last_restart = self.last_restart.max(finished.ok());
    }
}

fn summarize(pod: &Value) -> Summary {
    let mut summary = Summary {
        total: list(pod, "/spec/containers").len(),
        reason: or_else(text(pod, "/status/reason"), text(pod, "/status/phase")).to_owned(),
        ..Summary::default()
    };
    let scheduled = list(pod, "/status/conditions").iter().find(|c| c["type"] == "PodScheduled");
    if scheduled.is_some_and(|c| c["reason"] == "SchedulingGated") {
        "SchedulingGated".clone_into(&mut summary.reason);
    }
    summary.total +=
        list(pod, "/spec/initContainers").iter().filter(|c| c["restartPolicy"] == "Always").count();
    let (initializing, sidecars) = initialization(pod, &mut summary);
    if !initializing || condition(pod, "Initialized") {
        summary.restarts = sidecars.restarts;
        summary.last_restart = sidecars.last_restart;
        containers(pod, &mut summary);
    }
    if !text(pod, "/metadata/deletionTimestamp").is_empty() {
        if text(pod, "/status/reason") == "NodeLost" {
            "Unknown".clone_into(&mut summary.reason);
        } else if !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed") {
            "Terminating".clone_into(&mut summary.reason);
        }
    }
    summary
}

/// Looks at the init containers up to the first that is not done: whether there is one, and the restarts of sidecars.
fn initialization(pod: &Value, summary: &mut Summary) -> (bool, Summary) {
    let specs = list(pod, "/spec/initContainers");
    let mut sidecars = Summary::default();
    for (at, status) in list(pod, "/status/initContainerStatuses").iter().enumerate() {
        summary.count_restarts(status);
        let sidecar = specs.iter().any(|s| s["name"] == status["name"] && s["restartPolicy"] == "Always");
        if sidecar {
            sidecars.count_restarts(status);
        }
        let terminated = &status["state"]["terminated"];
        if terminated.is_object() && number(terminated, "/exitCode") == 0 {
            continue;
        }
        if sidecar && status["started"] == true {
            summary.ready += usize::from(status["ready"] == true);
            continue;
        }
        let waiting = text(status, "/state/waiting/reason");
        summary.reason = if terminated.is_object() {
            format!("Init:{}", ended(terminated))
        } else if !waiting.is_empty() && waiting != "PodInitializing" {
            format!("Init:{waiting}")
        } else {
            format!("Init:{at}/{}", specs.len())
        };
        return (true, sidecars);
    }
    (false, sidecars)
}

fn containers(pod: &Value, summary: &mut Summary) {
    let mut running = false;
    for status in list(pod, "/status/containerStatuses").iter().rev() {
        summary.count_restarts(status);
        let waiting = text(status, "/state/waiting/reason");
        let terminated = &status["state"]["terminated"];
        if !waiting.is_empty() {
            waiting.clone_into(&mut summary.reason);
        } else if terminated.is_object() {
            summary.reason = ended(terminated);
        } else if status["ready"] == true && status["state"]["running"].is_object() {
            running = true;
            summary.ready += 1;
        }
    }
    if summary.reason == "Completed" && running {
        let reason = if condition(pod, "Ready") { "Running" } else { "NotReady" };
        reason.clone_into(&mut summary.reason);
    }
}

fn ended(terminated: &Value) -> String {
    let (reason, signal) = (text(terminated, "/reason"), number(terminated, "/signal"));
    if !reason.is_empty() {
        reason.to_owned()
    } else if signal != 0 {
        format!("Signal:{signal}")
    } else {
        format!("ExitCode:{}", number(terminated, "/exitCode"))
    }
}

fn condition(pod: &Value, kind: &str) -> bool {
    list(pod, "/status/conditions").iter().any(|c| c["type"] == kind && c["status"] == "True")
}

fn readiness_gates(pod: &Value) -> String {
    let gates = list(pod, "/spec/readinessGates");
    if gates.is_empty() {
        return "<none>".to_owned();
    }
    let open = gates.iter().filter(|g| condition(pod, text(g, "/conditionType"))).count();
    format!("{open}/{}", gates.len())
}
