//! The files of configMap, secret, downwardAPI and projected volumes.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, KeyToPath, Pod, Volume};

use super::{File, token};
use crate::agent::context::Context;
use crate::agent::fields::{self, Addresses};

/// The files of one volume.
#[derive(Debug, Default)]
pub(super) struct Payload {
    /// By relative path.
    pub(super) files: BTreeMap<String, File>,
    /// When to make them again.
    pub(super) refresh: Option<Timestamp>,
}

/// The kubelet's sync period: changes of ConfigMaps and Secrets are seen within it.
const REFRESH: SignedDuration = SignedDuration::from_secs(60);
const DEFAULT_MODE: i32 = 0o644;

/// Collects the files of `volume`.
///
/// # Errors
/// What is missing.
pub(super) async fn payload(
    context: &Context,
    pod: &Pod,
    volume: &Volume,
    addresses: &Addresses,
) -> Result<Payload, String> {
    let mut collect = Collect { context, pod, addresses, mode: DEFAULT_MODE, out: Payload::default() };
    if let Some(source) = &volume.config_map {
        collect.mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        collect.config_map(&source.name, source.items.as_deref(), source.optional).await?;
    } else if let Some(source) = &volume.secret {
        collect.mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        let name = source.secret_name.as_deref().unwrap_or_default();
        collect.secret(name, source.items.as_deref(), source.optional).await?;
    } else if let Some(source) = &volume.downward_api {
        collect.mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        collect.downward(source.items.as_deref().unwrap_or_default())?;
    } else if let Some(source) = &volume.projected {
        collect.mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        for part in source.sources.iter().flatten() {
            if let Some(s) = &part.config_map {
                collect.config_map(&s.name, s.items.as_deref(), s.optional).await?;
            }
            if let Some(s) = &part.secret {
                collect.secret(&s.name, s.items.as_deref(), s.optional).await?;
            }
            if let Some(s) = &part.downward_api {
                collect.downward(s.items.as_deref().unwrap_or_default())?;
            }
            if let Some(s) = &part.service_account_token {
                let (text, refresh) = token::token(context, pod, &volume.name, s).await?;
                collect.token(&s.path, text, refresh);
            }
        }
    }
    Ok(collect.out)
}

/// The user of all containers, if the Pod names one.
fn run_as_user(pod: &Pod) -> Option<u32> {
    let user = pod.spec.as_ref()?.security_context.as_ref()?.run_as_user?;
    u32::try_from(user).ok()
}

struct Collect<'a> {
    context: &'a Context,
    pod: &'a Pod,
    addresses: &'a Addresses,
    mode: i32,
    out: Payload,
}

impl Collect<'_> {
    fn refresh_at(&mut self, at: Timestamp) {
        self.out.refresh = Some(self.out.refresh.map_or(at, |r| r.min(at)));
    }

    fn bits(&self, mode: Option<i32>) -> u32 {
        u32::try_from(mode.unwrap_or(self.mode)).unwrap_or(0o644) & 0o777
    }

    /// Only its user may read a token, or all if no single user is known to run the containers.
    fn token(&mut self, path: &str, text: String, refresh: Timestamp) {
        let owner = run_as_user(self.pod);
        let mode = if owner.is_some() { 0o600 } else { self.bits(None) };
        self.out.files.insert(path.to_owned(), File { bytes: text.into_bytes(), mode, owner });
        self.refresh_at(refresh);
    }

    fn namespace(&self) -> &str {
        self.pod.metadata.namespace.as_deref().unwrap_or("default")
    }

    async fn config_map(
        &mut self,
        name: &str,
        items: Option<&[KeyToPath]>,
        optional: Option<bool>,
    ) -> Result<(), String> {
        // The CA does not change while the cluster lives: no need to look every minute.
        if name != "kube-root-ca.crt" {
            self.refresh_at(soon());
        }
        let data = self.context.config_map(self.namespace(), name).await?;
        self.take("configmap", name, data, items, optional)
    }

    async fn secret(
        &mut self,
        name: &str,
        items: Option<&[KeyToPath]>,
        optional: Option<bool>,
    ) -> Result<(), String> {
        self.refresh_at(soon());
        let data = self.context.secret(self.namespace(), name).await?;
        self.take("secret", name, data, items, optional)
    }

    fn take(
        &mut self,
        kind: &str,
        name: &str,
        data: Option<BTreeMap<String, Vec<u8>>>,
        items: Option<&[KeyToPath]>,
        optional: Option<bool>,
    ) -> Result<(), String> {
        let optional = optional == Some(true);
        let Some(data) = data else {
            return if optional { Ok(()) } else { Err(format!("{kind} \"{name}\" not found")) };
        };
        match items.filter(|i| !i.is_empty()) {
            None => {
                let mode = self.bits(None);
                self.out
                    .files
                    .extend(data.into_iter().map(|(k, bytes)| (k, File { bytes, mode, owner: None })));
            }
            Some(items) => {
                for item in items {
                    match data.get(&item.key) {
                        Some(bytes) => {
                            let file = File { bytes: bytes.clone(), mode: self.bits(item.mode), owner: None };
                            self.out.files.insert(item.path.clone(), file);
                        }
                        None if optional => {}
                        None => {
                            let key = &item.key;
                            return Err(format!("references non-existent {kind} key: {key}"));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn downward(&mut self, items: &[DownwardAPIVolumeFile]) -> Result<(), String> {
        // Labels and annotations change.
        self.refresh_at(soon());
        for item in items {
            let text = if let Some(source) = &item.field_ref {
                fields::field(self.pod, &source.field_path, self.addresses)?
            } else if let Some(source) = &item.resource_field_ref {
                let name = source.container_name.as_deref();
                let of = fields::container(self.pod, name).ok_or("no such container in resourceFieldRef")?;
                fields::resource(of, source, &self.context.allocatable)?
            } else {
                continue;
            };
            let file = File { bytes: text.into_bytes(), mode: self.bits(item.mode), owner: None };
            self.out.files.insert(item.path.clone(), file);
        }
        Ok(())
    }
}

fn soon() -> Timestamp {
    Timestamp::now().checked_add(REFRESH).unwrap_or(Timestamp::MAX)
}
