//! DNS packets: any bytes give an answer or silence, over UDP and TCP, and every answer is a message that another library
//! reads; any bytes of an upstream are an answer of it or none.
#![no_main]

use domain::base::Message;
use libfuzzer_sys::fuzz_target;
use sealane_dns::Config;
use sealane_dns::answer::{Outcome, Transport, answer};
use sealane_dns::wire::Response;
use sealane_dns::zone::{Options, Zone};
use sealane_edge::{project_service, project_slice};
use sealane_model::Snapshot;
use serde_json::json;
use std::sync::{Arc, OnceLock};

static ZONE: OnceLock<Zone> = OnceLock::new();

/// A ClusterIP Service, a headless one with an endpoint, and an alias.
fn zone() -> Zone {
    let options = Options::new(&Config::default()).expect("the defaults make sense");
    let mut snapshot = Snapshot { complete: true, ..Snapshot::default() };
    for (name, spec) in [
        (
            "web",
            json!({"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"], "ports": [{"name": "http", "port": 80}]}),
        ),
        (
            "db",
            json!({"clusterIP": "None", "clusterIPs": ["None"], "ports": [{"name": "sql", "port": 5432}]}),
        ),
        ("ext", json!({"type": "ExternalName", "externalName": "web.prod.svc.cluster.local"})),
    ] {
        let object = json!({"metadata": {"namespace": "prod", "name": name}, "spec": spec});
        let service = serde_json::from_value(object).expect("a Service");
        let mut view = project_service(&service).expect("a named Service").value;
        if name == "db" {
            let labels = json!({"kubernetes.io/service-name": "db"});
            let object = json!({"metadata": {"namespace": "prod", "name": "db-x", "labels": labels}, "addressType": "IPv4",
                "ports": [{"name": "sql", "port": 5432}],
                "endpoints": [{"addresses": ["10.244.0.5"], "hostname": "db-0", "conditions": {"ready": true}}]});
            let slice = serde_json::from_value(object).expect("an EndpointSlice");
            view.endpoints = project_slice(&slice).expect("a slice of a Service").value.endpoints;
        }
        snapshot.services.insert(view.name.clone(), Arc::new(view));
    }
    Zone::new(Arc::new(options), 1).update(&Snapshot::default(), &snapshot, 1)
}

fuzz_target!(|data: &[u8]| {
    let zone = ZONE.get_or_init(zone);
    if let (Some(id), Some(question)) = (data.first_chunk(), data.get(12..29)) {
        let _ = Response::read(data, u16::from_be_bytes(*id), question).and_then(|response| response.ttl_s());
    }
    let mut message = Vec::new();
    for (transport, limit) in [(Transport::Udp, 65_535), (Transport::Tcp, 65_535)] {
        if !matches!(answer(zone, data, transport, 0, &mut message), Outcome::Answered(_)) {
            continue;
        }
        assert!(message.len() <= limit, "{} bytes", message.len());
        let read = Message::from_octets(message.as_slice()).expect("a whole header");
        for section in [read.answer(), read.authority(), read.additional()] {
            for record in section.expect("a section") {
                record.expect("a record");
            }
        }
    }
});
