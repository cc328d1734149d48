//! Probes, as far as they ask a port.

use super::TargetPort;
use serde::Deserialize;

/// A probe.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Probe {
    /// An HTTP request.
    pub http_get: Option<HttpGet>,
    /// A TCP connection.
    pub tcp_socket: Option<PortAction>,
    /// A gRPC health check.
    pub grpc: Option<PortAction>,
    /// Seconds until the first one.
    pub initial_delay_seconds: u32,
}

/// `HTTPGetAction`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpGet {
    /// The path.
    #[serde(default)]
    pub path: String,
    /// Whom it asks instead of the Pod's address.
    #[serde(default)]
    pub host: String,
    /// The port.
    pub port: TargetPort,
}

/// A probe of a port.
#[derive(Debug, Clone, Deserialize)]
pub struct PortAction {
    /// Whom it asks instead of the Pod's address.
    #[serde(default)]
    pub host: String,
    /// The port.
    pub port: TargetPort,
}

impl Probe {
    /// The port that it asks, if it asks one.
    pub fn port(&self) -> Option<&TargetPort> {
        let http = self.http_get.as_ref().map(|http| &http.port);
        http.or(self.tcp_socket.as_ref().or(self.grpc.as_ref()).map(|action| &action.port))
    }

    /// Whether it asks somebody else than the Pod's address.
    pub fn asks_elsewhere(&self) -> bool {
        let hosts =
            [self.http_get.as_ref().map(|http| &http.host), self.tcp_socket.as_ref().map(|tcp| &tcp.host)];
        hosts.into_iter().flatten().any(|host| !host.is_empty())
    }

    /// What it does, in a few words.
    pub fn words(&self) -> String {
        match (&self.http_get, &self.tcp_socket, &self.grpc) {
            (Some(http), ..) => {
                format!("GET :{}{}", http.port, if http.path.is_empty() { "/" } else { &http.path })
            }
            (_, Some(tcp), _) => format!("TCP :{}", tcp.port),
            (.., Some(grpc)) => format!("gRPC :{}", grpc.port),
            _ => "exec".into(),
        }
    }
}
