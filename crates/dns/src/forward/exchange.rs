//! One question to one upstream: UDP, and TCP where the answer was cut off.

use super::question::Question;
use crate::wire::Response;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

/// More than we let in; a longer packet is not ours.
const LONGEST: usize = 4_096;
const FORMERR: u8 = 1;
const NOTIMP: u8 = 4;

/// Why an upstream's answer is of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("it cannot be reached: {0}")]
    Io(#[from] io::Error),
    #[error("its answer cannot be read")]
    Malformed,
    #[error("it answered with code {0}")]
    Rcode(u8),
}

/// Asks until there is an answer; the caller limits the time. Answers are NOERROR or NXDOMAIN, all else is a failure.
pub(super) async fn ask(upstream: SocketAddr, question: &Question) -> Result<Response, Failure> {
    let mut response = ask_once(upstream, question, true).await?;
    if matches!(response.rcode, FORMERR | NOTIMP) {
        response = ask_once(upstream, question, false).await?;
    }
    match response.rcode {
        Response::NO_ERROR | Response::NX_DOMAIN => Ok(response),
        rcode => Err(Failure::Rcode(rcode)),
    }
}

async fn ask_once(upstream: SocketAddr, question: &Question, edns: bool) -> Result<Response, Failure> {
    let response = over_udp(upstream, question, edns).await?;
    if response.truncated { over_tcp(upstream, question, edns).await } else { Ok(response) }
}

/// From a port of its own and with an identity of its own each time: both must be guessed to forge an answer
/// (RFC 5452). What does not fit the question is passed over.
async fn over_udp(upstream: SocketAddr, question: &Question, edns: bool) -> io::Result<Response> {
    let any: SocketAddr = match upstream {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(upstream).await?;
    let id = rand::random();
    socket.send(&question.query(id, edns)).await?;
    let (section, mut packet) = (question.section(), vec![0; LONGEST]);
    loop {
        let length = socket.recv(&mut packet).await?;
        if let Some(response) = Response::read(&packet[..length], id, &section) {
            return Ok(response);
        }
    }
}

async fn over_tcp(upstream: SocketAddr, question: &Question, edns: bool) -> Result<Response, Failure> {
    let mut stream = TcpStream::connect(upstream).await?;
    stream.set_nodelay(true)?;
    let id = rand::random();
    let query = question.query(id, edns);
    let mut framed = u16::try_from(query.len()).unwrap_or(u16::MAX).to_be_bytes().to_vec();
    framed.extend_from_slice(&query);
    stream.write_all(&framed).await?;
    let mut packet = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut packet).await?;
    let response = Response::read(&packet, id, &question.section());
    response.filter(|response| !response.truncated).ok_or(Failure::Malformed)
}
