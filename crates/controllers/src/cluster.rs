//! What all controllers share: settings, client, caches, recorder.

use crate::objects::Objects;
use crate::recorder::{Note, Recorder};
use crate::{Config, objects};
use futures::future::BoxFuture;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Endpoints, Namespace, Node, Pod, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use kube::Client;
use kube::core::PartialObjectMeta;
use tokio_util::sync::CancellationToken;

/// The shared parts.
pub(crate) struct Cluster {
    pub(crate) config: Config,
    pub(crate) client: Client,
    recorder: Recorder,
    pub(crate) namespaces: Objects<Namespace>,
    pub(crate) nodes: Objects<Node>,
    pub(crate) pods: Objects<Pod>,
    pub(crate) services: Objects<Service>,
    pub(crate) endpoints: Objects<Endpoints>,
    pub(crate) endpoint_slices: Objects<EndpointSlice>,
    /// Metadata only.
    pub(crate) config_maps: Objects<PartialObjectMeta<ConfigMap>>,
    pub(crate) service_accounts: Objects<ServiceAccount>,
    pub(crate) deployments: Objects<Deployment>,
    pub(crate) replica_sets: Objects<ReplicaSet>,
    pub(crate) leases: Objects<Lease>,
    pub(crate) service_cidrs: Objects<ServiceCIDR>,
}

impl Cluster {
    pub(crate) fn new(config: Config, client: Client, recorder: Recorder) -> Self {
        Self {
            namespaces: Objects::new(&client),
            nodes: Objects::new(&client),
            pods: Objects::new(&client),
            services: Objects::new(&client),
            endpoints: Objects::new(&client),
            endpoint_slices: Objects::new(&client),
            config_maps: Objects::new(&client),
            service_accounts: Objects::new(&client),
            deployments: Objects::new(&client),
            replica_sets: Objects::new(&client),
            leases: Objects::new(&client),
            service_cidrs: Objects::new(&client),
            config,
            client,
            recorder,
        }
    }

    /// The watches that keep the caches, one a kind.
    pub(crate) fn watches(&self, shutdown: &CancellationToken) -> Vec<BoxFuture<'static, ()>> {
        fn watch<K: objects::Object>(
            objects: &Objects<K>,
            shutdown: &CancellationToken,
        ) -> BoxFuture<'static, ()> {
            Box::pin(objects.watch(None, shutdown.clone()))
        }
        vec![
            watch(&self.namespaces, shutdown),
            watch(&self.nodes, shutdown),
            watch(&self.pods, shutdown),
            watch(&self.services, shutdown),
            watch(&self.endpoints, shutdown),
            watch(&self.endpoint_slices, shutdown),
            watch(&self.config_maps, shutdown),
            watch(&self.service_accounts, shutdown),
            watch(&self.deployments, shutdown),
            watch(&self.replica_sets, shutdown),
            watch(&self.leases, shutdown),
            watch(&self.service_cidrs, shutdown),
        ]
    }

    /// Returns when every cache is complete: nothing may be planned before.
    pub(crate) async fn synced(&self) {
        self.namespaces.synced().await;
        self.nodes.synced().await;
        self.pods.synced().await;
        self.services.synced().await;
        self.endpoints.synced().await;
        self.endpoint_slices.synced().await;
        self.config_maps.synced().await;
        self.service_accounts.synced().await;
        self.deployments.synced().await;
        self.replica_sets.synced().await;
        self.leases.synced().await;
        self.service_cidrs.synced().await;
    }

    /// Records events about an object.
    pub(crate) fn record<K: objects::Object>(
        &self,
        component: &'static str,
        object: &K,
        notes: impl IntoIterator<Item = Note>,
    ) {
        for note in notes {
            self.recorder.record(component, object, note);
        }
    }
}
