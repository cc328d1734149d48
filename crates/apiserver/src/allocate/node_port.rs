//! Node ports: chosen or drawn, and claimed by keys that hold the owner and the protocols.
//!
//! One number may serve several protocols of one Service, so a claim is of a Service on a number; `(protocol, number)`
//! is unique within a Service by validation. The health-check port is claimed like any other.

use super::band::Band;
use super::refused;
use crate::status::{ApiError, FieldError};
use crate::strategy::access::{int, items, set, text};
use crate::strategy::service::ServiceView;
use crate::strategy::{AllocateContext, Claims};
use sealane_storage::{Condition, Key, Op};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const PREFIX: &str = "/allocations/nodeports/";

fn key(port: u16) -> Key {
    format!("{PREFIX}{port}").into()
}

/// The claims of a Service: each number and what it is for.
fn held(service: &Value) -> BTreeMap<u16, BTreeSet<String>> {
    let view = ServiceView::new(service);
    let mut held: BTreeMap<u16, BTreeSet<String>> = BTreeMap::new();
    let mut add = |number: i64, protocol: &str| {
        if let Some(number) = u16::try_from(number).ok().filter(|n| *n != 0) {
            held.entry(number).or_default().insert(protocol.to_owned());
        }
    };
    if view.needs_node_port() {
        view.ports().iter().for_each(|port| add(int(port, "nodePort"), text(port, "protocol")));
    }
    if view.needs_health_check() {
        add(view.health_check_port(), "HealthCheck");
    }
    held
}

/// The numbers of one write: what the Service had, what the store has, what this write has chosen already.
struct Numbers<'a> {
    cx: &'a AllocateContext<'a>,
    had: BTreeSet<u16>,
    taken: BTreeSet<u16>,
}

impl Numbers<'_> {
    fn is_free(&self, port: u16) -> bool {
        !self.had.contains(&port) && !self.taken.contains(&port) && self.cx.store.get(&key(port)).is_none()
    }

    /// Takes a number that was asked for.
    fn take(&mut self, port: i64) -> Result<(), String> {
        let range = &self.cx.config.node_ports;
        let port = u16::try_from(port).ok();
        if let Some(port) = port
            && (self.had.contains(&port) || self.taken.contains(&port))
        {
            return Ok(());
        }
        let Some(port) = port.filter(|p| range.contains(p)) else {
            return Err(format!(
                "provided port is not in the valid range. The range of valid ports is {}-{}",
                range.start(),
                range.end()
            ));
        };
        if !self.is_free(port) {
            return Err("provided port is already allocated".into());
        }
        self.taken.insert(port);
        Ok(())
    }

    /// Draws a free number.
    fn draw(&mut self) -> Result<u16, &'static str> {
        let narrow = |n: u128| u16::try_from(n).expect("numbers of the range of node ports fit 16 bits");
        let used = || {
            let entries = self.cx.store.range(PREFIX, None, 0, None).map(|r| r.entries).unwrap_or_default();
            let stored = entries.iter().filter_map(|e| e.key.strip_prefix(PREFIX)?.parse::<u16>().ok());
            stored.chain(self.had.iter().copied()).chain(self.taken.iter().copied()).map(u128::from).collect()
        };
        let band = band(&self.cx.config.node_ports);
        let drawn = band.draw(&mut rand::rng(), |n| self.is_free(narrow(n)), used);
        let port = drawn.map(narrow).ok_or("range is full")?;
        self.taken.insert(port);
        Ok(port)
    }
}

/// The static band is the low min(max(16, size/32), 128) ports; a range of 16 ports or fewer has none.
fn band(range: &std::ops::RangeInclusive<u16>) -> Band {
    let (first, last) = (u128::from(*range.start()), u128::from(*range.end()));
    let size = (last + 1).saturating_sub(first);
    let offset = if size <= 16 { 0 } else { (size / 32).clamp(16, 128) };
    Band { first, dynamic: first + offset, last }
}

/// Writes a number for each port that needs one and checks those that were asked for.
pub(super) fn choose(cx: &AllocateContext<'_>, new: &mut Value, old: Option<&Value>) -> Result<(), ApiError> {
    let had = old.map(held).unwrap_or_default().into_keys().collect();
    let mut numbers = Numbers { cx, had, taken: BTreeSet::new() };
    let view = ServiceView::new(new);
    if view.needs_node_port() {
        let chosen = ports(&mut numbers, &view, old.is_none()).map_err(|error| match error {
            PortError::Field(error) => refused(new, error),
            PortError::Full(why) => ApiError::internal(format!("failed to allocate a nodePort: {why}")),
        })?;
        if let Some(spec) = new.get_mut("spec") {
            for (port, number) in items(spec, "ports").zip(chosen).filter(|(_, n)| *n != 0) {
                set(port, "nodePort", number);
            }
        }
    }
    health_check(&mut numbers, new)
}

enum PortError {
    Field(FieldError),
    Full(&'static str),
}

/// The numbers in the order of the ports, 0 where there is none. First all that was asked for is taken, so that none
/// of it is drawn; on create ports of the same number (TCP and UDP 53, say) share one node port.
fn ports(numbers: &mut Numbers<'_>, view: &ServiceView<'_>, create: bool) -> Result<Vec<i64>, PortError> {
    let mut shared: BTreeMap<i64, i64> = BTreeMap::new();
    let mut chosen: Vec<i64> = view.ports().iter().map(|p| int(p, "nodePort")).collect();
    for (i, (port, number)) in view.ports().iter().zip(&chosen).enumerate().filter(|(_, (_, n))| **n != 0) {
        let field = format!("spec.ports[{i}].nodePort");
        let taken = numbers.take(*number);
        taken.map_err(|why| PortError::Field(FieldError::invalid(field, &json!(number), why)))?;
        shared.entry(int(port, "port")).or_insert(*number);
    }
    if !view.allocates_node_ports() {
        return Ok(chosen);
    }
    for (port, number) in view.ports().iter().zip(&mut chosen).filter(|(_, n)| **n == 0) {
        *number = match shared.get(&int(port, "port")) {
            Some(number) if create => *number,
            _ => i64::from(numbers.draw().map_err(PortError::Full)?),
        };
        shared.entry(int(port, "port")).or_insert(*number);
    }
    Ok(chosen)
}

fn health_check(numbers: &mut Numbers<'_>, new: &mut Value) -> Result<(), ApiError> {
    let view = ServiceView::new(new);
    if !view.needs_health_check() {
        return Ok(());
    }
    let asked = view.health_check_port();
    if asked != 0 {
        // A number of the Service's own node ports is no health-check port: each number has one listener.
        let clash = u16::try_from(asked).is_ok_and(|p| numbers.taken.contains(&p))
            || view.node_ports().contains(&asked);
        let taken =
            if clash { Err("provided port is already allocated".to_owned()) } else { numbers.take(asked) };
        let doing = format!("failed to allocate requested HealthCheck NodePort {asked}");
        return taken.map_err(|why| ApiError::internal(format!("{doing}: {why}")));
    }
    let port = numbers
        .draw()
        .map_err(|why| ApiError::internal(format!("failed to allocate a HealthCheck NodePort 0: {why}")))?;
    if let Some(spec) = new.get_mut("spec") {
        set(spec, "healthCheckNodePort", port);
    }
    Ok(())
}

/// Claims what is new, frees what is no longer held, and rewrites claims whose protocols changed.
pub(super) fn claim(cx: &AllocateContext<'_>, new: Option<&Value>, old: Option<&Value>, claims: &mut Claims) {
    let (wanted, had) = (new.map(held).unwrap_or_default(), old.map(held).unwrap_or_default());
    for (port, protocols) in &wanted {
        let owner = ServiceView::new(new.unwrap_or(&Value::Null));
        let value = json!({"namespace": owner.namespace(), "name": owner.name(), "protocols": protocols});
        match had.get(port) {
            None => claims.conditions.push(Condition::Absent(key(*port))),
            Some(before) if before != protocols => claims.conditions.push(Condition::Present(key(*port))),
            Some(_) => continue,
        }
        claims.ops.push(Op::Put(key(*port), value.to_string().into()));
    }
    for port in had.keys().filter(|port| !wanted.contains_key(port)) {
        if cx.store.get(&key(*port)).is_some() {
            claims.ops.push(Op::Delete(key(*port)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn static_band_of_86() {
        for (range, dynamic) in
            [(30000..=32767, 30086), (30000..=30015, 30000), (1..=65535, 129), (30000..=30099, 30016)]
        {
            assert_eq!(band(&range).dynamic, dynamic, "{range:?}");
        }
    }
}
