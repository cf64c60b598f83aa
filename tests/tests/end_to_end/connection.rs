//! Connections that stay open.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    os::fd::AsRawFd as _,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use lab::{Family, Lab};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, socket};

/// An open connection, kept alive between requests.
pub(crate) struct Connection {
    stream: TcpStream,
    /// Name of the backend that it leads to.
    pub(crate) backend: String,
}

impl Connection {
    /// Opens a connection, and asks who is at its other end.
    pub(crate) fn open(target: SocketAddr) -> Result<Self> {
        Self::over(TcpStream::connect(target)?)
    }

    /// The same, from an address and port of the client's.
    pub(crate) fn open_from(from: SocketAddr, target: SocketAddr) -> Result<Self> {
        let family = match from {
            SocketAddr::V4(_) => AddressFamily::Inet,
            SocketAddr::V6(_) => AddressFamily::Inet6,
        };
        let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        bind(socket.as_raw_fd(), &SockaddrStorage::from(from))?;
        connect(socket.as_raw_fd(), &SockaddrStorage::from(target))?;
        Self::over(socket.into())
    }

    /// The connection's socket.
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    fn over(stream: TcpStream) -> Result<Self> {
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut connection = Self {
            stream,
            backend: String::new(),
        };
        connection.backend = connection.ask()?;
        Ok(connection)
    }

    /// Opens so many connections to the web service, one after the other.
    pub(crate) fn open_to_web(lab: &Lab, count: usize) -> Result<Vec<Self>> {
        let target = lab.web(Family::V4);
        lab.client()
            .run(|| (0..count).map(|_| Self::open(target)).collect())
    }

    /// Sends a request, which the backend must answer that the connection was opened to.
    pub(crate) fn work(&mut self) -> Result<()> {
        let answered = self
            .ask()
            .with_context(|| format!("a connection of {}", self.backend))?;
        ensure!(answered == self.backend, "{answered} for {}", self.backend);
        Ok(())
    }

    /// Sends a request; the name of the backend that answers it.
    pub(crate) fn ask(&mut self) -> Result<String> {
        self.stream.write_all(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n")?;
        let mut answer = Vec::new();
        let mut buffer = [0; 1024];
        loop {
            let length = self.stream.read(&mut buffer)?;
            ensure!(length > 0, "the connection was closed");
            answer.extend_from_slice(&buffer[..length]);
            let text = String::from_utf8_lossy(&answer);
            if let Some((_, body)) = text.split_once("\r\n\r\n")
                && body.starts_with("be")
            {
                return Ok(body.to_owned());
            }
        }
    }
}
