//! The proxy subresources, against a backend behind a node that connects for the server.

use crate::socket::{Tls, cluster};
use bytes::Bytes;
use futures::TryStreamExt as _;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::io::{ReaderStream, StreamReader};

type NodeBody = UnsyncBoxBody<Bytes, std::io::Error>;

fn whole(text: impl Into<Bytes>) -> NodeBody {
    Full::new(text.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A node: it connects to the backend at 10.0.0.1:8080, and to nothing else.
async fn node(request: http::Request<Incoming>) -> http::Response<NodeBody> {
    match request.uri().path() {
        "/connect/http/10.0.0.1:8080" => {}
        "/healthz" => return http::Response::new(whole("ok")),
        other => {
            let status = json!({"message": format!("dial tcp {other}: connect: connection refused")});
            return http::Response::builder().status(502).body(whole(status.to_string())).unwrap();
        }
    }
    let (ours, theirs) = tokio::io::duplex(1000);
    let incoming = request.into_body().into_data_stream().map_err(std::io::Error::other);
    let stream = tokio::io::join(StreamReader::new(incoming), ours);
    tokio::spawn(async move {
        let service =
            hyper::service::service_fn(|request| async { Ok::<_, hyper::Error>(backend(request).await) });
        let http = hyper::server::conn::http1::Builder::new();
        http.serve_connection(TokioIo::new(stream), service).with_upgrades().await
    });
    http::Response::new(StreamBody::new(ReaderStream::new(theirs).map_ok(Frame::data)).boxed_unsync())
}

/// Says what it was asked, redirects `/old`, and echoes after an upgrade.
async fn backend(mut request: http::Request<Incoming>) -> http::Response<Full<Bytes>> {
    let response = http::Response::builder().header("access-control-allow-origin", "*");
    match request.uri().path() {
        "/old" => response.status(302).header("location", "/new?x=1").body(Full::default()).unwrap(),
        "/echo" => {
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut stream = TokioIo::new(upgrade.await.unwrap());
                let mut buffer = [0; 100];
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    stream.write_all(&buffer[..count]).await.unwrap();
                }
            });
            let response = response.status(101).header("connection", "Upgrade").header("upgrade", "echo");
            response.body(Full::default()).unwrap()
        }
        _ => {
            let header = |name: &str| {
                request.headers().get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default()
            };
            let mut asked = json!({"method": request.method().as_str(), "uri": request.uri().to_string(),
                "host": header("host"), "forwarded": header("x-forwarded-uri"), "mine": header("x-mine"),
                "authorization": header("authorization")});
            let body = request.into_body().collect().await.unwrap().to_bytes();
            asked["body"] = json!(String::from_utf8_lossy(&body));
            response.body(Full::from(asked.to_string())).unwrap()
        }
    }
}

const SERVICES: &str = "/api/v1/namespaces/default/services";
const PODS: &str = "/api/v1/namespaces/default/pods";

async fn with_backend() -> crate::socket::Cluster {
    let c = cluster().await;
    c.pod().await;
    c.node_with(node).await;
    let pods: kube::Api<k8s_openapi::api::core::v1::Pod> = kube::Api::default_namespaced(c.admin.clone());
    let status = json!({"status": {"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]}});
    let parameters = kube::api::PatchParams::default();
    pods.patch_status("p", &parameters, &kube::api::Patch::Merge(status)).await.unwrap();
    create(
        &c.admin,
        SERVICES,
        json!({"metadata": {"name": "web"}, "spec": {"ports": [
        {"name": "http", "port": 80, "targetPort": 8080}, {"name": "other", "port": 81}]}}),
    )
    .await;
    create(&c.admin, SERVICES, json!({"metadata": {"name": "none"}, "spec": {"ports": [{"port": 80}]}}))
        .await;
    let address = |pod: &str, ip: &str| json!({"ip": ip, "targetRef": {"kind": "Pod", "name": pod}});
    for (name, addresses) in [
        ("web", json!([address("p", "10.0.0.1"), address("p", "10.0.0.7"), {"ip": "10.0.0.8"}])),
        ("none", json!([])),
    ] {
        let subsets = if name == "web" {
            json!([{"addresses": addresses, "ports": [{"name": "http", "port": 8080}]}])
        } else {
            json!([])
        };
        let object = json!({"metadata": {"name": name}, "subsets": subsets});
        create(&c.admin, "/api/v1/namespaces/default/endpoints", object).await;
    }
    create(&c.admin, "/api/v1/nodes", json!({"metadata": {"name": "node-1"}})).await;
    c
}

async fn create(client: &kube::Client, path: &str, object: Value) {
    let request = http::Request::post(path).header("content-type", "application/json");
    client.request::<Value>(request.body(object.to_string().into_bytes()).unwrap()).await.unwrap();
}

async fn ask(stream: Tls, request: http::Request<Full<Bytes>>) -> (http::response::Parts, Value) {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let value = serde_json::from_slice(&body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&body)));
    (parts, value)
}

fn get(path: &str) -> http::Request<Full<Bytes>> {
    http::Request::get(path).header("host", "localhost").body(Full::default()).unwrap()
}

#[tokio::test]
async fn requests_go_to_the_backend_as_they_came() {
    let c = with_backend().await;
    for name in [format!("{SERVICES}/web:http"), format!("{SERVICES}/web:80"), format!("{PODS}/http:p:8080")]
    {
        let path = format!("{name}/proxy/a%2Fb//c/?x=%20&y");
        let body = "x".repeat(4 * 1024 * 1024);
        let request = http::Request::put(&path)
            .header("host", "localhost")
            .header("x-mine", "1")
            .header("authorization", "Basic x")
            .body(Full::from(body.clone()))
            .unwrap();
        let (parts, mut asked) = ask(c.connect("admin", "system:masters").await, request).await;
        assert_eq!(parts.status, 200, "{asked}");
        assert!(!parts.headers.contains_key("access-control-allow-origin"));
        assert_eq!(asked["body"].take().as_str().map(str::len), Some(body.len()));
        let expected = json!({"method": "PUT", "uri": "/a%2Fb//c/?x=%20&y", "host": "localhost", "mine": "1",
            "authorization": "", "forwarded": format!("{name}/proxy/a%2Fb//c/"), "body": null});
        assert_eq!(asked, expected);
    }
}

#[tokio::test]
async fn redirects_lead_back_through_the_proxy() {
    let c = with_backend().await;
    let web = format!("{SERVICES}/web:http/proxy");
    for (path, location) in
        [(format!("{web}/old"), format!("{web}/new?x=1")), (format!("{web}?a=b"), format!("{web}/?a=b"))]
    {
        let (parts, _) = ask(c.connect("admin", "system:masters").await, get(&path)).await;
        assert!(parts.status.is_redirection());
        assert_eq!(parts.headers["location"], location);
    }
}

#[tokio::test]
async fn what_cannot_be_reached_is_a_status() {
    let c = with_backend().await;
    for (path, code, message) in [
        (format!("{SERVICES}/none:80/proxy/"), 503, "no endpoints available for service \"none\""),
        (format!("{SERVICES}/web:other/proxy/"), 503, "no endpoints available for service \"web:other\""),
        (format!("{SERVICES}/web:99/proxy/"), 503, "no service port 99 found for service \"web\""),
        (format!("{SERVICES}/a:b:c:d/proxy/"), 400, "invalid service request \"a:b:c:d\""),
        (format!("{SERVICES}/missing:http/proxy/"), 404, "endpoints \"missing\" not found"),
        (
            format!("{PODS}/p:99/proxy/"),
            503,
            "error trying to reach service: dial tcp /connect/http/10.0.0.1:99: connect: connection refused",
        ),
        ("/api/v1/nodes/missing/proxy/healthz".to_owned(), 404, "nodes \"missing\" not found"),
    ] {
        let (parts, status) = ask(c.connect("admin", "system:masters").await, get(&path)).await;
        assert_eq!((parts.status.as_u16(), status["message"].as_str()), (code, Some(message)), "{path}");
    }
}

#[tokio::test]
async fn a_node_answers_for_itself() {
    let c = with_backend().await;
    let path = "/api/v1/nodes/node-1/proxy/healthz";
    let (_, text) = ask(c.connect("admin", "system:masters").await, get(path)).await;
    assert_eq!(text, "ok");
    // Only the server itself may have it connect somewhere.
    let post = http::Request::post("/api/v1/nodes/node-1/proxy/connect/http/10.0.0.1:8080")
        .header("host", "localhost")
        .body(Full::default())
        .unwrap();
    assert_eq!(ask(c.connect("admin", "system:masters").await, post).await.0.status, 405);
}

#[tokio::test]
async fn the_right_to_proxy_is_asked_for() {
    let c = with_backend().await;
    for (path, resource) in [
        (format!("{SERVICES}/web:http/proxy/"), "services/proxy"),
        ("/api/v1/nodes/node-1/proxy/sealane/v1/explain".to_owned(), "nodes/proxy"),
    ] {
        let (parts, status) = ask(c.connect("jane", "people").await, get(&path)).await;
        assert_eq!(parts.status, 403);
        let message = status["message"].as_str().unwrap();
        let wanted = format!("cannot get resource \"{resource}\" in API group \"\"");
        assert!(message.contains(&wanted), "{message}");
    }
}

#[tokio::test]
async fn upgraded_connections_are_joined() {
    let c = with_backend().await;
    let path = format!("{SERVICES}/web:http/proxy/echo");
    let (mut stream, head) = c.ask("admin", "GET", &path, "Connection: Upgrade\r\nUpgrade: echo\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101") && head.to_lowercase().contains("upgrade: echo"), "{head}");
    for text in [&b"one"[..], b"two"] {
        stream.write_all(text).await.unwrap();
        let mut back = vec![0; text.len()];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(back, text);
    }
    let refused = format!("{SERVICES}/web:http/proxy/plain");
    let (_, head) = c.ask("admin", "GET", &refused, "Connection: Upgrade\r\nUpgrade: echo\r\n").await;
    assert!(head.starts_with("HTTP/1.1 500"), "{head}");
}
