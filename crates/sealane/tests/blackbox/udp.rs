//! UDP through a Service: from the host through the published port, with an answer to each datagram.

use crate::harness::{Cluster, succeeds, within};
use std::net::UdpSocket;
use std::time::Duration;

const ECHO: &str = "
apiVersion: v1
kind: Pod
metadata: {name: echo, labels: {app: echo}}
spec:
  containers:
  - {name: web, image: 'localhost/hello:4.2'}
---
apiVersion: v1
kind: Service
metadata: {name: echo}
spec:
  type: NodePort
  selector: {app: echo}
  ports:
  - {name: udp, protocol: UDP, port: 9000}
  - {name: web, port: 80, targetPort: 8080}
---
apiVersion: v1
kind: Service
metadata: {name: both}
spec:
  type: LoadBalancer
  selector: {app: echo}
  ports:
  - {name: udp, protocol: UDP, port: 39123, targetPort: 9000}
";

fn echoes(port: u16) -> Result<(), String> {
    let ask = || {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(Duration::from_millis(300)))?;
        socket.connect(("127.0.0.1", port))?;
        socket.send(b"ping")?;
        let mut answer = [0; 16];
        let length = socket.recv(&mut answer)?;
        Ok::<_, std::io::Error>(answer[..length].to_vec())
    };
    match ask() {
        Ok(answer) if answer == b"ping" => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

#[test]
fn datagrams_come_back_through_a_node_port_and_a_load_balancer_until_the_service_is_gone() {
    let cluster = Cluster::new();
    succeeds(&cluster.up());
    cluster.apply(ECHO);
    let port = |service: &str| -> u16 {
        let number = cluster.kubectl_ok(&["get", "svc", service, "-o", "jsonpath={.spec.ports[0].nodePort}"]);
        number.parse().unwrap()
    };
    let (node_port, balancer) = (port("echo"), port("both"));
    for port in [node_port, balancer] {
        within(Duration::from_secs(20), "an echo", || echoes(port));
    }
    for number in 0..50 {
        echoes(node_port).unwrap_or_else(|error| panic!("datagram {number}: {error}"));
    }
    within(Duration::from_secs(5), "the load balancer's own port", || echoes(39123));
    cluster.kubectl_ok(&["delete", "svc", "echo"]);
    within(Duration::from_secs(5), "silence", || match echoes(node_port) {
        Ok(()) => Err("it still answers".into()),
        Err(_) => Ok(()),
    });
}
