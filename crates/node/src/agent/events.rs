//! Events about Pods and the node: aggregated and rate-limited like client-go's recorder (tools/record), so that a Pod
//! that fails for hours leaves a count, not a thousand objects.

use std::collections::HashMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::sync::mpsc;

use super::status::time;

/// Says what happens.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    sender: mpsc::Sender<Note>,
}

/// How serious it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Severity {
    /// Part of a normal life.
    Normal,
    /// Something is wrong.
    Warning,
}

#[derive(Debug, Clone)]
struct Note {
    about: ObjectReference,
    severity: Severity,
    reason: &'static str,
    message: String,
    at: Timestamp,
}

impl Recorder {
    /// Starts the task that writes events; it ends when the last recorder is dropped.
    pub(crate) fn start(client: kube::Client, node_name: &str) -> Self {
        let (sender, receiver) = mpsc::channel(1000);
        let writer = Writer { client, node_name: node_name.to_owned(), memory: Memory::default() };
        tokio::spawn(writer.run(receiver));
        Self { sender }
    }

    /// About a container of a Pod, or the Pod itself.
    pub(crate) fn pod(
        &self,
        pod: &Pod,
        container: Option<&str>,
        severity: Severity,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        let is_init = |name: &str| {
            let init = pod.spec.as_ref().and_then(|s| s.init_containers.as_deref()).unwrap_or_default();
            init.iter().any(|c| c.name == name)
        };
        let list = |name: &str| if is_init(name) { "initContainers" } else { "containers" };
        self.say(
            ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                namespace: pod.metadata.namespace.clone(),
                name: pod.metadata.name.clone(),
                uid: pod.metadata.uid.clone(),
                resource_version: pod.metadata.resource_version.clone(),
                field_path: container.map(|c| format!("spec.{}{{{c}}}", list(c))),
            },
            severity,
            reason,
            message.into(),
        );
    }

    /// About the node itself; its uid is its name, as the kubelet has it.
    pub(crate) fn node(
        &self,
        name: &str,
        severity: Severity,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        let about = ObjectReference {
            kind: Some("Node".to_owned()),
            name: Some(name.to_owned()),
            uid: Some(name.to_owned()),
            ..Default::default()
        };
        self.say(about, severity, reason, message.into());
    }

    fn say(&self, about: ObjectReference, severity: Severity, reason: &'static str, message: String) {
        let note = Note { about, severity, reason, message, at: Timestamp::now() };
        if self.sender.try_send(note).is_err() {
            tracing::warn!(reason, "too many events at once: one is dropped");
        }
    }
}

/// What to do with one note.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Create,
    /// Add to the event of that name, which has now happened so often.
    Count(String, i32),
    Drop,
}

/// Which events there are, and how much each object may still say.
#[derive(Debug, Default)]
struct Memory {
    seen: HashMap<Key, Seen>,
    budgets: HashMap<String, Budget>,
}

type Key = (String, Severity, &'static str, String);

#[derive(Debug)]
struct Seen {
    name: String,
    count: i32,
    last: Timestamp,
}

/// A bucket of 25 events that refills by one in five minutes.
#[derive(Debug)]
struct Budget {
    tokens: f64,
    at: Timestamp,
}

const BURST: f64 = 25.0;
const REFILL_S: f64 = 300.0;
/// Notes that are older are new events.
const REMEMBERED_S: i64 = 600;
const MAX_REMEMBERED: usize = 4096;

impl Memory {
    fn fate(&mut self, note: &Note) -> Fate {
        let object = note.about.uid.clone().unwrap_or_default();
        let budget = self.budgets.entry(object).or_insert(Budget { tokens: BURST, at: note.at });
        let refill = note.at.duration_since(budget.at).as_secs_f64() / REFILL_S;
        budget.tokens = (budget.tokens + refill.max(0.0)).min(BURST);
        budget.at = note.at;
        if budget.tokens < 1.0 {
            return Fate::Drop;
        }
        budget.tokens -= 1.0;
        let fresh = |s: &&mut Seen| note.at.duration_since(s.last).as_secs() < REMEMBERED_S;
        match self.seen.get_mut(&key(note)).filter(fresh) {
            Some(seen) => {
                seen.count = seen.count.saturating_add(1);
                seen.last = note.at;
                Fate::Count(seen.name.clone(), seen.count)
            }
            None => Fate::Create,
        }
    }

    fn remember(&mut self, note: &Note, name: String) {
        if self.seen.len() >= MAX_REMEMBERED {
            let limit = |at: Timestamp| note.at.duration_since(at).as_secs() < REMEMBERED_S;
            self.seen.retain(|_, s| limit(s.last));
            self.budgets.retain(|_, b| limit(b.at));
        }
        self.seen.insert(key(note), Seen { name, count: 1, last: note.at });
    }
}

fn key(note: &Note) -> Key {
    let object = format!(
        "{}{}",
        note.about.uid.as_deref().unwrap_or_default(),
        note.about.field_path.as_deref().unwrap_or_default()
    );
    (object, note.severity, note.reason, note.message.clone())
}

struct Writer {
    client: kube::Client,
    node_name: String,
    memory: Memory,
}

impl Writer {
    async fn run(mut self, mut notes: mpsc::Receiver<Note>) {
        while let Some(note) = notes.recv().await {
            if let Err(error) = self.write(&note).await {
                tracing::debug!(reason = note.reason, %error, "cannot write an event");
            }
        }
    }

    async fn write(&mut self, note: &Note) -> Result<(), kube::Error> {
        let namespace = note.about.namespace.as_deref().unwrap_or("default");
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        match self.memory.fate(note) {
            Fate::Drop => Ok(()),
            Fate::Count(name, count) => {
                let patch = json!({"count": count, "lastTimestamp": time(note.at)});
                match api.patch(&name, &PatchParams::default(), &Patch::Strategic(patch)).await {
                    // It expired, or its namespace is new.
                    Err(kube::Error::Api(status)) if status.code == 404 => self.create(&api, note).await,
                    other => other.map(drop),
                }
            }
            Fate::Create => self.create(&api, note).await,
        }
    }

    async fn create(&mut self, api: &Api<Event>, note: &Note) -> Result<(), kube::Error> {
        let subject = note.about.name.as_deref().unwrap_or_default();
        let name = format!("{subject}.{:x}", note.at.as_nanosecond());
        let event = Event {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                namespace: note.about.namespace.clone().or_else(|| Some("default".to_owned())),
                ..Default::default()
            },
            involved_object: note.about.clone(),
            type_: Some(format!("{:?}", note.severity)),
            reason: Some(note.reason.to_owned()),
            message: Some(note.message.clone()),
            source: Some(EventSource {
                component: Some("kubelet".to_owned()),
                host: Some(self.node_name.clone()),
            }),
            reporting_component: Some("kubelet".to_owned()),
            reporting_instance: Some(self.node_name.clone()),
            first_timestamp: Some(time(note.at)),
            last_timestamp: Some(time(note.at)),
            count: Some(1),
            ..Default::default()
        };
        api.create(&PostParams::default(), &event).await?;
        self.memory.remember(note, name);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::testing::at;

    fn note(message: &str, s: i64) -> Note {
        Note {
            about: ObjectReference { uid: Some("u".into()), ..Default::default() },
            severity: Severity::Warning,
            reason: "Unhealthy",
            message: message.into(),
            at: at(s),
        }
    }

    #[test]
    fn repetitions_are_counted() {
        let mut memory = Memory::default();
        let first = note("a", 0);
        assert_eq!(memory.fate(&first), Fate::Create);
        memory.remember(&first, "e1".into());
        assert_eq!(memory.fate(&note("a", 1)), Fate::Count("e1".into(), 2));
        assert_eq!(memory.fate(&note("b", 1)), Fate::Create);
        assert_eq!(memory.fate(&note("a", 2)), Fate::Count("e1".into(), 3));
        assert_eq!(memory.fate(&note("a", 2 + REMEMBERED_S)), Fate::Create);
    }

    #[test]
    fn one_object_may_not_flood() {
        let mut memory = Memory::default();
        let fates = |memory: &mut Memory, s| {
            (0..30).filter(|i| memory.fate(&note(&i.to_string(), s)) != Fate::Drop).count()
        };
        assert_eq!(fates(&mut memory, 0), 25);
        assert_eq!(fates(&mut memory, 600), 2);
    }
}
