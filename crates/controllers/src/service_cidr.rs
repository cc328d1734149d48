//! ServiceCIDRs: a range whose addresses are in use does not go (KEP-1880, `pkg/controller/servicecidrs`).
//!
//! A finalizer holds it. The API server draws no address from a range that is being deleted; once none is left that no other
//! range has, the finalizer goes. IPAddresses are listed only while a range waits: a cache of them would cost for ever.

use crate::cluster::Cluster;
use crate::error::{Error, absent_is_fine};
use crate::objects::{Key, Write};
use crate::queue::{Next, Queue};
use crate::recorder::seconds;
use k8s_openapi::api::networking::v1::{IPAddress, ServiceCIDR};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ListParams};
use serde_json::{Value, json};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const FINALIZER: &str = "networking.k8s.io/service-cidr-finalizer";
/// How long a write that saw the range alive may take to claim its address, and how often a waiting range is looked at.
const PAUSE: Duration = Duration::from_secs(1);
const IN_USE: &str =
    "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR";

/// Registers for changes; the future works until `shutdown`.
pub(crate) fn start(cluster: &Arc<Cluster>, shutdown: CancellationToken) -> impl Future<Output = ()> + use<> {
    let queue = Arc::new(Queue::new("service-cidr"));
    let adder = queue.clone();
    cluster.service_cidrs.on_change(move |change| {
        if change.new.is_some() {
            adder.add(change.key.clone());
        }
    });
    let cluster = cluster.clone();
    async move {
        cluster.synced().await;
        queue.run(1, &shutdown, |key| reconcile(&cluster, key)).await;
    }
}

async fn reconcile(cluster: &Cluster, key: Key) -> Result<Next, Error> {
    let Some(cidr) = cluster.service_cidrs.get(&key) else { return Ok(Next::Wait) };
    if cidr.metadata.deletion_timestamp.is_none() {
        if !is_held(&cidr) {
            let mut finalizers = cidr.metadata.finalizers.clone().unwrap_or_default();
            finalizers.push(FINALIZER.to_owned());
            absent_is_fine(patch_finalizers(cluster, &key, &cidr, finalizers).await)?;
        }
        if !is_ready(&cidr) {
            let ready = condition("True", "", "Kubernetes Service CIDR is ready");
            absent_is_fine(cluster.service_cidrs.patch(&key, Write::Status, &ready).await)?;
        }
        return Ok(Next::Wait);
    }
    if !is_held(&cidr) {
        return Ok(Next::Wait);
    }
    // what was under way when the deletion came is done after a pause
    tokio::time::sleep(PAUSE).await;
    if is_used(&cidr, &cluster.service_cidrs.all(), &addresses(cluster).await?) {
        if is_ready(&cidr) {
            let waits = condition("False", "Terminating", IN_USE);
            absent_is_fine(cluster.service_cidrs.patch(&key, Write::Status, &waits).await)?;
        }
        return Ok(Next::After(PAUSE));
    }
    let mut finalizers = cidr.metadata.finalizers.clone().unwrap_or_default();
    finalizers.retain(|finalizer| finalizer != FINALIZER);
    absent_is_fine(patch_finalizers(cluster, &key, &cidr, finalizers).await)?;
    Ok(Next::Wait)
}

async fn patch_finalizers(
    cluster: &Cluster,
    key: &Key,
    cidr: &ServiceCIDR,
    finalizers: Vec<String>,
) -> Result<Arc<ServiceCIDR>, Error> {
    let patch = json!({"metadata": {"finalizers": finalizers, "uid": cidr.metadata.uid,
        "resourceVersion": cidr.metadata.resource_version}});
    cluster.service_cidrs.patch(key, Write::Merge, &patch).await
}

async fn addresses(cluster: &Cluster) -> Result<Vec<IpAddr>, Error> {
    let api: Api<IPAddress> = Api::all(cluster.client.clone());
    let list = api.list_metadata(&ListParams::default()).await;
    let list = list.map_err(Error::api("listing IPAddresses"))?;
    Ok(list.items.into_iter().filter_map(|ip| ip.metadata.name?.parse().ok()).collect())
}

fn condition(status: &str, reason: &str, message: &str) -> Value {
    json!({"status": {"conditions": [{"type": "Ready", "status": status, "reason": reason, "message": message,
        "lastTransitionTime": seconds(Timestamp::now())}]}})
}

fn is_held(cidr: &ServiceCIDR) -> bool {
    cidr.metadata.finalizers.as_ref().is_some_and(|all| all.iter().any(|f| f == FINALIZER))
}

fn is_ready(cidr: &ServiceCIDR) -> bool {
    let conditions = cidr.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
}

/// Whether an address lies in this range and in no other that stays.
fn is_used(cidr: &ServiceCIDR, all: &[Arc<ServiceCIDR>], addresses: &[IpAddr]) -> bool {
    let staying = |other: &&Arc<ServiceCIDR>| other.metadata.deletion_timestamp.is_none();
    let others: Vec<(IpAddr, u8)> = all.iter().filter(staying).flat_map(|other| prefixes(other)).collect();
    let own = prefixes(cidr);
    let within = |prefixes: &[(IpAddr, u8)], ip: IpAddr| prefixes.iter().any(|prefix| contains(*prefix, ip));
    addresses.iter().any(|ip| within(&own, *ip) && !within(&others, *ip))
}

fn prefixes(cidr: &ServiceCIDR) -> Vec<(IpAddr, u8)> {
    let cidrs = cidr.spec.as_ref().and_then(|spec| spec.cidrs.as_deref()).unwrap_or_default();
    let parse = |text: &String| {
        let (address, length) = text.split_once('/')?;
        Some((address.parse().ok()?, length.parse().ok()?))
    };
    cidrs.iter().filter_map(parse).collect()
}

fn contains((network, length): (IpAddr, u8), ip: IpAddr) -> bool {
    let (bits, difference) = match (network, ip) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (32, u128::from(a.to_bits() ^ b.to_bits())),
        (IpAddr::V6(a), IpAddr::V6(b)) => (128, a.to_bits() ^ b.to_bits()),
        _ => return false,
    };
    difference.checked_shr(bits - u32::from(length).min(bits)).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(name: &str, cidrs: &[&str], going: bool) -> Arc<ServiceCIDR> {
        let mut object = json!({"metadata": {"name": name}, "spec": {"cidrs": cidrs}});
        if going {
            object["metadata"]["deletionTimestamp"] = json!("2026-11-23T12:00:00Z");
        }
        Arc::new(serde_json::from_value(object).unwrap())
    }

    #[test]
    fn prefixes_contain_addresses() {
        for (prefix, ip, inside) in [
            ("10.96.0.0/16", "10.96.255.1", true),
            ("10.96.0.0/16", "10.97.0.1", false),
            ("0.0.0.0/0", "10.97.0.1", true),
            ("10.96.0.1/32", "10.96.0.2", false),
            ("fd00::/112", "fd00::ffff", true),
            ("fd00::/112", "fd00::1:0", false),
            ("::/0", "10.96.0.1", false),
        ] {
            let prefix = prefixes(&cidr("c", &[prefix], false))[0];
            assert_eq!(contains(prefix, ip.parse().unwrap()), inside, "{prefix:?} {ip}");
        }
    }

    #[test]
    fn a_range_is_used_by_addresses_that_no_other_has() {
        let going = cidr("a", &["10.97.0.0/24"], true);
        let (over, gone) = (cidr("b", &["10.97.0.0/16"], false), cidr("c", &["10.97.0.0/16"], true));
        let used = |others: &[&Arc<ServiceCIDR>], ips: &[&str]| {
            let all: Vec<Arc<ServiceCIDR>> = others.iter().map(|c| (*c).clone()).collect();
            is_used(&going, &all, &ips.iter().map(|ip| ip.parse().unwrap()).collect::<Vec<_>>())
        };
        assert!(!used(&[&going], &[]));
        assert!(!used(&[&going], &["10.96.0.1"]));
        assert!(used(&[&going], &["10.96.0.1", "10.97.0.9"]));
        assert!(!used(&[&going, &over], &["10.97.0.9"]));
        assert!(used(&[&going, &gone], &["10.97.0.9"]));
    }
}
