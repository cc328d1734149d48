//! Service proxies that do not keep up.

use crate::cause::{Cause, Look};
use crate::finding::{Finding, Object, Severity};
use crate::kind::Kind;
use crate::view::View;
use crate::words::quoted;

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "proxy-lags",
    title: "A node's Service proxy does not keep up",
    about: "Each node's proxy turns Services and EndpointSlices into rules of its kernel. While it lags behind or cannot write them, \
            clients on that node follow the old ones: they reach Pods that are gone, and do not reach new ones.",
    make: "# not on a cluster of sealane up: its proxies keep up, and nothing that kubectl can do keeps them from it",
    mend: "See in the node's log what it cannot do; a start of the node's process begins anew.",
    needs: &[Kind::NodeProxy],
    look: Look::Cluster(find),
};

/// From so many seconds on a proxy lags; even the greatest change takes less.
const LAG_S: u64 = 10;

fn find(view: &View<'_>) -> Vec<Finding> {
    let words = view.snapshot.words.iter().filter_map(|(node, word)| Some((node, word.proxy.as_ref()?)));
    let late = words.filter(|(_, proxy)| proxy.error.is_some() || proxy.behind_seconds >= LAG_S);
    let finding = |(node, proxy): (&String, &crate::objects::ProxyWord)| {
        let behind = format!("is {} s behind", proxy.behind_seconds);
        let what = match &proxy.error {
            Some(error) => format!("cannot write its rules: {}", quoted(error)),
            None => behind.clone(),
        };
        let message = format!("The Service proxy of node {node} {what}; clients there follow old rules.");
        CAUSE
            .finding(Severity::Warning, Object::new("Node", "", node), message)
            .evidence(format!("node {node} says of its proxy that it {behind}"))
            .fix(format!("sudo sealane logs {node} --tail=50"))
    };
    late.map(finding).collect()
}
