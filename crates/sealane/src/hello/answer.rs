//! What the app says of itself, for a browser, a program and a terminal.

use serde_json::json;
use std::net::{IpAddr, UdpSocket};
use std::sync::atomic::AtomicBool;

/// What the app knows of itself.
pub(super) struct App {
    pub(super) version: String,
    pod: String,
    ip: String,
    pub(super) ready: AtomicBool,
}

/// A form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Html,
    Json,
    Text,
}

impl Format {
    /// By the request's `Accept`: HTML and JSON if they are named, else text (curl sends `*/*`).
    pub(super) fn wanted(accept: Option<&str>) -> Self {
        match accept {
            Some(accept) if accept.contains("application/json") => Self::Json,
            Some(accept) if accept.contains("text/html") => Self::Html,
            _ => Self::Text,
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
        }
    }
}

impl App {
    /// The version comes with the image, the Pod's name is the host name, the address is the one packets leave from.
    pub(super) fn from_environment() -> Self {
        let version = std::env::var("HELLO_VERSION").unwrap_or_else(|_| env!("CARGO_PKG_VERSION").to_owned());
        let pod = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { version, pod, ip: own_address(), ready: AtomicBool::new(true) }
    }

    /// The page, in a form.
    pub(super) fn page(&self, format: Format, client: IpAddr) -> String {
        let Self { version, pod, ip, .. } = self;
        match format {
            Format::Json => {
                format!("{}\n", json!({"version": version, "pod": pod, "ip": ip, "client": client}))
            }
            Format::Text => format!("hello {version} from {pod} ({ip}) to {client}\n"),
            Format::Html => PAGE
                .replace("{version}", &escape(version))
                .replace("{pod}", &escape(pod))
                .replace("{ip}", &escape(ip))
                .replace("{client}", &client.to_string())
                .replace("{hue}", &hue(pod).to_string()),
        }
    }
}

const PAGE: &str = include_str!("page.html");

/// The address that a packet to another host would leave from. Nothing is sent: connecting a UDP socket only picks a route.
fn own_address() -> String {
    let pick = || {
        let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
        socket.connect("192.0.2.1:9").ok()?;
        Some(socket.local_addr().ok()?.ip().to_string())
    };
    pick().unwrap_or_else(|| "unknown".into())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A colour for each Pod, so that a reload shows that another one answered.
fn hue(pod: &str) -> u32 {
    pod.bytes().fold(7, |hash: u32, byte| hash.wrapping_mul(31).wrapping_add(byte.into())) % 360
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app() -> App {
        App {
            version: "4.1".into(),
            pod: "web-<1>".into(),
            ip: "10.244.0.5".into(),
            ready: AtomicBool::new(true),
        }
    }

    #[test]
    fn the_accept_header_chooses_the_form() {
        let cases = [
            (None, Format::Text),
            (Some("*/*"), Format::Text),
            (Some("text/html,application/xhtml+xml,*/*;q=0.8"), Format::Html),
            (Some("application/json"), Format::Json),
        ];
        for (accept, format) in cases {
            assert_eq!(Format::wanted(accept), format, "{accept:?}");
        }
    }

    #[test]
    fn every_form_says_version_pod_address_and_client() {
        let client = "10.123.0.1".parse().unwrap();
        let json: serde_json::Value = serde_json::from_str(&app().page(Format::Json, client)).unwrap();
        assert_eq!(
            json,
            json!({"version": "4.1", "pod": "web-<1>", "ip": "10.244.0.5", "client": "10.123.0.1"})
        );
        let html = app().page(Format::Html, client);
        assert!(
            html.contains("web-&lt;1&gt;")
                && html.contains("<html")
                && !html.contains("{version}")
                && !html.contains("{hue}"),
            "{html}"
        );
        assert_eq!(app().page(Format::Text, client), "hello 4.1 from web-<1> (10.244.0.5) to 10.123.0.1\n");
    }
}
