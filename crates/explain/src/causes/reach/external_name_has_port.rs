//! An ExternalName with a port, a scheme or a path.

use crate::cause::{Cause, Look};
use crate::finding::{Finding, Severity};
use crate::subject::Subject;
use serde_json::json;

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "external-name-has-port",
    title: "An ExternalName has a port, a scheme or a path",
    about: "An ExternalName becomes a CNAME record, which holds a name and nothing else: there is no such name as `db.example.com:5432`.",
    make: "# not on a cluster of sealane up: API servers refuse such a name, so that only objects of other origin have one\n\
           kubectl create service externalname db --external-name=db.example.com:5432",
    mend: "Leave the bare name; clients bring the port themselves.",
    needs: &[],
    look: Look::Service(find),
};

/// The name within what was written: without scheme, path and port; `None` if there is nothing else than the name.
pub(super) fn bare<'a>(subject: &Subject<'a>) -> Option<&'a str> {
    let written = subject.service.spec.external_name.as_str();
    if !subject.service.is_external_name() || super::external_name_is_address::address(subject).is_some() {
        return None;
    }
    let host = written.split_once("://").map_or(written, |(_, host)| host);
    let host = host.split('/').next().unwrap_or(host);
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    (host != written && !host.is_empty()).then_some(host)
}

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let Some(bare) = bare(subject) else { return Vec::new() };
    let written = &subject.service.spec.external_name;
    let message = format!(
        "Service {} stands for {written}, which is more than a name: a CNAME can hold {bare} only, and nobody can resolve the whole.",
        subject.name()
    );
    let finding = CAUSE
        .finding(Severity::Error, subject.object(), message)
        .evidence(format!("externalName: {written}"))
        .fix(subject.patch(&json!({"spec": {"externalName": bare}})));
    vec![finding]
}
