//! Connections that checks make: opened with suspicion, closed politely.

use std::{io, net::SocketAddr, time::Duration};

use memchr::memmem::Finder;
use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time,
};

use super::probe::{Failure, Verdict, printable};
use crate::config::types::{CheckSource, Exchange};

/// How long, and for how many bytes, we wait for the backend to close too.
const PATIENCE: Duration = Duration::from_millis(250);
const ENOUGH: u64 = 64 * 1024;

/// As much of an answer as is looked at in search of what is expected: as much as `HAProxy`'s buffer holds
/// (`tune.bufsize`).
pub(super) const MOST_READ: usize = 16 * 1024;

/// Opens a connection. When nobody listens on this host's own port, and the kernel picks just that port as the
/// source, TCP connects the socket to itself (RFC 9293, 3.5, simultaneous open): refused, in truth.
pub(super) async fn connect(address: SocketAddr, source: &CheckSource) -> Result<TcpStream, Failure> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    };
    let socket = socket.map_err(Failure::Host)?;
    // What is wrong with a source is this host's own affair.
    leave_from(&socket, source).map_err(Failure::Host)?;
    let stream = socket.connect(address).await?;
    if meets_itself(&stream)? {
        Err(io::Error::from(io::ErrorKind::ConnectionRefused).into())
    } else {
        Ok(stream)
    }
}

fn leave_from(socket: &TcpSocket, source: &CheckSource) -> io::Result<()> {
    if let Some(interface) = &source.interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    if let Some(address) = source.address {
        // The port is picked when the connection is made, so that many connections may have the same one.
        setsockopt(socket, IpBindAddressNoPort, &true)?;
        socket.bind(SocketAddr::new(address, 0))?;
    }
    Ok(())
}

/// Says what the check has to say, and looks for what it expects.
pub(super) async fn ask(exchange: &Exchange, stream: &mut TcpStream) -> Result<Verdict, Failure> {
    let Exchange { send, expect } = exchange;
    let sent = stream.write_all(send).await;
    if expect.is_empty() {
        sent?;
        return Ok(Verdict::ok("connected"));
    }
    let finder = Finder::new(expect);
    let (answer, end) = read_until(stream, MOST_READ, |answer| finder.find(answer).is_some()).await;
    if finder.find(&answer).is_some() {
        return Ok(Verdict::ok("the expected answer"));
    }
    if answer.is_empty() {
        sent.and(end)?;
        return Ok(Verdict::failed("connection closed without an answer"));
    }
    Ok(Verdict::failed(format!(
        "not the expected answer: {}",
        printable(&answer)
    )))
}

/// The bytes until `done` is content with them, or as far as they came, but no more than `most`; and how the reading
/// ended.
pub(super) async fn read_until(
    stream: impl AsyncRead + Unpin,
    most: usize,
    done: impl Fn(&[u8]) -> bool,
) -> (Vec<u8>, io::Result<()>) {
    let mut bytes = Vec::new();
    let mut stream = stream.take(most as u64);
    while !done(&bytes) {
        match stream.read_buf(&mut bytes).await {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => return (bytes, Err(error)),
        }
    }
    (bytes, Ok(()))
}

fn meets_itself(stream: &TcpStream) -> io::Result<bool> {
    Ok(stream.local_addr()? == stream.peer_addr()?)
}

/// Closes a connection so that the backend sees an orderly end: our FIN, then the reading of what it still sends.
/// To close over unread bytes, a database's greeting for one, would reset the connection, which servers log
/// as an error, or count against this host.
pub(super) async fn part(mut stream: TcpStream) {
    let goodbye = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(ENOUGH), &mut tokio::io::sink()).await
    };
    // The verdict has fallen; a backend that does not close its end is closed on.
    let _: Result<io::Result<u64>, time::error::Elapsed> = time::timeout(PATIENCE, goodbye).await;
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_socket_connected_to_itself_is_told_from_a_server() {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let own = socket.local_addr().unwrap();
        assert!(meets_itself(&socket.connect(own).await.unwrap()).unwrap());

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        assert!(
            !meets_itself(
                &connect(listener.local_addr().unwrap(), &CheckSource::default())
                    .await
                    .unwrap()
            )
            .unwrap()
        );
    }

    /// With its greeting unread, as a database sends one.
    #[tokio::test]
    async fn a_server_that_greets_sees_an_orderly_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = connect(listener.local_addr().unwrap(), &CheckSource::default())
            .await
            .unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        server.write_all(b"5.7.44-log").await.unwrap();
        stream.readable().await.unwrap();
        let (end, ()) = tokio::join!(server.read_u8(), part(stream));
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(server.take_error().unwrap().is_none(), "reset behind the end");
    }

    #[tokio::test]
    async fn an_endless_answer_is_not_read() {
        let (line, end) = read_until(tokio::io::repeat(b'x'), MOST_READ, |_| false).await;
        assert_eq!(line.len(), MOST_READ);
        assert!(end.is_ok());
    }
}
