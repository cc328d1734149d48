//! What all Pods of the node share.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service};
use kube::Client;
use kube::api::Api;
use kube::runtime::reflector::Store;

use super::events::Recorder;
use super::fields::{Addresses, Allocatable};
use super::resolv::ResolvConf;
use super::volumes::{Directories, Tokens};
use crate::config::Config;
use crate::podnet::PodNet;
use crate::runtime::Runtime;
use crate::runtime::images::{ImageStore, Pulls};
use crate::tunnel::Directory;

/// The node's agent as its Pods see it.
pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) client: Client,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) images: ImageStore,
    /// Asked for images that the store does not have.
    pub(crate) pulls: Pulls,
    pub(crate) network: PodNet,
    pub(crate) recorder: Recorder,
    /// All Services of the cluster, for environment variables.
    pub(crate) services: Store<Service>,
    pub(crate) tokens: Tokens,
    /// For requests through the tunnel.
    pub(crate) directory: Directory,
    pub(crate) allocatable: Allocatable,
    /// The node's own resolver configuration.
    pub(crate) host_resolv: ResolvConf,
}

impl Context {
    /// Where a Pod's files are.
    pub(crate) fn directories(&self, uid: &str) -> Directories {
        Directories {
            data: self.config.data_dir.join("pods").join(uid),
            run: self.config.run_dir.join("pods").join(uid),
        }
    }

    /// The addresses that a Pod with `pod` addresses can ask for.
    pub(crate) fn addresses(&self, pod: &[std::net::IpAddr]) -> Addresses {
        Addresses {
            pod: pod.to_vec(),
            node: self.config.node_ips.clone(),
            node_name: self.config.node_name.clone(),
        }
    }

    /// The data of a ConfigMap; none if it does not exist.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub(crate) async fn config_map(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<BTreeMap<String, Vec<u8>>>, String> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        let found = api.get_opt(name).await.map_err(|e| text(&e))?;
        Ok(found.map(|c| {
            let plain = c.data.into_iter().flatten().map(|(k, v)| (k, v.into_bytes()));
            plain.chain(c.binary_data.into_iter().flatten().map(|(k, v)| (k, v.0))).collect()
        }))
    }

    /// The data of a Secret; none if it does not exist.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub(crate) async fn secret(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<BTreeMap<String, Vec<u8>>>, String> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let found = api.get_opt(name).await.map_err(|e| text(&e))?;
        Ok(found.map(|s| s.data.into_iter().flatten().map(|(k, v)| (k, v.0)).collect()))
    }
}

/// An API error as people read it: the server's message alone, if there is one.
pub(crate) fn text(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// The Pod's uid.
pub(crate) fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}
