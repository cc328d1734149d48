//! What the node says of its Pods' sockets, with real sockets in real network namespaces.

use std::net::{TcpListener, UdpSocket};
use std::path::Path;

use hyper::client::conn::http2::SendRequest;
use sealane_netlink::namespace;
use serde_json::{Value, json};

use super::in_own_namespaces;
use super::tunnel::{Body, get, text, tunnel};
use crate::runtime::{ContainerConfig, Runtime, SandboxConfig};

async fn ask(sender: &mut SendRequest<Body>) -> Value {
    let (code, response) = get(sender, "/sealane/v1/explain").await;
    assert_eq!((code, &response.headers()["content-type"]), (200, &"application/json".parse().unwrap()));
    serde_json::from_str(&text(response).await).unwrap()
}

fn up(netns: &Path) {
    let lo = || std::process::Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap();
    assert!(namespace::run(netns, lo).unwrap().success());
}

#[test]
fn every_running_pod_is_told_with_where_it_listens() {
    in_own_namespaces(async |dir| {
        let (context, runtime, mut sender) = tunnel(&dir).await;
        let netns = context.network.setup("u").await.unwrap().netns.unwrap();
        up(&netns);
        for (uid, netns) in [("u", Some(netns.clone())), ("on-node", None), ("idle", Some(netns.clone()))] {
            runtime
                .run_sandbox(SandboxConfig { uid: uid.into(), netns, ..Default::default() })
                .await
                .unwrap();
        }
        let config = ContainerConfig { name: "own".into(), ..Default::default() };
        runtime.create_and_start("on-node", config).await.unwrap();
        assert_eq!(
            ask(&mut sender).await,
            json!({"pods": [{"uid": "on-node", "listeners": []}, {"uid": "u", "listeners": []}],
                "proxy": {"behindSeconds": 7}}),
            "the Pod without a process is not there"
        );

        let sockets = namespace::run(&netns, || {
            let (own, all) =
                (TcpListener::bind("127.0.0.1:80").unwrap(), TcpListener::bind("0.0.0.0:80").err());
            assert!(all.is_some(), "one port, one listener");
            let (v6, udp) =
                (TcpListener::bind("[::]:8080").unwrap(), UdpSocket::bind("0.0.0.0:9000").unwrap());
            let (asking, client) = (
                UdpSocket::bind("127.0.0.1:0").unwrap(),
                std::net::TcpStream::connect("127.0.0.1:80").unwrap(),
            );
            asking.connect("127.0.0.1:9000").unwrap();
            (own, v6, udp, asking, client)
        });
        let listener = |protocol: &str, address: &str, port: u16| json!({"protocol": protocol, "address": address, "port": port});
        let wanted = json!([
            listener("TCP", "127.0.0.1", 80),
            listener("TCP", "::", 8080),
            listener("UDP", "0.0.0.0", 9000)
        ]);
        let said = ask(&mut sender).await;
        assert_eq!(
            said["pods"][1],
            json!({"uid": "u", "listeners": wanted}),
            "connections are not listeners"
        );
        assert_eq!(said["pods"][0]["listeners"], json!([]), "the node's namespace is another");
        drop(sockets);

        runtime.end("web", 1);
        let said = ask(&mut sender).await;
        assert_eq!(said["pods"], json!([{"uid": "on-node", "listeners": []}]), "its process is gone");
    });
}
