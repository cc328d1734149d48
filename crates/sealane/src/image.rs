//! `sealane image`: the machine's own store of images, which every node of the cluster sees.

use crate::cli::{CommandError, ImageCommand};
use crate::cluster::Cluster;
use crate::preflight;
use crate::terminal::{line, table};
use sealane_node::runtime::images::ImageStore;
use serde_json::json;
use std::fs::File;
use std::path::Path;

/// The built-in image's names, each with the version that the app shows.
const BUILTIN: [(&str, &str); 3] =
    [("localhost/hello:4.1", "4.1"), ("localhost/hello:4.2", "4.2"), ("localhost/hello:latest", "4.1")];

/// Loads, lists or removes images.
pub(crate) fn image(command: ImageCommand) -> Result<(), CommandError> {
    preflight::root("image")?;
    match command {
        ImageCommand::Load { name, file } => load(&store(&name.name)?, &file),
        ImageCommand::Ls { name, output } => list(&store(&name.name)?, output.output.is_some()),
        ImageCommand::Rm { name, image } => {
            for removed in store(&name.name)?.remove(&image)? {
                line(&format!("removed {removed}"));
            }
            Ok(())
        }
    }
}

/// Puts the built-in image into the cluster's store; quick if this binary's is there.
pub(crate) fn ensure_builtin(cluster: &Cluster) -> Result<(), CommandError> {
    let store = ImageStore::open(cluster.paths().images())?;
    store.ensure_builtin(&std::env::current_exe()?, &BUILTIN)?;
    Ok(())
}

fn store(cluster: &str) -> Result<ImageStore, CommandError> {
    Ok(ImageStore::open(Cluster::find(cluster)?.paths().images())?)
}

fn load(store: &ImageStore, file: &Path) -> Result<(), CommandError> {
    let names = if file == Path::new("-") {
        store.load(std::io::stdin().lock())?
    } else {
        store.load(File::open(file).map_err(|e| format!("cannot open {}: {e}", file.display()))?)?
    };
    for name in names {
        line(&format!("loaded {name}"));
    }
    Ok(())
}

fn list(store: &ImageStore, json: bool) -> Result<(), CommandError> {
    let images = store.list()?;
    if json {
        let images: Vec<_> =
            images.iter().map(|i| json!({"id": i.id, "names": i.names, "bytes": i.size_bytes})).collect();
        line(&serde_json::to_string_pretty(&json!({"images": images}))?);
        return Ok(());
    }
    let size = |bytes: u64| format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10);
    let rows: Vec<_> = images
        .iter()
        .flat_map(|i| i.names.iter().map(|n| vec![n.clone(), short(&i.id).to_owned(), size(i.size_bytes)]))
        .collect();
    table(&["IMAGE", "ID", "SIZE"], &rows);
    Ok(())
}

fn short(id: &str) -> &str {
    let digest = id.strip_prefix("sha256:").unwrap_or(id);
    digest.get(..12).unwrap_or(digest)
}
