//! What can go wrong in a controller.

/// An error of a controller; it says what was being done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A request to the API failed.
    #[error("{doing}: {}", message(.source))]
    Api {
        /// What was being done: `creating a Pod of default/web-5d4f`.
        doing: String,
        /// Why it failed.
        #[source]
        source: Box<kube::Error>,
    },
    /// An object could not be read or written as JSON.
    #[error("{doing}: {source}")]
    Json {
        /// What was being done.
        doing: String,
        /// Why it failed.
        #[source]
        source: serde_json::Error,
    },
    /// The settings contradict themselves.
    #[error("controllers: {0}")]
    Config(String),
    /// A reconcile panicked; the key is tried again like after any other error.
    #[error("{0} panicked")]
    Panicked(String),
}

impl Error {
    pub(crate) fn api(doing: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Api { doing, source: Box::new(source) }
    }

    pub(crate) fn json(doing: impl Into<String>) -> impl FnOnce(serde_json::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Json { doing, source }
    }

    /// The HTTP status code of the API's answer, if there was one.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Api { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status.code),
                _ => None,
            },
            _ => None,
        }
    }

    /// True for 404.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// True for a lost race (409 Conflict).
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.code() == Some(409) && !self.is_already_exists()
    }

    /// True for 409 AlreadyExists.
    #[must_use]
    pub fn is_already_exists(&self) -> bool {
        self.reason() == Some("AlreadyExists")
    }

    /// True if the namespace is being deleted, so that nothing can be created in it.
    #[must_use]
    pub fn is_namespace_terminating(&self) -> bool {
        self.code() == Some(403)
            && (self.reason() == Some("NamespaceTerminating")
                || matches!(self, Self::Api { source, .. } if message(source).contains("is being terminated")))
    }

    /// The text of the API's answer alone, for events.
    #[must_use]
    pub fn api_message(&self) -> String {
        match self {
            Self::Api { source, .. } => message(source),
            other => other.to_string(),
        }
    }

    fn reason(&self) -> Option<&str> {
        match self {
            Self::Api { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status.reason.as_str()),
                _ => None,
            },
            _ => None,
        }
    }
}

fn message(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        other => other.to_string(),
    }
}

/// `Ok` for a 404, where the absence of an object is as good as its deletion.
pub(crate) fn absent_is_fine<T>(result: Result<T, Error>) -> Result<(), Error> {
    match result {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}
