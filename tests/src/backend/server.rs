//! The server program: HTTP/1.1 on TCP and an echo on UDP, on the same addresses.

use std::{convert::Infallible, net::SocketAddr};

use anyhow::{Context as _, Result};
use axum::{
    Router,
    body::Body,
    extract::{Query, State},
    http::{HeaderValue, header::CONTENT_LENGTH},
    middleware::map_response,
    response::{IntoResponse, Response},
    routing::{get, put},
};
use futures_util::{StreamExt as _, stream};
use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::{
    net::{TcpListener, UdpSocket},
    task::JoinSet,
};

use super::blob::{Blob, hex};

/// Header that names the backend in every HTTP answer.
pub(crate) const NAME_HEADER: &str = "x-backend";
/// Datagram that is answered with the backend's name instead of itself.
pub(crate) const WHO: &[u8] = b"who";
/// What the program prints once it can be asked.
pub(crate) const READY: &str = "ready";

/// Bytes of datagrams that may wait for the echo, as the kernel counts them: by the memory that each lies in, which generic XDP
/// makes some kilobytes. Linux's default holds fewer than a load has under way.
const WAITING: usize = 4 << 20;

/// Serves until killed; prints `ready` once every address listens.
///
/// `GET /` answers the name, `GET /health` 200, `GET /blob?size=N&seed=S` a [`Blob`], `PUT` or `POST /hash` the
/// SHA-256 of the body. UDP datagrams come back as they are, `who` as the name.
pub async fn serve(name: &'static str, addresses: &[SocketAddr]) -> Result<()> {
    let mut servers = JoinSet::new();
    for &address in addresses {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on TCP {address}"))?;
        let socket = UdpSocket::bind(address)
            .await
            .with_context(|| format!("cannot listen on UDP {address}"))?;
        setsockopt(&socket, RcvBufForce, &WAITING)
            .context("cannot set a receive buffer (this needs root)")?;
        servers.spawn(async move { Ok(axum::serve(listener, router(name)).await?) });
        servers.spawn(echo(name, socket));
    }
    println!("{READY}");
    servers.join_next().await.context("no address to listen on")??
}

fn router(name: &'static str) -> Router {
    Router::new()
        .route("/", get(async |State(name): State<&'static str>| name))
        .route("/health", get(async || "ok"))
        .route("/blob", get(blob))
        .route("/hash", put(hash).post(hash))
        .layer(map_response(move |mut response: Response| async move {
            response
                .headers_mut()
                .insert(NAME_HEADER, HeaderValue::from_static(name));
            response
        }))
        .with_state(name)
}

#[derive(Deserialize)]
struct BlobQuery {
    size: u64,
    seed: u64,
}

async fn blob(Query(BlobQuery { size, seed }): Query<BlobQuery>) -> impl IntoResponse {
    let chunks = Blob::new(size, seed).map(Ok::<_, Infallible>);
    // The length lets the client tell a cut answer from a whole one.
    ([(CONTENT_LENGTH, size)], Body::from_stream(stream::iter(chunks)))
}

async fn hash(body: Body) -> Result<String, String> {
    let mut hasher = Sha256::new();
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        hasher.update(chunk.map_err(|error| format!("the body broke off: {error}"))?);
    }
    Ok(hex(hasher))
}

async fn echo(name: &str, socket: UdpSocket) -> Result<()> {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await?;
        let answer = if &buffer[..length] == WHO {
            name.as_bytes()
        } else {
            &buffer[..length]
        };
        socket.send_to(answer, from).await?;
    }
}
