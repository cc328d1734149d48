//! What is to be explained: `svc/web`, `pod/web-1`, `deploy/web`, or every Service of the namespace.

use crate::cli::CommandError;
use sealane_explain::objects::{Labels, Pod, Service, Workload};
use sealane_explain::{Finding, Object, View, pod, pod_summary, summary};

/// What is to be explained.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Every Service of the namespace.
    All,
    Service(String),
    Pod(String),
    /// A workload's kind and name.
    Workload(&'static str, String),
}

/// Each object with what it does, and all that is wrong.
type Explained = (Vec<(String, String)>, Vec<Finding>);

impl Target {
    /// Reads `svc/web`, `svc web` or `web`; kinds may be written as kubectl takes them.
    pub(super) fn parse(words: &[String]) -> Result<Self, CommandError> {
        let (kind, name) = match words {
            [] => return Ok(Self::All),
            [one] => one.split_once('/').unwrap_or(("service", one)),
            [kind, name] => (kind.as_str(), name.as_str()),
            _ => return Err("one object at a time: svc/NAME, pod/NAME or deploy/NAME".into()),
        };
        let name = name.to_owned();
        Ok(match kind.to_lowercase().split('.').next().unwrap_or_default() {
            "svc" | "service" | "services" => Self::Service(name),
            "po" | "pod" | "pods" => Self::Pod(name),
            "deploy" | "deployment" | "deployments" => Self::Workload("Deployment", name),
            "rs" | "replicaset" | "replicasets" => Self::Workload("ReplicaSet", name),
            "sts" | "statefulset" | "statefulsets" => Self::Workload("StatefulSet", name),
            "ds" | "daemonset" | "daemonsets" => Self::Workload("DaemonSet", name),
            _ => {
                return Err(format!(
                    "{kind} is nothing that a Service has to do with: svc/NAME, pod/NAME or deploy/NAME"
                )
                .into());
            }
        })
    }

    /// Whether a Service is among what is explained.
    pub(super) fn is_about(&self, view: &View<'_>, service: &Service) -> bool {
        let namespace = service.metadata.namespace.as_str();
        let selects = |labels: &Labels| service.spec.selector.select(labels);
        match self {
            Self::All => true,
            Self::Service(name) => *name == service.metadata.name,
            Self::Pod(name) => view.pod(namespace, name).is_some_and(|pod| selects(&pod.metadata.labels)),
            Self::Workload(kind, name) => {
                let workload = view.workload(kind, namespace, name);
                workload.is_some_and(|workload| selects(&workload.spec.template.metadata.labels))
            }
        }
    }

    /// What the objects do, and what is wrong with them.
    pub(super) fn explain(&self, view: &View<'_>, namespace: &str) -> Result<Explained, CommandError> {
        let named = |object: Object, summary: String| (object.to_string(), summary);
        let of_service = |s: &Service| {
            let object = Object::new("Service", &s.metadata.namespace, &s.metadata.name);
            named(object, summary(view, s))
        };
        let here = view.snapshot.services.iter().filter(|service| service.metadata.namespace == namespace);
        let services: Vec<&Service> = here.filter(|service| self.is_about(view, service)).collect();
        let mut summaries: Vec<_> = services.iter().map(|s| of_service(s)).collect();
        let mut findings = sealane_explain::services(view, services.iter().copied());
        match self {
            Self::All if services.is_empty() => {
                summaries.push((format!("Namespace {namespace}"), "there is no Service in it".into()));
            }
            Self::All => {}
            Self::Service(name) => {
                view.service(namespace, name).ok_or_else(|| missing(view, "Service", namespace, name))?;
            }
            Self::Pod(name) => {
                let found = view.pod(namespace, name).ok_or_else(|| missing(view, "Pod", namespace, name))?;
                summaries.insert(0, named(Object::new("Pod", namespace, name), pod_summary(view, found)));
                findings = pod(view, found);
            }
            Self::Workload(kind, name) => {
                let found = view.workload(kind, namespace, name);
                let found = found.ok_or_else(|| missing(view, kind, namespace, name))?;
                summaries
                    .insert(0, named(Object::new(kind, namespace, name), workload(view, found, &services)));
            }
        }
        Ok((summaries, findings))
    }
}

/// "3 Pods wanted, 3 ready; behind Service web"
fn workload(view: &View<'_>, workload: &Workload, services: &[&Service]) -> String {
    let meta = &workload.metadata;
    let own = |pod: &&&Pod| {
        view.maker(pod).is_some_and(|(kind, name)| (kind, name) == (&*workload.kind, &*meta.name))
    };
    let pods: Vec<&&Pod> = view.pods_of(&meta.namespace).iter().filter(own).collect();
    let ready = pods.iter().filter(|pod| pod.is_ready()).count();
    let names: Vec<&str> = services.iter().map(|service| service.metadata.name.as_str()).collect();
    let behind = match names.as_slice() {
        [] => format!(
            "; no Service selects its Pods (kubectl -n {} expose {} {} --port=…)",
            meta.namespace,
            workload.kind.to_lowercase(),
            meta.name
        ),
        [one] => format!(" behind Service {one}"),
        names => format!(" behind Services {}", names.join(", ")),
    };
    format!("{ready} of {} Pods ready{behind}", pods.len())
}

/// That there is no such object, with the name that was perhaps meant.
fn missing(view: &View<'_>, kind: &str, namespace: &str, name: &str) -> String {
    let snapshot = view.snapshot;
    let names: Vec<&str> = match kind {
        "Service" => snapshot
            .services
            .iter()
            .filter(|s| s.metadata.namespace == namespace)
            .map(|s| s.metadata.name.as_str())
            .collect(),
        "Pod" => view.pods_of(namespace).iter().map(|p| p.metadata.name.as_str()).collect(),
        _ => snapshot
            .workloads
            .iter()
            .filter(|w| w.kind == kind && w.metadata.namespace == namespace)
            .map(|w| w.metadata.name.as_str())
            .collect(),
    };
    let near = names.iter().map(|known| (strsim::damerau_levenshtein(known, name), *known)).min();
    let hint = match near {
        Some((distance, known)) if distance <= 3 => format!("; did you mean {known}?"),
        _ if names.is_empty() => "; there is none at all there (another namespace: -n)".to_owned(),
        _ => format!("; there are {}", names.iter().take(5).copied().collect::<Vec<_>>().join(", ")),
    };
    format!("there is no {kind} {name} in namespace {namespace}{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_as_kubectl_reads_them() {
        let parse =
            |words: &[&str]| Target::parse(&words.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(parse(&[]).unwrap(), Target::All);
        for words in [&["web"][..], &["svc/web"], &["services/web"], &["service", "web"], &["Service/web"]] {
            assert_eq!(parse(words).unwrap(), Target::Service("web".into()), "{words:?}");
        }
        assert_eq!(parse(&["po/web-1"]).unwrap(), Target::Pod("web-1".into()));
        assert_eq!(parse(&["deployment.apps/web"]).unwrap(), Target::Workload("Deployment", "web".into()));
        assert!(parse(&["secret/web"]).unwrap_err().to_string().contains("svc/NAME"));
    }
}
