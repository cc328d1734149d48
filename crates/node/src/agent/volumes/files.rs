//! Files of a volume that change all at once: `name -> ..data/name`, `..data -> ..TIME`, as containers expect it
//! (pkg/volume/util/atomic_writer.go in Kubernetes).

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path};

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    /// Its content.
    pub(crate) bytes: Vec<u8>,
    /// Its permission bits.
    pub(crate) mode: u32,
    /// Its owner, if not root.
    pub(crate) owner: Option<u32>,
}

/// Makes `dir` hold exactly `files`, by relative path. Does nothing if it does already.
///
/// # Errors
/// When a path leaves the directory, or writing fails; the old files stay then.
pub(crate) fn publish(dir: &Path, files: &BTreeMap<String, File>, group: Option<u32>) -> io::Result<()> {
    for path in files.keys() {
        let plain = Path::new(path).components().all(|c| matches!(c, Component::Normal(_)));
        if !plain || path.starts_with("..") {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("invalid path {path:?}")));
        }
    }
    std::fs::create_dir_all(dir)?;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755))?;
    let link = dir.join("..data");
    let old = std::fs::read_link(&link).ok();
    if old.is_some() && is_current(&link, files) {
        return Ok(());
    }
    let version = format!("..{}", jiff::Timestamp::now().strftime("%Y_%m_%d_%H_%M_%S.%9f"));
    write_all(&dir.join(&version), files, group)?;
    let new_link = dir.join("..data_tmp");
    let _ = std::fs::remove_file(&new_link);
    symlink(&version, &new_link)?;
    std::fs::rename(&new_link, &link)?;
    link_names(dir, files)?;
    if let Some(old) = old {
        std::fs::remove_dir_all(dir.join(old))?;
    }
    Ok(())
}

fn is_current(data: &Path, files: &BTreeMap<String, File>) -> bool {
    let mut count = 0;
    let all_there = files.iter().all(|(path, file)| {
        count += 1;
        std::fs::read(data.join(path)).is_ok_and(|bytes| bytes == file.bytes)
    });
    all_there && count_files(data) == count
}

fn count_files(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|e| if e.path().is_dir() { count_files(&e.path()) } else { 1 }).sum()
}

fn write_all(dir: &Path, files: &BTreeMap<String, File>, group: Option<u32>) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    for (path, file) in files {
        let target = dir.join(path);
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&target, &file.bytes)?;
        if file.owner.is_some() || group.is_some() {
            std::os::unix::fs::chown(&target, file.owner, group)?;
        }
        // The group may read what its owner may, or fsGroup would be for nothing.
        let mode = if group.is_some() { file.mode | 0o440 } else { file.mode };
        std::fs::set_permissions(&target, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// Makes the visible names, and removes those of files that are no more.
fn link_names(dir: &Path, files: &BTreeMap<String, File>) -> io::Result<()> {
    let wanted: std::collections::BTreeSet<&str> =
        files.keys().map(|path| path.split('/').next().unwrap_or(path)).collect();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !name.starts_with("..") && !wanted.contains(name.as_str()) {
            std::fs::remove_file(dir.join(name))?;
        }
    }
    for name in wanted {
        match symlink(Path::new("..data").join(name), dir.join(name)) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(list: &[(&str, &str)]) -> BTreeMap<String, File> {
        let file = |text: &str| File { bytes: text.into(), mode: 0o640, owner: None };
        list.iter().map(|(path, text)| ((*path).to_owned(), file(text))).collect()
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(dir)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .filter(|n| !n.starts_with(".."))
            .collect();
        names.sort();
        names
    }

    #[test]
    fn files_appear_change_and_go() {
        let dir = tempfile::tempdir().unwrap();
        publish(dir.path(), &files(&[("a", "1"), ("sub/b", "2")]), None).unwrap();
        assert_eq!(names(dir.path()), ["a", "sub"]);
        assert_eq!(std::fs::read_to_string(dir.path().join("sub/b")).unwrap(), "2");
        let version = std::fs::read_link(dir.path().join("..data")).unwrap();
        publish(dir.path(), &files(&[("a", "1"), ("sub/b", "2")]), None).unwrap();
        assert_eq!(
            std::fs::read_link(dir.path().join("..data")).unwrap(),
            version,
            "no change, no new version"
        );
        publish(dir.path(), &files(&[("a", "3")]), None).unwrap();
        assert_eq!(names(dir.path()), ["a"]);
        assert_eq!(std::fs::read_to_string(dir.path().join("a")).unwrap(), "3");
        assert!(!dir.path().join(version).exists());
        let mode = std::fs::metadata(dir.path().join("a")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
    }

    #[test]
    fn paths_stay_inside() {
        let dir = tempfile::tempdir().unwrap();
        for bad in ["../x", "/x", "a/../../x", "..data", ""] {
            let result = publish(dir.path(), &files(&[(bad, "1")]), None);
            assert!(bad.is_empty() || result.is_err(), "{bad}");
        }
    }

    #[test]
    fn an_empty_volume_is_an_empty_directory() {
        let dir = tempfile::tempdir().unwrap();
        publish(&dir.path().join("v"), &files(&[]), Some(1000)).unwrap();
        assert!(names(&dir.path().join("v")).is_empty());
    }
}
