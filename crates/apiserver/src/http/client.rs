//! The server as a tower service: what a component in this process talks to.

use super::{Peer, Response};
use crate::ApiServer;
use crate::auth::User;
use http::HeaderValue;
use http::header::{Entry, USER_AGENT};
use std::convert::Infallible;
use std::sync::Arc;

impl ApiServer {
    /// A client that is `user` in `groups`, without a socket between. Its default namespace is `default`. Upgrades
    /// (exec, attach) need a socket.
    #[must_use]
    pub fn client(self: &Arc<Self>, user: &str, groups: &[&str]) -> kube::Client {
        let server = self.clone();
        // who manages the fields that this client writes
        let agent = HeaderValue::from_str(user.trim_start_matches("system:")).ok();
        let user = User::new(user, groups.iter().copied());
        let service = tower::service_fn(move |mut request: http::Request<kube::client::Body>| {
            let (server, user) = (server.clone(), user.clone());
            if let (Entry::Vacant(header), Some(agent)) = (request.headers_mut().entry(USER_AGENT), &agent) {
                header.insert(agent.clone());
            }
            async move { Ok::<Response, Infallible>(server.handle(request, Peer::InProcess(user)).await) }
        });
        kube::Client::new(service, "default")
    }
}
