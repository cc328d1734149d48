//! Downloads one blob, from where an earlier try left off.

use std::path::Path;
use std::time::Duration;

use http_body_util::BodyExt;
use sha2::{Digest, Sha256};
use tokio::fs::OpenOptions;
use tokio::io::AsyncWriteExt;

use super::super::ImageError;
use super::super::manifest::Descriptor;
use super::super::registry::{Blob, IDLE, Registry, RegistryError};
use super::super::store::encode;
use super::PullError;
use super::work::{blocking, delete};

/// How often a download that stops is gone on with before the Pod's back-off takes over.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(250);

/// Downloads to `path` and checks the digest. After an error, what came so far stays there for the next try.
pub(super) async fn download(
    registry: &Registry,
    host: &str,
    blob: &Descriptor,
    path: &Path,
) -> Result<(), PullError> {
    let mut tries = 1;
    while let Err(error) = go_on(registry, host, blob, path).await {
        let passing = matches!(&error, PullError::Registry(e) if e.may_pass());
        if is_full(&error) {
            // Half a blob must not keep the disk full.
            delete(path);
        }
        if !passing || tries == TRIES {
            return Err(error);
        }
        tracing::debug!(blob = blob.digest, %error, "going on with a download");
        tokio::time::sleep(PAUSE * (1 << tries)).await;
        tries += 1;
    }
    check(host, &blob.digest, path).await
}

fn is_full(error: &PullError) -> bool {
    matches!(error, PullError::Store(ImageError::Io { source, .. })
        if source.kind() == std::io::ErrorKind::StorageFull)
}

async fn go_on(registry: &Registry, host: &str, blob: &Descriptor, path: &Path) -> Result<(), PullError> {
    let have = tokio::fs::metadata(path).await.map_or(0, |m| m.len());
    if blob.size > 0 && have == blob.size {
        return Ok(());
    }
    // More than there should be is something else.
    let have = if blob.size > 0 && have < blob.size { have } else { 0 };
    let answer = registry.blob(&blob.digest, have).await?;
    let had = write(host, answer, path).await?;
    if blob.size > 0 && had != blob.size {
        let cause = format!("the answer ends after {had} of {} bytes", blob.size);
        return Err(RegistryError::Unreachable { host: host.to_owned(), cause }.into());
    }
    Ok(())
}

/// Writes the answer where it belongs and returns how long the file is then.
async fn write(host: &str, answer: Blob, path: &Path) -> Result<u64, PullError> {
    let failed = || PullError::io("writing", path);
    let file =
        OpenOptions::new().create(true).write(true).truncate(false).open(path).await.map_err(failed())?;
    file.set_len(answer.offset).await.map_err(failed())?;
    let mut file = tokio::io::BufWriter::with_capacity(1 << 18, file);
    tokio::io::AsyncSeekExt::seek(&mut file, std::io::SeekFrom::End(0)).await.map_err(failed())?;
    let (mut body, mut length) = (answer.body, answer.offset);
    let broke = loop {
        let cause = match tokio::time::timeout(IDLE, body.frame()).await {
            Ok(Some(Ok(frame))) => {
                let Ok(data) = frame.into_data() else { continue };
                file.write_all(&data).await.map_err(failed())?;
                length += data.len() as u64;
                continue;
            }
            Ok(None) => break None,
            Ok(Some(Err(error))) => format!("the connection broke: {error}"),
            Err(_) => format!("the answer paused for {} s", IDLE.as_secs()),
        };
        break Some(RegistryError::Unreachable { host: host.to_owned(), cause });
    };
    // What came before the connection broke is kept.
    file.flush().await.map_err(failed())?;
    broke.map_or(Ok(length), |error| Err(error.into()))
}

async fn check(host: &str, wanted: &str, path: &Path) -> Result<(), PullError> {
    let owned = path.to_owned();
    let found = blocking(move || {
        let mut file = std::fs::File::open(&owned).map_err(PullError::io("opening", &owned))?;
        let mut hash = Sha256::new();
        std::io::copy(&mut file, &mut hash).map_err(PullError::io("reading", &owned))?;
        Ok(format!("sha256:{}", encode(&hash.finalize())))
    });
    let found = found.await?;
    if found == wanted {
        return Ok(());
    }
    delete(path);
    Err(PullError::Digest { host: host.to_owned(), wanted: wanted.to_owned(), found })
}
