//! What is asked of the flow table, and what it answers.

use std::{fmt, net::SocketAddr};

use serde::{Deserialize, Serialize};

/// Which flows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// Only those of this service.
    pub service: Option<String>,
    /// [`FlowPage::next`] of the page before; none for the first.
    pub from: Option<u64>,
    /// At most so many, and never more than [`Query::MOST`].
    pub limit: Option<usize>,
}

impl Query {
    /// Flows on one page: a megabyte or two of JSON.
    pub const MOST: usize = 10_000;

    /// How many flows the page may have.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(Self::MOST).min(Self::MOST)
    }
}

/// A part of the flow table. The table goes on changing meanwhile: a flow that is there all the time is on one of
/// the pages, one that comes or goes may be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowPage {
    /// Flows on all pages, as counted for this one.
    pub total: u64,
    /// Those on this page, in no order that means anything.
    pub flows: Vec<Flow>,
    /// Where the next page begins, if there is one.
    pub next: Option<u64>,
}

/// A flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Who began it.
    pub client: SocketAddr,
    /// What it was sent to.
    pub virtual_address: SocketAddr,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Its service; none if the backend is not configured any more.
    pub service: Option<String>,
    /// Its backend's name, or the address of one that is not configured any more.
    pub backend: String,
    /// Where its packets are sent.
    pub backend_address: SocketAddr,
    /// Where they seem to come from: the client itself in all modes but full NAT.
    pub snat_address: SocketAddr,
    /// How its packets reach the backend, in the configuration's word.
    pub mode: String,
    /// How far it has come.
    pub state: FlowState,
    /// Since its last packet, in either direction.
    pub idle_seconds: u64,
}

/// How far a flow has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlowState {
    /// The backend has not answered, or the client has not said anything since.
    HalfOpen,
    /// Both have.
    Established,
    /// One of them has closed its direction.
    Closing,
    /// It is over, and waits for strays.
    Closed,
}

impl FlowState {
    /// The word of command line and API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HalfOpen => "half-open",
            Self::Established => "established",
            Self::Closing => "closing",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for FlowState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
