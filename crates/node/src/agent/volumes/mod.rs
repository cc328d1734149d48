//! The volumes of a Pod: made before its containers, kept fresh while they run, removed after them.
//!
//! Secret, projected and downward API volumes lie under the node's run directory, which is in memory; everything else
//! under its data directory. Files of these volumes change all at once, through a symbolic link.

mod files;
mod payload;
mod token;

pub(crate) use token::Tokens;

pub(crate) use files::{File, publish};

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Volume};

use super::context::Context;
use super::fields::Addresses;
use super::quantity;

/// Why a Pod's volumes are not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VolumeError {
    /// What it refers to is missing or wrong.
    #[error("MountVolume.SetUp failed for volume \"{volume}\" : {why}")]
    SetUp {
        /// The volume.
        volume: String,
        /// Why.
        why: String,
    },
}

/// Where the volumes of one Pod are.
#[derive(Debug, Clone)]
pub(crate) struct Directories {
    /// On disk: `…/pods/UID`.
    pub(crate) data: PathBuf,
    /// In memory: `…/pods/UID`.
    pub(crate) run: PathBuf,
}

impl Directories {
    /// The directory of volume `name`.
    fn volume(&self, name: &str, in_memory: bool) -> PathBuf {
        let base = if in_memory { &self.run } else { &self.data };
        base.join("volumes").join(name)
    }
}

/// The volumes of a Pod by name, as directories or files of the host.
pub(crate) type Mounted = BTreeMap<String, PathBuf>;

/// Makes every volume of the Pod, or brings it up to date; the second value is when to do so again.
///
/// # Errors
/// The first volume that cannot be made.
pub(crate) async fn set_up(
    context: &Context,
    pod: &Pod,
    dirs: &Directories,
    addresses: &Addresses,
) -> Result<(Mounted, Option<Timestamp>), VolumeError> {
    let mut mounted = Mounted::new();
    let mut refresh: Option<Timestamp> = None;
    for volume in pod.spec.iter().flat_map(|s| s.volumes.iter().flatten()) {
        let fail = |why: String| VolumeError::SetUp { volume: volume.name.clone(), why };
        let path = match place(volume, dirs).map_err(fail)? {
            Place::Ready(path) => path,
            Place::Payload(path) => {
                let payload = payload::payload(context, pod, volume, addresses).await.map_err(fail)?;
                publish(&path, &payload.files, fs_group(pod))
                    .map_err(|e| fail(format!("{}: {e}", path.display())))?;
                refresh = [refresh, payload.refresh].into_iter().flatten().min();
                path
            }
            Place::Directory { path, tmpfs } => {
                empty_dir(&path, tmpfs.as_deref(), fs_group(pod))
                    .map_err(|e| fail(format!("{}: {e}", path.display())))?;
                path
            }
        };
        mounted.insert(volume.name.clone(), path);
    }
    Ok((mounted, refresh))
}

/// How one volume comes to be.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// It is there.
    Ready(PathBuf),
    /// A directory of files that the agent writes.
    Payload(PathBuf),
    /// An empty directory, on disk or with mount options in memory.
    Directory { path: PathBuf, tmpfs: Option<String> },
}

fn place(volume: &Volume, dirs: &Directories) -> Result<Place, String> {
    let name = &volume.name;
    if let Some(empty) = &volume.empty_dir {
        let memory = empty.medium.as_deref() == Some("Memory");
        let limit = empty.size_limit.as_ref().and_then(|q| quantity::units(&q.0)).filter(|n| *n > 0);
        let options =
            memory.then(|| limit.map_or_else(|| "mode=0777".to_owned(), |n| format!("mode=0777,size={n}")));
        return Ok(Place::Directory { path: dirs.volume(name, memory), tmpfs: options });
    }
    if volume.secret.is_some() || volume.projected.is_some() || volume.downward_api.is_some() {
        return Ok(Place::Payload(dirs.volume(name, true)));
    }
    if volume.config_map.is_some() {
        return Ok(Place::Payload(dirs.volume(name, false)));
    }
    if let Some(host) = &volume.host_path {
        return host_path(Path::new(&host.path), host.type_.as_deref().unwrap_or_default()).map(Place::Ready);
    }
    if volume.persistent_volume_claim.is_some() {
        return Err("persistent volume claims are not supported".to_owned());
    }
    // A volume without a source is an emptyDir.
    Ok(Place::Directory { path: dirs.volume(name, false), tmpfs: None })
}

fn host_path(path: &Path, kind: &str) -> Result<PathBuf, String> {
    use std::os::unix::fs::FileTypeExt;
    let fail = |why: String| Err(format!("hostPath type check failed: {} {why}", path.display()));
    let make = |result: std::io::Result<()>| result.map_err(|e| format!("hostPath {}: {e}", path.display()));
    match (kind, path.exists()) {
        ("DirectoryOrCreate", false) => make(std::fs::create_dir_all(path))?,
        ("FileOrCreate", false) => make(std::fs::write(path, ""))?,
        ("", false) => make(std::fs::create_dir_all(path))?,
        _ => {}
    }
    let found = std::fs::metadata(path).map_err(|e| format!("hostPath {}: {e}", path.display()))?.file_type();
    match kind {
        "Directory" | "DirectoryOrCreate" if !found.is_dir() => fail("is not a directory".into()),
        "File" | "FileOrCreate" if !found.is_file() => fail("is not a file".into()),
        "Socket" if !found.is_socket() => fail("is not a socket file".into()),
        "CharDevice" if !found.is_char_device() => fail("is not a character device".into()),
        "BlockDevice" if !found.is_block_device() => fail("is not a block device".into()),
        _ => Ok(path.to_owned()),
    }
}

fn empty_dir(path: &Path, tmpfs: Option<&str>, group: Option<u32>) -> std::io::Result<()> {
    std::fs::create_dir_all(path)?;
    if let Some(options) = tmpfs
        && !is_mount_point(path)
    {
        let options = std::ffi::CString::new(options)?;
        rustix::mount::mount("tmpfs", path, "tmpfs", rustix::mount::MountFlags::NODEV, options.as_c_str())?;
    }
    if let Some(group) = group {
        std::os::unix::fs::chown(path, None, Some(group))?;
    }
    let mode = if group.is_some() { 0o2777 } else { 0o777 };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

fn is_mount_point(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let device = |p: &Path| std::fs::metadata(p).map(|m| m.dev()).ok();
    path.parent().is_some_and(|parent| device(path) != device(parent))
}

/// `spec.securityContext.fsGroup`.
pub(crate) fn fs_group(pod: &Pod) -> Option<u32> {
    pod.spec.as_ref()?.security_context.as_ref()?.fs_group.and_then(|g| u32::try_from(g).ok())
}

/// Unmounts and removes both directories of a Pod. Goes on after a failure and returns the first one.
///
/// # Errors
/// When a mount or a directory cannot be removed.
pub(crate) fn tear_down(dirs: &Directories) -> std::io::Result<()> {
    let mut result = Ok(());
    for base in [&dirs.run, &dirs.data] {
        result = result.and(unmount_volumes(base));
        if result.is_ok() && base.exists() {
            result = std::fs::remove_dir_all(base);
        }
    }
    result
}

/// Unmounts every volume in the directory of a Pod; no error if there is none.
fn unmount_volumes(pod: &Path) -> std::io::Result<()> {
    use rustix::mount::{UnmountFlags, unmount};
    let mut result = Ok(());
    let volumes = std::fs::read_dir(pod.join("volumes")).into_iter().flatten().flatten().map(|e| e.path());
    for volume in volumes.filter(|p| p.is_dir() && is_mount_point(p)) {
        result = result.and(unmount(&volume, UnmountFlags::DETACH).map_err(Into::into));
    }
    result
}

/// Unmounts the volumes of all Pods of a node and removes what they have in memory, as `sealane down` needs it. What is
/// on disk stays, as over a machine's restart.
///
/// # Errors
/// The first mount or directory that cannot be removed.
pub(crate) fn tear_down_all(run_dir: &Path, data_dir: &Path) -> std::io::Result<()> {
    let mut result = Ok(());
    for base in [run_dir, data_dir] {
        for pod in std::fs::read_dir(base.join("pods")).into_iter().flatten().flatten() {
            result = result.and(unmount_volumes(&pod.path()));
        }
    }
    let pods = run_dir.join("pods");
    if result.is_ok() && pods.exists() {
        result = std::fs::remove_dir_all(pods);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn where_volumes_lie() {
        let dirs = Directories { data: "/data/pods/u".into(), run: "/run/pods/u".into() };
        let at = |source: Value| {
            let mut source = source;
            source["name"] = json!("v");
            place(&serde_json::from_value(source).unwrap(), &dirs)
        };
        let disk = PathBuf::from("/data/pods/u/volumes/v");
        let memory = PathBuf::from("/run/pods/u/volumes/v");
        assert_eq!(at(json!({"emptyDir": {}})), Ok(Place::Directory { path: disk.clone(), tmpfs: None }));
        assert_eq!(
            at(json!({"emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}})),
            Ok(Place::Directory { path: memory.clone(), tmpfs: Some("mode=0777,size=1048576".into()) })
        );
        assert_eq!(at(json!({"configMap": {"name": "c"}})), Ok(Place::Payload(disk)));
        for source in
            [json!({"secret": {"secretName": "s"}}), json!({"projected": {}}), json!({"downwardAPI": {}})]
        {
            assert_eq!(at(source), Ok(Place::Payload(memory.clone())));
        }
        assert!(at(json!({"persistentVolumeClaim": {"claimName": "x"}})).is_err());
    }

    #[test]
    fn host_paths_are_checked() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        std::fs::write(&file, "").unwrap();
        assert!(host_path(dir.path(), "Directory").is_ok() && host_path(&file, "File").is_ok());
        assert!(host_path(dir.path(), "File").is_err() && host_path(&file, "Directory").is_err());
        assert!(host_path(&dir.path().join("no"), "Directory").is_err());
        assert!(host_path(&dir.path().join("new"), "DirectoryOrCreate").is_ok_and(|p| p.is_dir()));
    }
}
