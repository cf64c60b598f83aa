//! What is asked of the flow table, and what it answers.

use std::{fmt, net::SocketAddr, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which flows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FlowPage {
    /// Flows on all pages, as counted for this one.
    pub total: u64,
    /// Those on this page, in no order that means anything.
    pub flows: Vec<Flow>,
    /// Where the next page begins, if there is one.
    pub next: Option<u64>,
}

/// A flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Flow {
    /// What `ballast flow kill` knows it by.
    #[schema(value_type = String)]
    pub id: FlowId,
    /// Who began it.
    #[schema(value_type = String)]
    pub client: SocketAddr,
    /// What it was sent to.
    #[schema(value_type = String)]
    pub virtual_address: SocketAddr,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Its service; none if the backend is not configured any more.
    pub service: Option<String>,
    /// Its backend's name, or the address of one that is not configured any more.
    pub backend: String,
    /// Where its packets are sent.
    #[schema(value_type = String)]
    pub backend_address: SocketAddr,
    /// Where they seem to come from: the client itself in all modes but full NAT.
    #[schema(value_type = String)]
    pub snat_address: SocketAddr,
    /// How its packets reach the backend, in the configuration's word.
    pub mode: String,
    /// How far it has come.
    pub state: FlowState,
    /// Since its last packet, in either direction.
    pub idle_seconds: u64,
}

/// Where in the flow table a flow stands, and which of the flows that stand there one after the other it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct FlowId {
    /// The client's entry, counted over both families' tables.
    pub position: u64,
    /// The entry's generation.
    pub generation: u32,
}

impl fmt::Display for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.position, self.generation)
    }
}

impl FromStr for FlowId {
    type Err = NoFlowId;

    fn from_str(text: &str) -> Result<Self, NoFlowId> {
        let parsed = text.split_once('-').and_then(|(position, generation)| {
            Some(Self {
                position: u64::from_str_radix(position, 16).ok()?,
                generation: u32::from_str_radix(generation, 16).ok()?,
            })
        });
        parsed.ok_or_else(|| NoFlowId(text.to_owned()))
    }
}

impl From<FlowId> for String {
    fn from(id: FlowId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for FlowId {
    type Error = NoFlowId;

    fn try_from(text: String) -> Result<Self, NoFlowId> {
        text.parse()
    }
}

/// What should name a flow does not.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a flow's id; `ballast flow list` shows them, such as 3f2a-1")]
pub struct NoFlowId(String);

/// A flow that was ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Killed {
    /// The flow as it was.
    pub flow: Flow,
    /// Whether its client was sent a reset.
    pub client_reset: bool,
    /// Whether its backend was; if not, it hears of the end when it next speaks.
    pub backend_reset: bool,
}

/// How far a flow has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
