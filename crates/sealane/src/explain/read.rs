//! Lists, page by page: of each only what causes look at is kept, so that a large cluster fits.

use super::connect::Connection;
use futures::future::join_all;
use sealane_explain::{Kind, Snapshot, Unread};

/// How many objects a page has.
const PAGE: u32 = 500;

/// How much is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// One namespace, and what belongs to none.
    Namespace,
    /// Everything.
    All,
}

/// Lists all kinds at once; what cannot be listed is noted.
pub(super) async fn lists(connection: &Connection, scope: Scope) -> Snapshot {
    let namespace = (scope == Scope::Namespace).then_some(connection.namespace.as_str());
    let mut whole = Snapshot::default();
    for part in join_all(Kind::LISTED.map(|kind| list(connection, kind, namespace))).await {
        whole.absorb(part);
    }
    whole
}

async fn list(connection: &Connection, kind: Kind, namespace: Option<&str>) -> Snapshot {
    let mut part = Snapshot::default();
    let selector = kind
        .field_selector()
        .map(|s| format!("&fieldSelector={}", s.replace('!', "%21").replace('=', "%3D")));
    let query = selector.unwrap_or_default();
    if let Err(error) = pages(connection, kind, &kind.path(namespace), &query, &mut part).await {
        part.forget(kind);
        part.unread.push(Unread { kind, why: why(&error) });
    }
    part
}

/// Takes in all pages of a list.
pub(super) async fn pages(
    connection: &Connection,
    kind: Kind,
    path: &str,
    query: &str,
    into: &mut Snapshot,
) -> Result<(), kube::Error> {
    let (mut more, mut limit) = (String::new(), PAGE);
    loop {
        let page = get(&connection.client, &format!("{path}?limit={limit}{query}{more}")).await;
        let page = match page {
            // Half-way through, what the list began with was compacted: once more, in one piece.
            Err(kube::Error::Api(status)) if status.code == 410 && !more.is_empty() => {
                into.forget(kind);
                (more, limit) = (String::new(), 0);
                continue;
            }
            page => page?,
        };
        match into.take(kind, page.as_bytes()).map_err(kube::Error::SerdeError)? {
            Some(token) => more = format!("&continue={}", escape(&token)),
            None => return Ok(()),
        }
    }
}

/// Asks for a path.
pub(super) async fn get(client: &kube::Client, path: &str) -> Result<String, kube::Error> {
    let request = http::Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
    client.request_text(request).await
}

/// Why something cannot be read; `None` if the server does not know it.
pub(super) fn why(error: &kube::Error) -> Option<String> {
    match error {
        kube::Error::Api(status) if status.code == 404 => None,
        kube::Error::Api(status) => Some(status.message.clone()),
        error => Some(crate::terminal::sentence(error)),
    }
}

/// As a part of a query (RFC 3986).
pub(super) fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
