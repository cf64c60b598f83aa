//! Health checks, in `HAProxy`'s words: every `inter` a backend is asked, `rise` consecutive successes bring it
//! up, `fall` consecutive failures take it down.
//!
//! [`Monitor`] runs the checks and reports every result. A backend is pending until its first result, which
//! decides at once: a balancer that starts must neither send clients to dead backends for `fall` rounds nor
//! refuse them for `rise` rounds.
//!
//! Each type of check is a module. What a peer sends is bounded before it is read, and understood by functions of
//! bytes alone, which the fuzz targets call.

use std::{
    borrow::Cow,
    fmt,
    net::SocketAddr,
    num::NonZeroU16,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::config::types::Check;

pub mod agent;
mod exec;
mod flaps;
pub mod http;
mod monitor;
pub mod mysql;
mod pace;
mod probe;
mod rise_fall;
mod schedule;
mod secret;
pub mod starrocks;
mod tcp;
#[cfg(test)]
mod tests;
mod tls;
mod udp;
pub mod vip;

pub use monitor::Monitor;
pub use rise_fall::State;
pub use vip::Vip;

/// A backend to check.
#[derive(Debug, Clone)]
pub struct Target {
    /// The caller's number for the backend; comes back in its events.
    pub id: u32,
    /// Where the backend serves; `check.address` and `check.port` replace its parts.
    pub address: SocketAddr,
    /// How it is checked.
    pub check: Arc<Check>,
    /// What it was when another daemon last checked it: that takes as many results to change as ever. `None`: the first
    /// result leads at once.
    pub known: Option<State>,
    /// The service's own addresses, where they are checked too.
    pub vip: Option<Arc<Vip>>,
}

impl Target {
    /// Where it is checked.
    fn checked_address(&self) -> SocketAddr {
        let Check { address, port, .. } = &*self.check;
        let ip = address.unwrap_or(self.address.ip());
        SocketAddr::new(ip, port.map_or(self.address.port(), NonZeroU16::get))
    }

    /// Whether another is checked just so.
    fn is_checked_like(&self, other: &Self) -> bool {
        let vip = |target: &Self| target.vip.as_ref().map(Arc::as_ptr);
        self.address == other.address && self.check == other.check && vip(self) == vip(other)
    }
}

/// A finished check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// [`Target::id`].
    pub id: u32,
    /// What the check saw.
    pub report: Report,
    /// The backend's state, this result included.
    pub state: State,
    /// Whether this result changed the state; so does the first one.
    pub changed: bool,
}

/// What one check saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Success or failure.
    pub outcome: Outcome,
    /// The reason in words: `HTTP 200`, `connection refused`, `no answer within 2s`.
    pub detail: Cow<'static, str>,
    /// What is wrong beside the outcome, such as a cluster that is about to lose its majority.
    pub warning: Option<Box<str>>,
    /// What an agent asks for.
    pub orders: Orders,
    /// From the first packet to the verdict.
    pub duration: Duration,
    /// When the verdict fell.
    pub at: Instant,
}

/// What an agent on a backend's host asks for; what it does not name stays as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Orders {
    /// Whether the backend takes flows.
    pub duty: Option<Duty>,
    /// Its weight, in percent of the configured one.
    pub percent: Option<u16>,
}

/// Whether a backend that is up takes flows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Duty {
    /// It does.
    #[default]
    Ready,
    /// It keeps the flows that it has.
    Drain,
    /// It is being worked on, and counts as down whatever its checks say.
    Maint,
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Maint => "maint",
        })
    }
}

/// Success or failure of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The backend answered as it should.
    Ok,
    /// It did not.
    Failed,
}

/// What an HTTP check makes of a backend's answer, for the fuzzer.
#[cfg(feature = "fuzzing")]
#[must_use]
pub fn read_check_reply(reply: &[u8]) -> String {
    match http::Answer::parse(reply) {
        http::Answer::Status(status) => status.to_string(),
        http::Answer::Nothing => String::new(),
        http::Answer::Garbage(shown) => shown,
    }
}
