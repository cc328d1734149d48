//! ServiceCIDRs and IPAddresses (`pkg/apis/networking/validation`, KEP-1880).

use super::access::{at, has, set, strings, text};
use super::{Part, Strategy, format};
use crate::registry::object::meta;
use crate::status::{ApiError, FieldError};
use sealane_storage::Store;
use serde_json::{Value, json};
use std::net::IpAddr;

/// The strategy of ServiceCIDRs.
pub(super) struct ServiceCidr;

impl Strategy for ServiceCidr {
    fn prepare_create(&self, object: &mut Value) {
        set(object, "status", json!({}));
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let spec = at(object, &["spec"]);
        let cidrs = strings(spec, "cidrs");
        let field = "spec.cidrs";
        let shown = at(spec, &["cidrs"]);
        if cidrs.is_empty() {
            return vec![FieldError::required(field, "at least one CIDR required")];
        }
        if cidrs.len() > 2 {
            let why = "may only hold up to 2 values";
            return vec![FieldError::invalid(field, shown, why)];
        }
        let mut wrong = Vec::new();
        for (i, text) in cidrs.iter().enumerate() {
            let at = format!("{field}[{i}]");
            let bad = format::cidr(&at, text);
            let canonical = format::parse_cidr(text).and_then(canonical);
            match canonical {
                Some(canonical) if bad.is_empty() && canonical != *text => {
                    let why = format!("must be in canonical form (\"{canonical}\")");
                    wrong.push(FieldError::invalid(at, &json!(text), why));
                }
                _ => wrong.extend(bad),
            }
        }
        let v6 = |text: &&str| text.contains(':');
        if wrong.is_empty() && cidrs.len() == 2 && v6(&cidrs[0]) == v6(&cidrs[1]) {
            let why =
                "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
            wrong.push(FieldError::invalid(field, shown, why));
        }
        wrong
    }

    fn validate_update(&self, new: &Value, old: &Value, part: Part) -> Vec<FieldError> {
        if part == Part::Status {
            return Vec::new();
        }
        let cidrs = |o: &Value| at(o, &["spec", "cidrs"]).clone();
        format::immutable("spec.cidrs", &cidrs(new), &cidrs(old)).into_iter().collect()
    }
}

/// The network of a prefix as Kubernetes writes it; `None` if host bits are set would still be shown masked.
fn canonical((address, length): (IpAddr, u8)) -> Option<String> {
    let masked = match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            IpAddr::from(std::net::Ipv4Addr::from_bits(v4.to_bits() & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            IpAddr::from(std::net::Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    };
    Some(format!("{masked}/{length}"))
}

/// The strategy of IPAddresses.
pub(super) struct IpAddress;

impl Strategy for IpAddress {
    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let parent = at(object, &["spec", "parentRef"]);
        let field = "spec.parentRef";
        let mut wrong = Vec::new();
        if parent.is_null() {
            return vec![FieldError::required(field, "")];
        }
        for key in ["resource", "name"] {
            if text(parent, key).is_empty() {
                wrong.push(FieldError::required(format!("{field}.{key}"), ""));
            }
        }
        if !has(at(object, &["metadata"]), "name") || meta(object, "name").parse::<IpAddr>().is_err() {
            let name = json!(meta(object, "name"));
            wrong.push(FieldError::invalid("metadata.name", &name, "must be a valid IP address"));
        }
        wrong
    }

    fn validate_update(&self, new: &Value, old: &Value, _part: Part) -> Vec<FieldError> {
        let parent = |o: &Value| at(o, &["spec", "parentRef"]).clone();
        format::immutable("spec.parentRef", &parent(new), &parent(old)).into_iter().collect()
    }

    /// The IPAddress of a Service is the Service's claim: it goes with the Service. (In Kubernetes it goes, and a repair loop
    /// makes it again.)
    fn check_delete(&self, store: &dyn Store, object: &Value) -> Result<(), ApiError> {
        let Some(service) = crate::allocate::holder(store, object) else { return Ok(()) };
        let why = format!("it is the address of Service \"{service}\"");
        Err(ApiError::forbidden("networking.k8s.io", "ipaddresses", meta(object, "name"), &why))
    }
}
