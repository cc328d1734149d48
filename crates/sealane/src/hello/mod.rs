//! The built-in web app, `localhost/hello`: this same binary under the name `/hello` in its own image.
//!
//! HTTP on 8080: a page that says which version, Pod and address answered (HTML for a browser, JSON or text otherwise), `/healthz`,
//! `/readyz`, `POST /readyz/off` and `/readyz/on`. UDP echo on 9000. `HELLO_LISTEN` is the address of both; without it, it is every one.
//! It ends at once on SIGTERM. There is no shell in the image; so that one can look from inside a Pod all the same, `/hello get URL`,
//! `/hello lookup NAME` and `/hello env` ask and print.

mod answer;
mod client;

use answer::{App, Format};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::net::{TcpListener, UdpSocket};
use tokio::signal::unix::{SignalKind, signal};

const HTTP_PORT: u16 = 8080;
const UDP_PORT: u16 = 9000;

const USAGE: &str = "usage: hello                 serve
       hello get URL         print a page
       hello lookup NAME     print a name's addresses
       hello env             print the environment
       hello --version";

/// Serves until SIGTERM, or does what the arguments say.
pub(crate) fn main(arguments: &[OsString]) -> ExitCode {
    let app = Arc::new(App::from_environment());
    let words: Vec<_> = arguments.iter().skip(1).map(|a| a.to_string_lossy()).collect();
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    let outcome = crate::up::runtime().block_on(async {
        match words[..] {
            [] => serve(app).await.map_err(|e| e.to_string()).map(|()| String::new()),
            ["--version"] => Ok(format!("hello {}", app.version)),
            ["get", url] => client::get(url).await.map(|page| page.trim_end().to_owned()),
            ["lookup", name] => {
                client::lookup(name).await.map(|(name, all)| format!("{name} {}", listed(&all)))
            }
            ["env"] => Ok(environment()),
            _ => Err(USAGE.to_owned()),
        }
    });
    match outcome {
        Ok(text) if text.is_empty() => ExitCode::SUCCESS,
        Ok(text) => {
            crate::terminal::line(&text);
            ExitCode::SUCCESS
        }
        Err(why) => {
            crate::terminal::complain("hello", &why);
            ExitCode::FAILURE
        }
    }
}

fn listed(addresses: &[std::net::Ipv4Addr]) -> String {
    let mut texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    texts.sort();
    texts.join(" ")
}

/// `NAME=VALUE` a line, sorted.
fn environment() -> String {
    let text = |(name, value): (OsString, OsString)| format!("{}={}", name.display(), value.display());
    let mut lines: Vec<String> = std::env::vars_os().map(text).collect();
    lines.sort();
    lines.join("\n")
}

async fn serve(app: Arc<App>) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let address = std::env::var("HELLO_LISTEN").unwrap_or_else(|_| "0.0.0.0".to_owned());
    let web = TcpListener::bind((address.as_str(), HTTP_PORT)).await?;
    let udp = UdpSocket::bind((address.as_str(), UDP_PORT)).await?;
    crate::terminal::line(&format!("hello {} listens on {HTTP_PORT}/TCP and {UDP_PORT}/UDP", app.version));
    tokio::select! {
        result = accept(web, app) => result,
        result = echo(udp) => result,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

async fn accept(listener: TcpListener, app: Arc<App>) -> std::io::Result<()> {
    loop {
        let (stream, client) = listener.accept().await?;
        let app = app.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let response = respond(&app, &request, client);
                async move { Ok::<_, Infallible>(response) }
            });
            // A client that goes away in the middle is its own business.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

fn respond(app: &App, request: &Request<Incoming>, client: SocketAddr) -> Response<Full<Bytes>> {
    let ready = app.ready.load(Ordering::Relaxed);
    let (status, format, body) = match (request.method(), request.uri().path()) {
        (&Method::POST, path @ ("/readyz/on" | "/readyz/off")) => {
            app.ready.store(path.ends_with("on"), Ordering::Relaxed);
            (StatusCode::OK, Format::Text, "ok\n".to_owned())
        }
        (_, "/healthz") => (StatusCode::OK, Format::Text, "ok\n".to_owned()),
        (_, "/readyz") if ready => (StatusCode::OK, Format::Text, "ok\n".to_owned()),
        (_, "/readyz") => (StatusCode::SERVICE_UNAVAILABLE, Format::Text, "not ready\n".to_owned()),
        (_, "/") => {
            let format = Format::wanted(request.headers().get("accept").and_then(|a| a.to_str().ok()));
            (StatusCode::OK, format, app.page(format, client.ip()))
        }
        _ => (StatusCode::NOT_FOUND, Format::Text, "not found\n".to_owned()),
    };
    let response = Response::builder().status(status).header("content-type", format.content_type());
    response.body(Full::new(Bytes::from(body))).expect("a static header is valid")
}

async fn echo(socket: UdpSocket) -> std::io::Result<()> {
    let mut datagram = vec![0; 65_536];
    loop {
        let (length, client) = socket.recv_from(&mut datagram).await?;
        // An ICMP error of an earlier answer must not end the app.
        let _ = socket.send_to(&datagram[..length], client).await;
    }
}
