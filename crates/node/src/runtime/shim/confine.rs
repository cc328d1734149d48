//! The last that a container's process gives up before its command: system calls, then capabilities.
//!
//! In this order because a filter without no-new-privileges, which would break setuid programs, takes CAP_SYS_ADMIN to
//! install. libcontainer gives up capabilities earlier and knows no filter without a C library, so its `config.json` has no capabilities, and both are done
//! here, for the first process and for `exec` alike. What to keep is in `process.json` beside it.

use std::fs;
use std::io;
use std::path::Path;

use libcontainer::oci_spec::runtime::{Process, Spec};
use libcontainer::{capabilities, syscall::syscall::create_syscall};
use seccompiler::BpfProgram;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::types::SeccompProfile;
use super::seccomp;

/// What a process of a container is, and what it is left with.
#[derive(Clone)]
pub(super) struct Confinement {
    pub(super) process: Process,
    filter: Option<BpfProgram>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    process: Process,
    profile: SeccompProfile,
}

const FILE: &str = "process.json";

impl Confinement {
    /// Takes the capabilities out of a specification and keeps them in the container's directory.
    pub(super) fn take_from(spec: &mut Value, profile: &SeccompProfile, dir: &Path) -> io::Result<Self> {
        let stored =
            Stored { process: serde_json::from_value(spec["process"].clone())?, profile: profile.clone() };
        fs::write(dir.join(FILE), serde_json::to_vec(&stored)?)?;
        if let Some(process) = spec["process"].as_object_mut() {
            process.remove("capabilities");
        }
        stored.prepared()
    }

    /// Of a container that runs.
    pub(super) fn read(dir: &Path) -> io::Result<Self> {
        match fs::read(dir.join(FILE)) {
            Ok(text) => serde_json::from_slice::<Stored>(&text)?.prepared(),
            // Created by a version that had no profiles.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let spec: Spec = serde_json::from_slice(&fs::read(dir.join("config.json"))?)?;
                let process = spec.process().clone();
                let process = process.ok_or_else(|| io::Error::other("config.json has no process"))?;
                Ok(Self { process, filter: None })
            }
            Err(error) => Err(error),
        }
    }

    /// Confines the calling process, which must have one thread and all its capabilities in effect.
    pub(super) fn confine(&self) -> io::Result<()> {
        if let Some(filter) = &self.filter {
            let failed = |e| io::Error::other(format!("installing the seccomp profile: {e}"));
            seccomp::install(filter).map_err(failed)?;
        }
        let capabilities = self.process.capabilities().as_ref();
        let kept = capabilities.ok_or_else(|| io::Error::other("the process has no list of capabilities"))?;
        let dropped = capabilities::drop_privileges(kept, create_syscall().as_ref());
        dropped.map_err(|e| io::Error::other(format!("giving up capabilities: {e}")))
    }
}

impl Stored {
    fn prepared(self) -> io::Result<Confinement> {
        let bounding = self.process.capabilities().as_ref().and_then(|c| c.bounding().clone());
        let names: Vec<String> = bounding.iter().flatten().map(|c| format!("CAP_{}", plain(c))).collect();
        let filter = match self.profile {
            SeccompProfile::RuntimeDefault => Some(seccomp::default_profile(&names)?),
            SeccompProfile::Unconfined => None,
        };
        Ok(Confinement { process: self.process, filter })
    }
}

fn plain(capability: &libcontainer::oci_spec::runtime::Capability) -> String {
    let text = capability.to_string();
    text.strip_prefix("CAP_").map_or_else(|| text.clone(), str::to_owned)
}
