//! Waiting until a cluster serves: the API answers, every node is Ready, every node's DNS answers.

use super::UpError;
use crate::cli::CommandError;
use crate::cluster::Cluster;
use crate::run::client;
use crate::terminal::Steps;
use crate::wire::Residence;
use k8s_openapi::api::core::v1::Node;
use kube::{Api, Client};
use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::process::Child;
use std::time::{Duration, Instant};

/// Between two looks; a look is one request to this machine.
const PAUSE: Duration = Duration::from_millis(10);

/// Returns when the cluster serves, or says what does not after `limit`.
pub(super) async fn wait(
    cluster: &Cluster,
    children: &mut BTreeMap<String, Child>,
    limit: Duration,
    steps: &mut Steps,
) -> Result<(), CommandError> {
    let mut wait = Wait { cluster, children, end: Instant::now() + limit, limit };
    let client = client::for_host(cluster, "admin").await?;
    wait.until("the API does not answer", || api_answers(&client)).await?;
    steps.done("API server");
    wait.until("not all nodes are Ready", || nodes_ready(&client, cluster.nodes)).await?;
    steps.done("nodes Ready");
    let residence = Residence::new(cluster.paths().netns("wire"))?;
    for node in cluster.node_names() {
        let address = cluster.node_address(&node).expect("checked");
        let what = format!("the DNS of {node} does not answer");
        wait.until(&what, || dns_answers(&residence, (address, 53).into())).await?;
    }
    steps.done("DNS answers");
    Ok(())
}

struct Wait<'a> {
    cluster: &'a Cluster,
    children: &'a mut BTreeMap<String, Child>,
    end: Instant,
    limit: Duration,
}

impl Wait<'_> {
    /// Looks again and again until `look` holds, a process has ended or the time is over.
    async fn until<F: Future<Output = bool>>(
        &mut self,
        what: &str,
        look: impl Fn() -> F,
    ) -> Result<(), UpError> {
        loop {
            if matches!(tokio::time::timeout(Duration::from_secs(1), look()).await, Ok(true)) {
                return Ok(());
            }
            self.check_children()?;
            if Instant::now() > self.end {
                let name = self.cluster.name.clone();
                return Err(UpError::NotReady { name, seconds: self.limit.as_secs(), what: what.to_owned() });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn check_children(&mut self) -> Result<(), UpError> {
        let paths = self.cluster.paths();
        for (process, child) in self.children.iter_mut() {
            if let Ok(reason) = std::fs::read_to_string(paths.failure(process)) {
                return Err(UpError::Failed { reason: reason.trim().to_owned() });
            }
            if child.try_wait().is_ok_and(|status| status.is_some()) {
                let log = std::fs::read_to_string(paths.log(process)).unwrap_or_default();
                let words = log.lines().last().unwrap_or("none").to_owned();
                return Err(UpError::Ended { process: process.clone(), words });
            }
        }
        Ok(())
    }
}

async fn api_answers(client: &Client) -> bool {
    client
        .request_text(http::Request::get("/readyz").body(Vec::new()).expect("a valid request"))
        .await
        .is_ok()
}

async fn nodes_ready(client: &Client, wanted: u32) -> bool {
    let Ok(nodes) = Api::<Node>::all(client.clone()).list(&kube::api::ListParams::default()).await else {
        return false;
    };
    let ready = nodes.items.iter().filter(|node| is_ready(node)).count();
    u32::try_from(ready).is_ok_and(|n| n >= wanted)
}

/// True if a node's condition Ready is True.
pub(crate) fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|s| s.conditions.as_ref());
    conditions.is_some_and(|list| list.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
}

/// A query for `kubernetes.default.svc.cluster.local`, type A (RFC 1035 §4).
const QUERY: &[u8] =
    b"\x51\xa1\x01\x00\0\x01\0\0\0\0\0\0\x0akubernetes\x07default\x03svc\x07cluster\x05local\0\0\x01\0\x01";

async fn dns_answers(residence: &Residence, server: SocketAddr) -> bool {
    let ask = move || {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        socket.send_to(QUERY, server)?;
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer)?;
        // Same id, no error, at least one answer.
        Ok(length > 12 && answer[..2] == QUERY[..2] && answer[3] & 0xf == 0 && answer[6..8] != [0, 0])
    };
    residence.run(ask).await.unwrap_or(false)
}
