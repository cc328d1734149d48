//! ClusterIPs: chosen or drawn, and claimed by IPAddress objects (KEP-1880).

use super::cidr::{Cidr, Family, Pool, number};
use super::refused;
use crate::registry::key::{object_key, resource_prefix};
use crate::registry::object;
use crate::status::{ApiError, FieldError};
use crate::strategy::access::{at, set, text};
use crate::strategy::service::ServiceView;
use crate::strategy::{AllocateContext, Claims};
use rand::Rng;
use sealane_storage::{Condition, Entry, Key, Op, Store};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::IpAddr;

const GROUP: &str = "networking.k8s.io";

fn key(ip: IpAddr) -> Key {
    object_key(GROUP, "ipaddresses", "", &ip.to_string())
}

/// The addresses that a Service holds claims on.
fn held(service: &Value) -> BTreeSet<IpAddr> {
    let view = ServiceView::new(service);
    if !view.needs_cluster_ip() {
        return BTreeSet::new();
    }
    view.cluster_ips().into_iter().filter_map(|ip| ip.parse().ok()).collect()
}

/// The Service that an IPAddress names, if it is there and has the address.
pub(super) fn holder(store: &dyn Store, ip_address: &Value) -> Option<String> {
    let parent = at(ip_address, &["spec", "parentRef"]);
    let (namespace, name) = (text(parent, "namespace"), text(parent, "name"));
    if text(parent, "resource") != "services" || !text(parent, "group").is_empty() {
        return None;
    }
    let entry = store.get(&object_key("", "services", namespace, name))?;
    let service: Value = serde_json::from_slice(&entry.value).ok()?;
    let ip = object::meta(ip_address, "name").parse::<IpAddr>().ok()?;
    held(&service).contains(&ip).then(|| format!("{namespace}/{name}"))
}

/// Writes an address for each family that has none yet and checks those that were asked for.
pub(super) fn choose(
    cx: &AllocateContext<'_>,
    pool: &Pool,
    new: &mut Value,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    let view = ServiceView::new(new);
    if !view.needs_cluster_ip() || view.is_headless() {
        return Ok(());
    }
    let kept = old.map(held).unwrap_or_default();
    let asked: Vec<String> = view.cluster_ips().into_iter().map(str::to_owned).collect();
    let mut chosen = Vec::new();
    for (i, family) in view.families().into_iter().filter_map(Family::named).enumerate() {
        let ip = match asked.get(i).and_then(|ip| ip.parse::<IpAddr>().ok()) {
            Some(ip) if kept.contains(&ip) => ip,
            Some(ip) => check(cx, pool, ip).map_err(|why| {
                let detail = format!("failed to allocate IP {ip}: {why}");
                refused(new, FieldError::invalid("spec.clusterIPs", &json!(asked), detail))
            })?,
            None => draw(cx, pool, family)?,
        };
        chosen.push(ip.to_string());
    }
    if let (Some(spec), Some(first)) = (new.get_mut("spec"), chosen.first().cloned()) {
        set(spec, "clusterIP", first);
        set(spec, "clusterIPs", json!(chosen));
    }
    Ok(())
}

fn check(cx: &AllocateContext<'_>, pool: &Pool, ip: IpAddr) -> Result<IpAddr, &'static str> {
    if !pool.cidrs.iter().any(|cidr| cidr.contains(ip)) {
        return Err("the provided network does not match the current range");
    }
    if cx.store.get(&key(ip)).is_some() { Err("provided IP is already allocated") } else { Ok(ip) }
}

fn draw(cx: &AllocateContext<'_>, pool: &Pool, family: Family) -> Result<IpAddr, ApiError> {
    let mut rng = rand::rng();
    let ranges = pool.cidrs.iter().filter(|cidr| cidr.family == family);
    let free = ranges.into_iter().find_map(|cidr| draw_from(cx, cidr, &mut rng));
    free.ok_or_else(|| ApiError::internal("failed to allocate a serviceIP: range is full"))
}

fn draw_from(cx: &AllocateContext<'_>, cidr: &Cidr, rng: &mut impl Rng) -> Option<IpAddr> {
    let is_free = |n: u128| cx.store.get(&key(cidr.ip(n))).is_none();
    let used = || {
        let prefix = resource_prefix(GROUP, "ipaddresses");
        let entries = cx.store.range(&prefix, None, 0, None).map(|range| range.entries).unwrap_or_default();
        let names =
            entries.iter().filter_map(|e| e.key.strip_prefix(prefix.as_str())?.parse::<IpAddr>().ok());
        names.filter(|ip| Family::of(*ip) == cidr.family).map(number).collect()
    };
    cidr.band.draw(rng, is_free, used).map(|n| cidr.ip(n))
}

/// Claims what is new and frees what is no longer held.
pub(super) fn claim(cx: &AllocateContext<'_>, new: &Value, old: Option<&Value>, claims: &mut Claims) {
    let (wanted, had) = (held(new), old.map(held).unwrap_or_default());
    let claimed = |ip: &&IpAddr| had.contains(*ip) && cx.store.get(&key(**ip)).is_some();
    // An IPAddress of ours that somebody deleted by hand is claimed again.
    for ip in wanted.iter().filter(|ip| !claimed(ip)) {
        claims.conditions.push(Condition::Absent(key(*ip)));
        claims.ops.push(Op::Put(key(*ip), object::encode(&ip_address(*ip, new))));
    }
    if let Some(old) = old {
        had.difference(&wanted).for_each(|ip| free(cx, *ip, old, claims));
    }
}

/// Frees all.
pub(super) fn release(cx: &AllocateContext<'_>, service: &Value, claims: &mut Claims) {
    held(service).into_iter().for_each(|ip| free(cx, ip, service, claims));
}

/// Deletes the claim, unless somebody deleted the IPAddress by hand and the address is another's by now.
fn free(cx: &AllocateContext<'_>, ip: IpAddr, service: &Value, claims: &mut Claims) {
    let Some(entry) = cx.store.get(&key(ip)) else { return };
    if is_of(&entry, service) {
        claims.conditions.push(Condition::ModRevision(key(ip), entry.mod_revision));
        claims.ops.push(Op::Delete(key(ip)));
    }
}

fn is_of(entry: &Entry, service: &Value) -> bool {
    let Ok(address) = serde_json::from_slice::<Value>(&entry.value) else { return false };
    let parent = at(&address, &["spec", "parentRef"]);
    let view = ServiceView::new(service);
    text(parent, "resource") == "services"
        && text(parent, "namespace") == view.namespace()
        && text(parent, "name") == view.name()
}

fn ip_address(ip: IpAddr, service: &Value) -> Value {
    let view = ServiceView::new(service);
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IPAddress",
        "metadata": {
            "name": ip.to_string(),
            "uid": object::new_uid(),
            "creationTimestamp": object::timestamp(jiff::Timestamp::now()),
            "labels": {
                "ipaddress.kubernetes.io/ip-family": Family::of(ip).name(),
                "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
            },
        },
        "spec": {"parentRef": {"resource": "services", "namespace": view.namespace(), "name": view.name()}},
    })
}
