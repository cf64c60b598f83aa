//! The UDP check: a datagram that is answered, or at least not refused.

use std::{io, net::SocketAddr};

use memchr::memmem;
use tokio::{
    net::UdpSocket,
    time::{self, error::Elapsed},
};

use super::probe::{Failure, Verdict, printable};
use crate::config::types::{CheckSource, Exchange};

/// As much of an answer as is looked at: more than most networks carry in one frame, and little enough for thousands of
/// checks that wait.
const MOST_READ: usize = 2048;

/// Sends the datagram, and waits for one that has what is expected. A host on which nobody listens answers by ICMP;
/// where nothing is expected, that is all there is to be heard, and silence until the deadline is a success.
pub(super) async fn ask(
    exchange: &Exchange,
    address: SocketAddr,
    source: &CheckSource,
    deadline: time::Instant,
) -> Result<Verdict, Failure> {
    // What is wrong with a source is this host's own affair.
    let socket = socket(address, source).await.map_err(Failure::Host)?;
    socket.send(&exchange.send).await.map_err(refused)?;
    let answered = time::timeout_at(deadline, answer(&socket, &exchange.expect));
    match answered.await {
        Ok(verdict) => verdict,
        Err(Elapsed { .. }) if exchange.expect.is_empty() => Ok(Verdict::ok("not refused")),
        Err(Elapsed { .. }) => Ok(Verdict::failed("no answer in time")),
    }
}

async fn socket(address: SocketAddr, source: &CheckSource) -> io::Result<UdpSocket> {
    let any = match address {
        SocketAddr::V4(_) => "0.0.0.0:0",
        SocketAddr::V6(_) => "[::]:0",
    };
    let socket = match source.address {
        Some(address) => UdpSocket::bind(SocketAddr::new(address, 0)).await?,
        None => UdpSocket::bind(any).await?,
    };
    if let Some(interface) = &source.interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    socket.connect(address).await?;
    Ok(socket)
}

async fn answer(socket: &UdpSocket, expect: &[u8]) -> Result<Verdict, Failure> {
    let mut datagram = vec![0; MOST_READ];
    let length = socket.recv(&mut datagram).await.map_err(refused)?;
    let answer = datagram.get(..length).unwrap_or_default();
    if memmem::find(answer, expect).is_some() {
        return Ok(Verdict::ok("answered"));
    }
    Ok(Verdict::failed(format!(
        "not the expected answer: {}",
        printable(answer)
    )))
}

/// An ICMP error comes as an error of the socket.
fn refused(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Failure::of_backend("port unreachable"),
        _ => error.into(),
    }
}
