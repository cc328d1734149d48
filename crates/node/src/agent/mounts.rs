//! What a container sees of the host: its volumes, the Pod's shared files, its termination log.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, VolumeMount};

use super::env::expand;
use super::setup::{SHARED_FILES, Surroundings};
use crate::runtime::Mount;

/// The volume mounts of a container.
pub(super) fn volume_mounts(
    container: &Container,
    around: &Surroundings,
    environment: &BTreeMap<String, String>,
    data: &Path,
) -> Result<Vec<Mount>, String> {
    let mut out = Vec::new();
    for mount in container.volume_mounts.iter().flatten() {
        let volume =
            around.mounted.get(&mount.name).ok_or_else(|| format!("volume {:?} is not there", mount.name))?;
        let host_path = match sub_path(mount, environment) {
            Some(sub) => below(volume, &sub, data)?,
            None => volume.clone(),
        };
        out.push(Mount {
            host_path,
            container_path: PathBuf::from(&mount.mount_path),
            readonly: mount.read_only.unwrap_or(false),
        });
    }
    Ok(out)
}

fn sub_path(mount: &VolumeMount, environment: &BTreeMap<String, String>) -> Option<String> {
    let from_env =
        mount.sub_path_expr.as_ref().map(|text| expand(text, |name| environment.get(name).cloned()));
    from_env.or_else(|| mount.sub_path.clone()).filter(|s| !s.is_empty())
}

/// The path `sub` in a volume, made as a directory if it is missing, with every symbolic link resolved: it may not lead
/// out of the volume.
fn below(volume: &Path, sub: &str, data: &Path) -> Result<PathBuf, String> {
    let fail = |why: String| format!("failed to prepare subPath {sub:?}: {why}");
    let relative = Path::new(sub);
    if !relative.components().all(|c| matches!(c, std::path::Component::Normal(_))) {
        return Err(fail("must be a relative path without '..'".into()));
    }
    let base = volume.canonicalize().map_err(|e| fail(e.to_string()))?;
    let path = base.join(relative);
    // Links of the volume itself (`..data`) are followed; a directory is made only where nothing is.
    if std::fs::symlink_metadata(&path).is_err() && base.starts_with(data) {
        std::fs::create_dir_all(&path).map_err(|e| fail(e.to_string()))?;
    }
    let real = path.canonicalize().map_err(|e| fail(e.to_string()))?;
    if real.starts_with(&base) { Ok(real) } else { Err(fail("it leads out of the volume".into())) }
}

/// hosts, resolv.conf and hostname, except where the container mounts something of its own.
pub(super) fn shared_mounts(own: &[Mount], run: &Path) -> Vec<Mount> {
    let taken = |path: &str| own.iter().any(|m| m.container_path == Path::new(path));
    SHARED_FILES
        .iter()
        .filter(|(_, path)| !taken(path))
        .map(|(name, path)| Mount {
            host_path: run.join("etc").join(name),
            container_path: PathBuf::from(path),
            readonly: false,
        })
        .collect()
}

pub(super) fn termination_log(container: &Container, file: &Path) -> Result<Mount, String> {
    let make = |file: &Path| {
        file.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(file, "")?;
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o666))
    };
    make(file).map_err(|e| format!("cannot make {}: {e}", file.display()))?;
    let path = container.termination_message_path.as_deref().filter(|p| !p.is_empty());
    Ok(Mount {
        host_path: file.to_owned(),
        container_path: PathBuf::from(path.unwrap_or("/dev/termination-log")),
        readonly: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sub_paths_stay_in_their_volume() {
        let dir = tempfile::tempdir().unwrap();
        let volume = dir.path().join("v");
        std::fs::create_dir_all(volume.join("real")).unwrap();
        std::os::unix::fs::symlink("/etc", volume.join("out")).unwrap();
        std::os::unix::fs::symlink("real", volume.join("in")).unwrap();
        assert_eq!(below(&volume, "in", dir.path()), Ok(volume.canonicalize().unwrap().join("real")));
        assert!(below(&volume, "new/deep", dir.path()).is_ok_and(|p| p.is_dir()));
        for bad in ["out", "out/passwd", "../x", "/etc"] {
            assert!(below(&volume, bad, dir.path()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_mount_of_ones_own_replaces_a_shared_file() {
        let own = [Mount { container_path: "/etc/hosts".into(), ..Default::default() }];
        let shared = shared_mounts(&own, Path::new("/run/p"));
        let paths: Vec<_> = shared.iter().map(|m| m.container_path.to_string_lossy().into_owned()).collect();
        assert_eq!(paths, ["/etc/resolv.conf", "/etc/hostname"]);
    }
}
