//! Who asks.

use std::{convert::Infallible, fmt, net::SocketAddr};

use axum::{
    extract::{ConnectInfo, FromRequestParts, connect_info::Connected},
    http::request::Parts,
    serve::IncomingStream,
};
use nix::unistd::{Uid, User};
use tokio::net::{TcpListener, UnixListener};

use super::{login::LoggedIn, tls::TlsListener};

/// The other end of a connection, as the kernel knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Peer {
    /// A user of this host, over the control socket.
    Local(Option<u32>),
    /// Somebody who has reached the stats address.
    Remote(SocketAddr),
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        let credentials = stream.io().peer_cred();
        Self::Local(credentials.ok().map(|credentials| credentials.uid()))
    }
}

impl Connected<IncomingStream<'_, TcpListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        Self::Remote(*stream.remote_addr())
    }
}

impl Connected<IncomingStream<'_, TlsListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        Self::Remote(*stream.remote_addr())
    }
}

/// Whoever gives an order, for the journal.
pub(super) struct Who(pub(super) String);

impl<S: Sync> FromRequestParts<S> for Who {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<Peer>>();
        let peer = peer.map_or_else(|| "somebody".to_owned(), |ConnectInfo(peer)| peer.to_string());
        Ok(Self(match parts.extensions.get::<LoggedIn>() {
            Some(user) => format!("{user} from {peer}"),
            None => peer,
        }))
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(None) => f.write_str("somebody on this host"),
            Self::Local(Some(uid)) => match User::from_uid(Uid::from_raw(*uid)) {
                Ok(Some(user)) => f.write_str(&user.name),
                _ => write!(f, "uid {uid}"),
            },
            Self::Remote(address) => write!(f, "{}", address.ip()),
        }
    }
}
