//! Image names, normalised as Docker does: `busybox` is `docker.io/library/busybox:latest`.

use super::ImageError;

/// An image's full name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Host of the registry, `docker.io`; `localhost` without a port is the machine's own store.
    pub registry: String,
    /// Path at the registry, `library/busybox`.
    pub repository: String,
    /// `latest` if the name has neither tag nor digest.
    pub tag: Option<String>,
    /// `sha256:…`, if given.
    pub digest: Option<String>,
}

impl Reference {
    /// Parses and normalises a name.
    ///
    /// # Errors
    /// [`ImageError::InvalidName`].
    pub fn parse(name: &str) -> Result<Self, ImageError> {
        let invalid = || ImageError::InvalidName(name.to_owned());
        let (rest, digest) = match name.split_once('@') {
            Some((rest, digest)) if super::config::is_digest(digest) => (rest, Some(digest.to_owned())),
            Some(_) => return Err(invalid()),
            None => (name, None),
        };
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag.to_owned())),
            _ => (rest, None),
        };
        let (registry, repository) = match path.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (host, rest.to_owned()),
            Some(_) => ("docker.io", path.to_owned()),
            None => ("docker.io", format!("library/{path}")),
        };
        let registry = if registry == "index.docker.io" { "docker.io" } else { registry };
        let repository = match repository.split_once('/') {
            None if registry == "docker.io" => format!("library/{repository}"),
            _ => repository,
        };
        let ok = repository.split('/').all(is_component)
            && !registry.is_empty()
            && tag.as_deref().is_none_or(is_tag)
            && registry.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b));
        let tag = if tag.is_none() && digest.is_none() { Some("latest".to_owned()) } else { tag };
        if ok { Ok(Self { registry: registry.to_owned(), repository, tag, digest }) } else { Err(invalid()) }
    }

    /// The name in the store: a digest says all, and the tag beside it nothing.
    pub(super) fn key(&self) -> String {
        match &self.digest {
            Some(digest) => format!("{}/{}@{digest}", self.registry, self.repository),
            None => self.to_string(),
        }
    }

    /// The same repository's image of that digest.
    pub(super) fn with_digest(&self, digest: &str) -> Self {
        Self { tag: None, digest: Some(digest.to_owned()), ..self.clone() }
    }

    /// Whether its registry is on this machine (or is its own store).
    pub fn is_loopback(&self) -> bool {
        super::registry::is_loopback(&self.registry)
    }

    /// Whether it names an image of the machine's own store, which no registry is asked for.
    pub fn is_local(&self) -> bool {
        self.registry == "localhost"
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// `[a-z0-9]+` parts joined by `.`, `_`, `__` or dashes.
fn is_component(text: &str) -> bool {
    let alnum = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.first().is_some_and(alnum)
        && bytes.last().is_some_and(alnum)
        && bytes.iter().all(|b| alnum(b) || b"._-".contains(b))
}

fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised_as_docker_does() {
        for (given, full) in [
            ("busybox", "docker.io/library/busybox:latest"),
            ("busybox:1.36", "docker.io/library/busybox:1.36"),
            ("nigelpoulton/k8sbook:latest", "docker.io/nigelpoulton/k8sbook:latest"),
            ("docker.io/busybox", "docker.io/library/busybox:latest"),
            ("index.docker.io/library/busybox", "docker.io/library/busybox:latest"),
            ("localhost/hello", "localhost/hello:latest"),
            ("localhost:5000/hello:4.1", "localhost:5000/hello:4.1"),
            ("registry.k8s.io/e2e-test-images/agnhost:2.47", "registry.k8s.io/e2e-test-images/agnhost:2.47"),
        ] {
            assert_eq!(Reference::parse(given).expect(given).to_string(), full);
        }
        let digest = format!("a/b@sha256:{}", "0".repeat(64));
        assert_eq!(Reference::parse(&digest).expect("digest").to_string(), format!("docker.io/{digest}"));
        for bad in ["", "Busybox", "a//b", "a:b:c", "a@sha256:12", "a/../b", "-a", "a:", "localhost/"] {
            assert!(Reference::parse(bad).is_err(), "{bad}");
        }
        assert!(Reference::parse("localhost/hello").expect("local").is_local());
        assert!(!Reference::parse("localhost:5000/hello").expect("port").is_local());
    }
}
