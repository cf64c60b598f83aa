//! How the API talks to the daemon's loop: requests over a channel, each with a place for its answer.

use std::{io, net::SocketAddr};

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use utoipa::ToSchema;

use super::{Applied, ConfigureError, Order, WatchError};
use crate::{
    control::{Found, LookUp, LookUpError},
    flows::{FlowId, FlowPage, KillError, Killed, Query},
    runtime::{Entry, RuntimeError},
    stats::Statistics,
    trace::{Watch, Watched},
};

/// A question or order to the daemon's loop.
#[derive(Debug)]
pub enum Request {
    /// All statistics.
    Statistics(oneshot::Sender<Statistics>),
    /// A short summary.
    Status(oneshot::Sender<Status>),
    /// A part of the flow table.
    Flows(Query, oneshot::Sender<Result<FlowPage, FlowsError>>),
    /// The end of a flow.
    Kill(FlowId, oneshot::Sender<Result<Killed, KillError>>),
    /// Where a flow would go.
    LookUp(LookUp, oneshot::Sender<Result<Found, LookUpError>>),
    /// A change of the configuration, by somebody.
    Configure(Order, String, oneshot::Sender<Result<Applied, ConfigureError>>),
    /// What saving would change in the file.
    Difference(oneshot::Sender<Result<String, RuntimeError>>),
    /// The last so many changes.
    Journal(usize, oneshot::Sender<io::Result<Vec<Entry>>>),
    /// Packets to be watched by somebody.
    Watch(Watch, String, oneshot::Sender<Result<Watched, WatchError>>),
    /// The end of the daemon.
    Stop(Ending, oneshot::Sender<Result<Stopping, CannotKeep>>),
}

/// What becomes of the packet path when the daemon stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It is detached, and its flows are interrupted.
    Detach,
    /// It goes on forwarding, for the next daemon to adopt.
    Keep,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stopping {
    /// Whether it goes on forwarding.
    pub keeps: bool,
    /// The interfaces that it was detached from, or goes on forwarding on.
    pub interfaces: Vec<String>,
}

/// The packet path cannot go on forwarding without its daemon, which goes on.
#[derive(Debug, thiserror::Error)]
#[error(
    "with dataplane {0} packets are forwarded by the daemon itself: it cannot stop and leave them; `ballast stop` without \
     --keep ends both"
)]
pub struct CannotKeep(pub &'static str);

/// The flow table cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum FlowsError {
    /// There is no such service.
    #[error("there is no service `{0}`; `ballast stats` lists those there are")]
    NoService(String),
    /// The engine has no clock to tell the flows' ages by.
    #[error("cannot read the flow table's clock: {0}")]
    Clock(String),
}

/// `ballast status`: is it running, on what, and can it serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    #[schema(value_type = Option<String>)]
    pub stats: Option<SocketAddr>,
    /// Services that can serve fully, partly, not at all.
    pub services_up: usize,
    /// Services some of whose backends are down.
    pub services_degraded: usize,
    /// Services none of whose backends can take a flow.
    pub services_down: usize,
}

/// An interface that packets are taken from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttachedInterface {
    /// Name, as in `ip link`.
    pub name: String,
    /// `xdp` (native), `xdp-generic` or `af-packet`.
    pub mode: String,
    /// Whether the packet path is attached to it. It is not any more where the interface was removed, even if there is
    /// another one of its name.
    pub attached: bool,
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

    /// A part of the flow table.
    pub async fn flows(&self, query: Query) -> Result<Result<FlowPage, FlowsError>, Stopped> {
        self.ask(|answer| Request::Flows(query, answer)).await
    }

    /// Ends a flow.
    pub async fn kill(&self, flow: FlowId) -> Result<Result<Killed, KillError>, Stopped> {
        self.ask(|answer| Request::Kill(flow, answer)).await
    }

    /// Which backend a flow would go to, and why.
    pub async fn look_up(&self, flow: LookUp) -> Result<Result<Found, LookUpError>, Stopped> {
        self.ask(|answer| Request::LookUp(flow, answer)).await
    }

    /// Changes the configuration, in the name of whoever gave the order.
    pub async fn configure(
        &self,
        order: Order,
        who: String,
    ) -> Result<Result<Applied, ConfigureError>, Stopped> {
        self.ask(|answer| Request::Configure(order, who, answer)).await
    }

    /// What saving would change in the file, in the form of `diff -u`.
    pub async fn difference(&self) -> Result<Result<String, RuntimeError>, Stopped> {
        self.ask(Request::Difference).await
    }

    /// The last so many entries of the journal.
    pub async fn journal(&self, count: usize) -> Result<io::Result<Vec<Entry>>, Stopped> {
        self.ask(|answer| Request::Journal(count, answer)).await
    }

    /// Watches packets for as long as what is answered is there, in the name of whoever asks.
    pub async fn watch(&self, watch: Watch, who: String) -> Result<Result<Watched, WatchError>, Stopped> {
        self.ask(|answer| Request::Watch(watch, who, answer)).await
    }

    /// Stops the daemon; answered when the packet path is where it shall be, just before the daemon ends.
    pub async fn stop(&self, ending: Ending) -> Result<Result<Stopping, CannotKeep>, Stopped> {
        self.ask(|answer| Request::Stop(ending, answer)).await
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, Stopped> {
        let (sender, receiver) = oneshot::channel();
        self.0.send(request(sender)).await.map_err(|_| Stopped)?;
        receiver.await.map_err(|_| Stopped)
    }
}
