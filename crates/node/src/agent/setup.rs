//! Making and removing what a Pod's containers run in: network, volumes, files, sandbox.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::context::{Context, uid};
use super::resolv;
use super::state::host_network;
use super::volumes::{self, Mounted, VolumeError};
use crate::podnet::PodNetwork;
use crate::runtime::{RuntimeError, SandboxConfig};

/// What the containers of a Pod can use.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surroundings {
    /// The Pod's addresses.
    pub(crate) addresses: Vec<IpAddr>,
    /// Its volumes.
    pub(crate) mounted: Mounted,
    /// When to look at the volumes again.
    pub(crate) refresh: Option<Timestamp>,
}

/// Why a Pod's surroundings could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetUpError {
    /// The network (event FailedCreatePodSandBox).
    #[error("failed to set up the pod network: {0}")]
    Network(#[from] crate::podnet::Error),
    /// A volume (event FailedMount).
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// The sandbox (event FailedCreatePodSandBox).
    #[error("failed to create the pod sandbox: {0}")]
    Sandbox(#[from] RuntimeError),
    /// A file of the Pod (event FailedCreatePodSandBox).
    #[error("cannot write {path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Makes everything, or brings it up to date; safe to repeat.
///
/// # Errors
/// The first part that cannot be made; what was made stays for the next try.
pub(crate) async fn set_up(context: &Context, pod: &Pod) -> Result<Surroundings, SetUpError> {
    let dirs = context.directories(uid(pod));
    for dir in [&dirs.data, &dirs.run.join("etc")] {
        std::fs::create_dir_all(dir).map_err(|source| SetUpError::File { path: dir.clone(), source })?;
    }
    let addresses = context.addresses(&[]);
    let volumes = async { volumes::set_up(context, pod, &dirs, &addresses).await.map_err(SetUpError::from) };
    let (network, (mounted, refresh)) = tokio::try_join!(network(context, pod), volumes)?;
    write_files(context, pod, &network.addresses)?;
    context.runtime.run_sandbox(sandbox_config(context, pod, &network)).await?;
    Ok(Surroundings { addresses: network.addresses, mounted, refresh })
}

async fn network(context: &Context, pod: &Pod) -> Result<PodNetwork, SetUpError> {
    if host_network(pod) {
        return Ok(PodNetwork { netns: None, addresses: context.config.node_ips.clone() });
    }
    Ok(context.network.setup(uid(pod)).await?)
}

fn sandbox_config(context: &Context, pod: &Pod, network: &PodNetwork) -> SandboxConfig {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let (hostname, _) = resolv::hostname(pod, &context.config.cluster_domain);
    let security = pod.spec.as_ref().and_then(|s| s.security_context.as_ref());
    let sysctls = security.and_then(|s| s.sysctls.as_deref()).unwrap_or_default();
    SandboxConfig {
        uid: uid(pod).to_owned(),
        namespace: text(&pod.metadata.namespace),
        name: text(&pod.metadata.name),
        hostname: if host_network(pod) { String::new() } else { hostname },
        netns: network.netns.clone(),
        dir: context.directories(uid(pod)).data,
        cgroup_parent: format!("{}/pod{}", context.config.cgroup, uid(pod)),
        sysctls: sysctls.iter().map(|s| (s.name.clone(), s.value.clone())).collect::<BTreeMap<_, _>>(),
    }
}

/// The files that every container of the Pod shares.
pub(crate) const SHARED_FILES: [(&str, &str); 3] =
    [("hosts", "/etc/hosts"), ("resolv.conf", "/etc/resolv.conf"), ("hostname", "/etc/hostname")];

fn write_files(context: &Context, pod: &Pod, addresses: &[IpAddr]) -> Result<(), SetUpError> {
    let etc = context.directories(uid(pod)).run.join("etc");
    let domain = &context.config.cluster_domain;
    let host_hosts = host_network(pod).then(|| std::fs::read_to_string("/etc/hosts").unwrap_or_default());
    let resolv = resolv::resolv_conf(pod, context.config.dns_address, domain, &context.host_resolv);
    let (hostname, _) = resolv::hostname(pod, domain);
    let contents = [
        resolv::hosts(pod, addresses, domain, host_hosts.as_deref()),
        resolv.render(),
        format!("{hostname}\n"),
    ];
    for ((name, _), content) in SHARED_FILES.iter().zip(contents) {
        let path = etc.join(name);
        // In place: a bind mount follows the file, not its name.
        std::fs::write(&path, content).map_err(|source| SetUpError::File { path, source })?;
    }
    Ok(())
}

/// Ends the sandbox and removes network and volumes in memory; the address is free afterwards. Safe to repeat.
///
/// # Errors
/// What could not be removed, as text.
pub(crate) async fn tear_down(context: &Context, pod: &Pod) -> Result<(), String> {
    let uid = uid(pod);
    context.runtime.remove_sandbox(uid).await.map_err(|e| e.to_string())?;
    context.tokens.forget(uid);
    if !host_network(pod) {
        context.network.teardown(uid).await.map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// Removes the Pod's files, logs among them.
///
/// # Errors
/// What could not be removed, as text.
pub(crate) async fn remove_files(context: &Context, uid: &str) -> Result<(), String> {
    let dirs = context.directories(uid);
    let work = tokio::task::spawn_blocking(move || volumes::tear_down(&dirs));
    work.await.map_err(|e| e.to_string())?.map_err(|e| format!("cannot remove the files of Pod {uid}: {e}"))
}
