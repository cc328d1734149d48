//! What the app can do besides serving, so that a Pod of it is a client too: `/hello get`, `/hello lookup`, `/hello env`.

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use sealane_dns::wire::{CLASS_IN, Name, Response, rtype};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::net::{TcpStream, UdpSocket};

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(3);

/// Why there is no answer, in the words of whoever asked.
type Why = String;

/// The page at `HOST[:PORT][/PATH]`, with or without `http://`.
pub(super) async fn get(url: &str) -> Result<String, Why> {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().map_err(|_| format!("{port} is no port"))?),
        None => (authority, 80),
    };
    let ip = match host.parse() {
        Ok(ip) => ip,
        Err(_) => IpAddr::V4(*lookup(host).await?.1.first().ok_or_else(|| format!("{host} has no address"))?),
    };
    let address = SocketAddr::new(ip, port);
    let asked =
        tokio::time::timeout(LIMIT, ask(address, authority, if path.is_empty() { "/" } else { path }));
    asked.await.map_err(|_| format!("no answer from {address} within {LIMIT:?}"))?
}

async fn ask(address: SocketAddr, authority: &str, path: &str) -> Result<String, Why> {
    let stream = TcpStream::connect(address).await.map_err(|e| format!("cannot reach {address}: {e}"))?;
    let failed = |e: &dyn std::error::Error| format!("{address} did not answer: {e}");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| failed(&e))?;
    tokio::spawn(connection);
    let request = http::Request::get(path).header("host", authority).header("connection", "close");
    let request = request.body(Empty::<Bytes>::new()).map_err(|e| failed(&e))?;
    let response = sender.send_request(request).await.map_err(|e| failed(&e))?;
    let body = response.into_body().collect().await.map_err(|e| failed(&e))?;
    Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
}

/// The name under which a short name was found, and its IPv4 addresses, as the Pod's resolv.conf has it looked up.
pub(super) async fn lookup(name: &str) -> Result<(String, Vec<Ipv4Addr>), Why> {
    let file = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let conf = ResolvConf::read(&file);
    let server = conf.server.ok_or("/etc/resolv.conf names no server")?;
    for candidate in conf.candidates(name) {
        let response = query(server, &candidate).await?;
        let addresses: Vec<Ipv4Addr> = response
            .answer
            .iter()
            .filter(|record| record.rtype == rtype::A)
            .filter_map(|record| Some(Ipv4Addr::from(<[u8; 4]>::try_from(&*record.data).ok()?)))
            .collect();
        if !addresses.is_empty() {
            return Ok((candidate, addresses));
        }
    }
    Err(format!("{server} knows no {name}"))
}

async fn query(server: IpAddr, name: &str) -> Result<Response, Why> {
    let question = Name::parse(name).ok_or_else(|| format!("{name} is no name"))?;
    let mut section = question.wire().to_vec();
    section.extend([rtype::A, CLASS_IN].iter().flat_map(|number| number.to_be_bytes()));
    let id: u16 = rand::random();
    let mut packet = id.to_be_bytes().to_vec();
    packet.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    packet.extend(&section);
    let exchange = async {
        let any: IpAddr = if server.is_ipv4() {
            Ipv4Addr::UNSPECIFIED.into()
        } else {
            std::net::Ipv6Addr::UNSPECIFIED.into()
        };
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.connect((server, 53)).await?;
        let mut buffer = [0; 4096];
        loop {
            socket.send(&packet).await?;
            let Ok(received) = tokio::time::timeout(LIMIT / 3, socket.recv(&mut buffer)).await else {
                continue;
            };
            if let Some(response) = Response::read(&buffer[..received?], id, &section) {
                return Ok::<_, std::io::Error>(response);
            }
        }
    };
    match tokio::time::timeout(LIMIT, exchange).await {
        Ok(result) => result.map_err(|e| format!("cannot ask {server}: {e}")),
        Err(_) => Err(format!("no answer from {server} within {LIMIT:?}")),
    }
}

/// The parts of resolv.conf(5) that matter for one name.
#[derive(Debug, PartialEq, Eq)]
struct ResolvConf {
    server: Option<IpAddr>,
    search: Vec<String>,
    ndots: usize,
}

impl ResolvConf {
    fn read(text: &str) -> Self {
        let mut conf = Self { server: None, search: Vec::new(), ndots: 1 };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => conf.server = conf.server.or_else(|| words.next()?.parse().ok()),
                Some("search") => conf.search = words.map(str::to_owned).collect(),
                Some("options") => {
                    let ndots = words.find_map(|word| word.strip_prefix("ndots:")?.parse().ok());
                    conf.ndots = ndots.unwrap_or(conf.ndots);
                }
                _ => {}
            }
        }
        conf
    }

    /// The full names to try, in order: with fewer than `ndots` dots the search list comes first.
    fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(absolute) = name.strip_suffix('.') {
            return vec![absolute.to_owned()];
        }
        let mut names: Vec<String> = self.search.iter().map(|domain| format!("{name}.{domain}")).collect();
        let at = if name.matches('.').count() >= self.ndots { 0 } else { names.len() };
        names.insert(at, name.to_owned());
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_searched_and_full_ones_are_not() {
        let conf = ResolvConf::read("nameserver 10.96.0.10\nsearch a.svc svc\noptions ndots:2 edns0\n");
        assert_eq!(conf.server, Some([10, 96, 0, 10].into()));
        assert_eq!(conf.candidates("web"), ["web.a.svc", "web.svc", "web"]);
        assert_eq!(conf.candidates("x.y.z"), ["x.y.z", "x.y.z.a.svc", "x.y.z.svc"]);
        assert_eq!(conf.candidates("web."), ["web"]);
        assert_eq!(ResolvConf::read("").candidates("web"), ["web"]);
    }

    #[tokio::test]
    async fn a_page_comes_or_the_reason_is_told() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let n = stream.read(&mut request).await.unwrap();
            assert!(request[..n].starts_with(b"GET /a HTTP/1.1\r\n"));
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await.unwrap();
        });
        assert_eq!(get(&format!("http://{address}/a")).await.unwrap(), "hi");
        let why = get(&address.to_string()).await.unwrap_err();
        assert!(why.starts_with(&format!("cannot reach {address}: Connection refused")), "{why}");
        assert_eq!(get("127.0.0.1:http").await.unwrap_err(), "http is no port");
    }
}
