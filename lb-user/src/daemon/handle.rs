//! How the API talks to the daemon's loop: requests over a channel, each with a place for its answer.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::stats::Statistics;

/// A question or order to the daemon's loop.
#[derive(Debug)]
pub enum Request {
    /// All statistics.
    Statistics(oneshot::Sender<Statistics>),
    /// A short summary.
    Status(oneshot::Sender<Status>),
}

/// `ballast status`: is it running, on what, and can it serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the daemon.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Since the daemon started.
    pub uptime_seconds: u64,
    /// Engine in use.
    pub dataplane: String,
    /// Interfaces, and how each is attached.
    pub interfaces: Vec<AttachedInterface>,
    /// The stats page, when there is one.
    pub stats: Option<SocketAddr>,
    /// Services that can serve fully, partly, not at all.
    pub services_up: usize,
    /// Services some of whose backends are down.
    pub services_degraded: usize,
    /// Services none of whose backends can take a flow.
    pub services_down: usize,
}

/// An interface that packets are taken from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachedInterface {
    /// Name, as in `ip link`.
    pub name: String,
    /// `xdp` (native), `xdp-generic` or `af-packet`.
    pub mode: String,
    /// Why this mode, when a better one was tried and refused.
    pub why: Option<String>,
}

/// The daemon has stopped.
#[derive(Debug, thiserror::Error)]
#[error("the daemon is stopping")]
pub struct Stopped;

/// A handle on the daemon's loop, cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle(mpsc::Sender<Request>);

impl Handle {
    /// A handle and the receiving end for the daemon's loop.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Request>) {
        let (sender, receiver) = mpsc::channel(16);
        (Self(sender), receiver)
    }

    /// All statistics at this moment.
    pub async fn statistics(&self) -> Result<Statistics, Stopped> {
        self.ask(Request::Statistics).await
    }

    /// A short summary.
    pub async fn status(&self) -> Result<Status, Stopped> {
        self.ask(Request::Status).await
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, Stopped> {
        let (sender, receiver) = oneshot::channel();
        self.0.send(request(sender)).await.map_err(|_| Stopped)?;
        receiver.await.map_err(|_| Stopped)
    }
}
