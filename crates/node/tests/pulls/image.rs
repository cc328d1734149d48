//! Images made in memory: blobs by digest, manifests in both vocabularies.

use std::io::Write;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// How layers are compressed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

/// An image in the making.
#[derive(Clone)]
pub(crate) struct Image {
    mark: String,
    platform: &'static str,
    compression: Compression,
    tars: Vec<Vec<u8>>,
    docker: bool,
}

impl Image {
    /// `mark` makes its configuration one of a kind.
    pub(crate) fn new(mark: &str) -> Self {
        let platform = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        Self { mark: mark.into(), platform, compression: Compression::Gzip, tars: Vec::new(), docker: false }
    }

    /// One more layer, with one file in it.
    pub(crate) fn layer(mut self, file: &str, content: &str) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        let mut tar = tar::Builder::new(Vec::new());
        tar.append_data(&mut header, file, content.as_bytes()).expect("tar");
        self.tars.push(tar.into_inner().expect("tar"));
        self
    }

    pub(crate) fn compressed(self, compression: Compression) -> Self {
        Self { compression, ..self }
    }

    /// In Docker's media types.
    pub(crate) fn docker(self) -> Self {
        Self { docker: true, ..self }
    }

    pub(crate) fn for_platform(self, platform: &'static str) -> Self {
        Self { platform, ..self }
    }

    pub(crate) fn config(&self) -> Vec<u8> {
        let diff_ids: Vec<String> = self.tars.iter().map(|t| digest(t)).collect();
        let config = json!({"architecture": self.platform, "os": "linux",
            "config": {"Cmd": ["/x"], "Labels": {"mark": self.mark}},
            "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        config.to_string().into_bytes()
    }

    /// What the store calls it.
    pub(crate) fn id(&self) -> String {
        digest(&self.config())
    }

    pub(crate) fn layers(&self) -> Vec<Vec<u8>> {
        self.tars.iter().map(|tar| self.compress(tar)).collect()
    }

    fn compress(&self, tar: &[u8]) -> Vec<u8> {
        match self.compression {
            Compression::None => tar.to_vec(),
            Compression::Gzip => {
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                gzip.write_all(tar).expect("gzip");
                gzip.finish().expect("gzip")
            }
            Compression::Zstd => {
                ruzstd::encoding::compress_to_vec(tar, ruzstd::encoding::CompressionLevel::Fastest)
            }
        }
    }

    fn layer_type(&self) -> &'static str {
        match (self.docker, self.compression) {
            (true, _) => "application/vnd.docker.image.rootfs.diff.tar.gzip",
            (_, Compression::None) => "application/vnd.oci.image.layer.v1.tar",
            (_, Compression::Gzip) => "application/vnd.oci.image.layer.v1.tar+gzip",
            (_, Compression::Zstd) => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }

    pub(crate) fn media_type(&self) -> &'static str {
        if self.docker {
            "application/vnd.docker.distribution.manifest.v2+json"
        } else {
            "application/vnd.oci.image.manifest.v1+json"
        }
    }

    pub(crate) fn manifest(&self) -> Vec<u8> {
        let config_type = if self.docker {
            "application/vnd.docker.container.image.v1+json"
        } else {
            "application/vnd.oci.image.config.v1+json"
        };
        let layers: Vec<Value> =
            self.layers().iter().map(|blob| descriptor(self.layer_type(), blob)).collect();
        let manifest = json!({"schemaVersion": 2, "mediaType": self.media_type(),
            "config": descriptor(config_type, &self.config()), "layers": layers});
        manifest.to_string().into_bytes()
    }

    /// Its entry in an index.
    pub(crate) fn entry(&self) -> Value {
        let mut entry = descriptor(self.media_type(), &self.manifest());
        entry["platform"] = json!({"os": "linux", "architecture": self.platform});
        entry
    }
}

pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// An index of images for several platforms.
pub(crate) fn index(images: &[&Image]) -> Vec<u8> {
    let entries: Vec<Value> = images.iter().map(|i| i.entry()).collect();
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).to_string().into_bytes()
}

fn descriptor(media_type: &str, blob: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(blob), "size": blob.len()})
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect::<String>())
}
