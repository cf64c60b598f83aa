//! Connections that checks make: opened with suspicion, closed politely.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time,
};

/// How long, and for how many bytes, we wait for the backend to close too.
const PATIENCE: Duration = Duration::from_millis(250);
const ENOUGH: u64 = 64 * 1024;

/// Opens a connection. When nobody listens on this host's own port, and the kernel picks just that port as the
/// source, TCP connects the socket to itself (RFC 9293, 3.5, simultaneous open): refused, in truth.
pub(super) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    if meets_itself(&stream)? {
        Err(io::ErrorKind::ConnectionRefused.into())
    } else {
        Ok(stream)
    }
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
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    #[tokio::test]
    async fn a_socket_connected_to_itself_is_told_from_a_server() {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let own = socket.local_addr().unwrap();
        assert!(meets_itself(&socket.connect(own).await.unwrap()).unwrap());

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        assert!(!meets_itself(&connect(listener.local_addr().unwrap()).await.unwrap()).unwrap());
    }

    /// With its greeting unread, as a database sends one.
    #[tokio::test]
    async fn a_server_that_greets_sees_an_orderly_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        server.write_all(b"5.7.44-log").await.unwrap();
        stream.readable().await.unwrap();
        let (end, ()) = tokio::join!(server.read_u8(), part(stream));
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(server.take_error().unwrap().is_none(), "reset behind the end");
    }
}
