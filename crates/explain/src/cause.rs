//! What a cause is: a way in which a Service can fail its clients, how to find it and how to tell of it.

use crate::finding::{Finding, Object, Severity};
use crate::kind::Kind;
use crate::objects::Pod;
use crate::subject::Subject;
use crate::view::View;

/// A way in which a Service can fail its clients.
pub struct Cause {
    /// In kebab case, as scripts know it.
    pub name: &'static str,
    /// The heading of its documentation: what is so, in a few words.
    pub title: &'static str,
    /// What that means for the clients, in one or two sentences.
    pub about: &'static str,
    /// Shell commands that make it happen in an otherwise empty cluster of ours.
    pub make: &'static str,
    /// How to mend it, in words.
    pub mend: &'static str,
    /// What has to be readable to look for it, beside Services, Pods and EndpointSlices.
    pub needs: &'static [Kind],
    /// How to find it.
    pub look: Look,
}

/// How to find a cause: for every Service, for every Pod, or once for the cluster.
#[derive(Clone, Copy)]
pub enum Look {
    /// For a Service and its Pods.
    Service(fn(&Subject<'_>) -> Vec<Finding>),
    /// For a Pod.
    Pod(fn(&View<'_>, &Pod) -> Vec<Finding>),
    /// For the cluster.
    Cluster(fn(&View<'_>) -> Vec<Finding>),
}

impl Cause {
    /// A finding of this cause.
    pub fn finding(&self, severity: Severity, object: Object, message: impl Into<String>) -> Finding {
        Finding {
            cause: self.name,
            severity,
            object,
            message: message.into(),
            evidence: Vec::new(),
            fix: String::new(),
        }
    }
}

impl std::fmt::Debug for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}
