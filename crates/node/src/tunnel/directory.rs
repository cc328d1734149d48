//! Which Pods and containers there are, for requests that name them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use super::answer::Failure;
use crate::runtime::ContainerId;

/// What is known of one Pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// The Pod's namespace.
    pub(crate) namespace: String,
    /// The Pod's name.
    pub(crate) name: String,
    /// Containers by name.
    pub(crate) containers: BTreeMap<String, Attempt>,
    /// The object is being deleted; another Pod may have its name already.
    pub(crate) ending: bool,
}

/// The newest attempt of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    /// Its number; none before the first.
    pub(crate) number: Option<u32>,
    /// Whether it runs.
    pub(crate) running: bool,
    /// Why it has not started yet.
    pub(crate) waiting: String,
}

/// The Pods of this node by uid.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    pods: Mutex<HashMap<String, Known>>,
}

impl Directory {
    /// Notes what there is now.
    pub(crate) fn set(&self, uid: &str, known: Known) {
        let mut pods = self.lock();
        if pods.get(uid) != Some(&known) {
            pods.insert(uid.to_owned(), known);
        }
    }

    /// Forgets a Pod.
    pub(crate) fn remove(&self, uid: &str) {
        self.lock().remove(uid);
    }

    /// The uid and the container; of two Pods with one name the one that is not ending.
    ///
    /// # Errors
    /// When there is no such Pod or container.
    pub(super) fn find(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
    ) -> Result<(String, Attempt), Failure> {
        let pods = self.lock();
        let (uid, known) = named(&pods, namespace, pod)?;
        let attempt = known.containers.get(container);
        let missing = || Failure::bad_request(format!("container {container} is not valid for pod {pod}"));
        Ok((uid.clone(), attempt.ok_or_else(missing)?.clone()))
    }

    /// The uid of a Pod, chosen in the same way.
    ///
    /// # Errors
    /// When there is no such Pod.
    pub(super) fn pod(&self, namespace: &str, pod: &str) -> Result<String, Failure> {
        named(&self.lock(), namespace, pod).map(|(uid, _)| uid.clone())
    }

    /// The running attempt of a container.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn running(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
    ) -> Result<ContainerId, Failure> {
        let (pod_uid, attempt) = self.find(namespace, pod, container)?;
        match attempt.number.filter(|_| attempt.running) {
            Some(number) => Ok(ContainerId { pod_uid, name: container.to_owned(), attempt: number }),
            None => Err(Failure::not_found(format!("container not found (\"{container}\")"))),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Known>> {
        self.pods.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn named<'a>(
    pods: &'a HashMap<String, Known>,
    namespace: &str,
    pod: &str,
) -> Result<(&'a String, &'a Known), Failure> {
    let named = pods.iter().filter(|(_, k)| k.namespace == namespace && k.name == pod);
    let found = named.min_by_key(|(_, k)| k.ending);
    found.ok_or_else(|| Failure::not_found(format!("pod {pod:?} not found on this node")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_living_pod_of_a_name_is_found() {
        let directory = Directory::default();
        let attempt = Attempt { number: Some(2), running: true, waiting: String::new() };
        let known = |ending| Known {
            namespace: "n".into(),
            name: "p".into(),
            containers: [("c".to_owned(), attempt.clone())].into(),
            ending,
        };
        directory.set("old", known(true));
        directory.set("new", known(false));
        assert_eq!(directory.running("n", "p", "c").unwrap().pod_uid, "new");
        assert_eq!(directory.pod("n", "p").unwrap(), "new");
        directory.remove("new");
        assert_eq!(directory.running("n", "p", "c").unwrap().pod_uid, "old");
        assert!(directory.find("n", "p", "x").is_err() && directory.find("n", "x", "c").is_err());
    }
}
