//! Traffic policies `Local`: which nodes have an endpoint of their own.

use crate::objects::Node;
use crate::subject::Subject;
use std::collections::BTreeSet;

/// How the ready endpoints of a Service lie on the nodes.
pub(super) struct Placement<'a> {
    /// Ready nodes without one.
    pub(super) without: Vec<&'a str>,
    /// Ready nodes with one.
    pub(super) with: usize,
}

/// How the ready endpoints lie; `None` if there are none, or no nodes: then something else is wrong.
pub(super) fn placement<'a>(subject: &Subject<'a>, counts: impl Fn(&Node) -> bool) -> Option<Placement<'a>> {
    let ready = subject.endpoints().filter(|endpoint| endpoint.is_ready());
    let on: Vec<Option<&str>> = ready.map(|endpoint| endpoint.node_name.as_deref()).collect();
    let nodes = &subject.view.routes.ready_nodes;
    if on.is_empty() || nodes.is_empty() {
        return None;
    }
    let on: BTreeSet<&str> = on.into_iter().flatten().collect();
    let name = |node: &&&'a Node| on.contains(node.metadata.name.as_str());
    let with = nodes.iter().filter(name).count();
    let without = nodes.iter().filter(|node| !name(node) && counts(node));
    Some(Placement { without: without.map(|node| node.metadata.name.as_str()).collect(), with })
}

/// Whether what comes from outside is sent to a node: not to one that load balancers are told to leave out, nor to a control plane.
pub(super) fn takes_outside(node: &Node) -> bool {
    let left_out =
        ["node.kubernetes.io/exclude-from-external-load-balancers", "node-role.kubernetes.io/control-plane"];
    !left_out.iter().any(|label| node.metadata.labels.contains_key(label))
}
