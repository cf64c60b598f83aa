//! TLS for the stats address.

use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use axum::serve::Listener;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig, crypto,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
    server::TlsStream,
};
use tracing::debug;

use crate::config::types::ServerTls;

/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Handshakes at the same time; further connections wait to be accepted.
const AT_ONCE: usize = 64;

/// Connections whose handshake has succeeded. One that takes its time keeps nobody else waiting.
pub(super) struct TlsListener {
    address: SocketAddr,
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    /// Accepts for as long as it lives.
    _accepting: JoinSet<()>,
}

impl TlsListener {
    pub(super) fn new(listener: TcpListener, tls: &ServerTls) -> io::Result<Self> {
        let acceptor = TlsAcceptor::from(Arc::new(config(tls)?));
        let address = listener.local_addr()?;
        let (hand_over, ready) = mpsc::channel(AT_ONCE);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, acceptor, hand_over));
        Ok(Self {
            address,
            ready,
            _accepting: accepting,
        })
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // Nobody accepts any more: there will be no other.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

async fn accept(
    mut listener: TcpListener,
    acceptor: TlsAcceptor,
    ready: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    let mut handshakes = JoinSet::new();
    loop {
        while handshakes.len() >= AT_ONCE || handshakes.try_join_next().is_some() {
            if handshakes.len() >= AT_ONCE {
                handshakes.join_next().await;
            }
        }
        // Waits out errors such as too many open files.
        let (stream, peer) = Listener::accept(&mut listener).await;
        let (acceptor, ready) = (acceptor.clone(), ready.clone());
        handshakes.spawn(async move {
            match timeout(PATIENCE, acceptor.accept(stream)).await {
                // Where nobody takes it, the server has ended.
                Ok(Ok(stream)) => drop(ready.send((stream, peer)).await),
                Ok(Err(error)) => debug!(%peer, %error, "a TLS handshake has failed"),
                Err(_) => debug!(%peer, "a TLS handshake took too long"),
            }
        });
    }
}

fn config(tls: &ServerTls) -> io::Result<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(&tls.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable(&tls.certificate, &error.to_string()))?;
    let key = PrivateKeyDer::from_pem_file(&tls.private_key)
        .map_err(|error| unusable(&tls.private_key, &error.to_string()))?;
    let provider = Arc::new(crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| unusable(&tls.certificate, &error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn unusable(file: &Path, reason: &str) -> io::Error {
    io::Error::other(format!("{} cannot be used: {reason}", file.display()))
}
