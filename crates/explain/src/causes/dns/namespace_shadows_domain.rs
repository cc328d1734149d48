//! Namespaces that are called as a domain of the internet.

use crate::cause::{Cause, Look};
use crate::finding::{Finding, Object, Severity};
use crate::view::View;
use crate::words::list;
use std::collections::BTreeMap;

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "namespace-shadows-domain",
    title: "A namespace hides a domain of the internet",
    about: "In a Pod the name `web.io` is first looked up as Service `web` in namespace `io`. A namespace with the name of a top-level \
            domain thus hides names of the internet, and who may make Services there can take them over.",
    make: "kubectl create namespace com --dry-run=client -o yaml | kubectl apply -f -\n\
           kubectl -n com create service externalname example --external-name=localhost",
    mend: "Rename the namespace, or ask for names of the internet with a dot at the end (`web.io.`).",
    needs: &[],
    look: Look::Cluster(find),
};

/// Top-level domains that people ask for most. Not all: there are 1,400 of them, and many (dev, app) are too usual as names of namespaces.
const DOMAINS: [&str; 10] = ["ai", "co", "com", "edu", "eu", "gov", "io", "net", "org", "uk"];

fn find(view: &View<'_>) -> Vec<Finding> {
    let mut hidden: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for service in &view.snapshot.services {
        let namespace = service.metadata.namespace.as_str();
        if DOMAINS.contains(&namespace) {
            hidden.entry(namespace).or_default().push(&service.metadata.name);
        }
    }
    let finding = |(namespace, services): (&str, Vec<&str>)| {
        let message = format!(
            "Namespace {namespace} hides the domain .{namespace} of the internet: for Pods {0}.{namespace} is Service {0} there.",
            services[0]
        );
        CAUSE
            .finding(Severity::Hint, Object::new("Namespace", "", namespace), message)
            .evidence(format!("Services in {namespace}: {}", list(&services)))
            .fix(format!("kubectl -n {namespace} get services"))
    };
    hidden.into_iter().map(finding).collect()
}
