//! A Service with all that belongs to it, worked out once for all causes.

use crate::finding::{Object, Severity};
use crate::objects::{Endpoint, EndpointSlice, Pod, Service, ServicePort, Workload};
use crate::state::{State, state};
use crate::view::View;

/// A Service, its Pods and its slices.
pub struct Subject<'a> {
    /// Everything else.
    pub view: &'a View<'a>,
    /// The Service.
    pub service: &'a Service,
    /// The Pods that it selects, whatever their state.
    pub pods: Vec<&'a Pod>,
    /// Its slices.
    pub slices: &'a [&'a EndpointSlice],
    /// Of `pods`, how many are ready.
    pub ready: usize,
    /// What each of `pods` does.
    states: Vec<State<'a>>,
}

impl<'a> Subject<'a> {
    /// Works out what belongs to a Service.
    pub fn new(view: &'a View<'a>, service: &'a Service) -> Self {
        let pods = match service.is_external_name() {
            true => Vec::new(),
            false => view.selected(&service.metadata.namespace, &service.spec.selector),
        };
        let states: Vec<State<'a>> = pods.iter().map(|pod| state(view, pod)).collect();
        let ready = states.iter().filter(|state| matches!(state, State::Ready)).count();
        Self { view, service, pods, slices: view.slices_of(service), ready, states }
    }

    /// The Service, as a finding's object.
    pub fn object(&self) -> Object {
        Object::new("Service", self.namespace(), self.name())
    }

    /// Its namespace.
    pub fn namespace(&self) -> &'a str {
        &self.service.metadata.namespace
    }

    /// Its name.
    pub fn name(&self) -> &'a str {
        &self.service.metadata.name
    }

    /// The state of one of its Pods.
    pub fn state(&self, pod: &'a Pod) -> State<'a> {
        state(self.view, pod)
    }

    /// Its Pods whose state is such.
    pub fn pods_that(&self, is: impl Fn(State<'a>) -> bool) -> Vec<&'a Pod> {
        self.with_states().filter(|(_, state)| is(*state)).map(|(pod, _)| pod).collect()
    }

    /// Its Pods, with what each of them does.
    pub fn with_states(&self) -> impl Iterator<Item = (&'a Pod, State<'a>)> {
        self.pods.iter().copied().zip(self.states.iter().copied())
    }

    /// What makes Pods for it: owners of its Pods, and workloads whose Pods it would select; not the ReplicaSets of Deployments.
    pub fn workloads(&self) -> Vec<&'a Workload> {
        let namespace = self.namespace();
        let makers = self.pods.iter().filter_map(|pod| self.view.maker(pod));
        let of_pods = makers.filter_map(|(kind, name)| self.view.workload(kind, namespace, name));
        let mut all: Vec<&Workload> = of_pods.collect();
        if !self.service.is_external_name() {
            let would = self.view.makes(namespace, &self.service.spec.selector);
            all.extend(
                would
                    .into_iter()
                    .filter(|w| w.kind != "ReplicaSet" || w.metadata.owner_references.is_empty()),
            );
        }
        all.sort_by_key(|w| (&w.kind, &w.metadata.name));
        all.dedup_by_key(|w| (&w.kind, &w.metadata.name));
        all
    }

    /// Trouble with some Pods is an error if no other serves, and a warning if one does.
    pub fn severity(&self) -> Severity {
        if self.ready == 0 { Severity::Error } else { Severity::Warning }
    }

    /// All endpoints of its slices.
    pub fn endpoints(&self) -> impl Iterator<Item = &'a Endpoint> {
        self.slices.iter().flat_map(|slice| &slice.endpoints)
    }

    /// The Pods that take or could take traffic: neither finished nor on their way out.
    pub fn live(&self) -> Vec<&'a Pod> {
        self.pods_that(|state| !matches!(state, State::Terminating | State::Finished))
    }

    /// For a port, each live Pod with the number that the port has there; `None` where it has none.
    pub fn targets(&self, port: &ServicePort) -> Vec<(&'a Pod, Option<u32>)> {
        let target = port.target();
        self.live().into_iter().map(|pod| (pod, pod.resolve(&target, port.protocol()))).collect()
    }

    /// The last warning about the Service with one of these reasons.
    pub fn last_event(&self, reasons: &[&str]) -> Option<&'a crate::objects::Event> {
        let events = self.view.events("Service", self.namespace(), self.name());
        let uid = &self.service.metadata.uid;
        // rather than about an earlier Service of that name
        let is_same = |of: &str| of.is_empty() || uid.is_empty() || of == uid;
        events
            .into_iter()
            .rfind(|event| is_same(&event.involved_object.uid) && reasons.contains(&event.reason.as_str()))
    }

    /// A kubectl command on an object of its namespace.
    pub fn kubectl(&self, rest: &str) -> String {
        format!("kubectl -n {} {rest}", self.namespace())
    }

    /// The kubectl command that sets a field of one of its ports (a JSON patch, since two ports may share a number).
    pub fn patch_port(&self, index: usize, field: &str, value: impl Into<serde_json::Value>) -> String {
        let operation = serde_json::json!([
            {"op": "replace", "path": format!("/spec/ports/{index}/{field}"), "value": value.into()}
        ]);
        self.kubectl(&format!("patch service {} --type=json -p '{operation}'", self.name()))
    }

    /// The kubectl command that patches the Service (a strategic merge patch, in JSON).
    pub fn patch(&self, patch: &serde_json::Value) -> String {
        self.kubectl(&format!("patch service {} -p '{patch}'", self.name()))
    }
}
