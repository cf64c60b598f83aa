//! Health checks, in `HAProxy`'s words: every `inter` a backend is asked, `rise` consecutive successes bring it
//! up, `fall` consecutive failures take it down.
//!
//! [`Monitor`] runs the checks and reports every result. A backend is pending until its first result, which
//! decides at once: a balancer that starts must neither send clients to dead backends for `fall` rounds nor
//! refuse them for `rise` rounds.

use std::{
    borrow::Cow,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::config::types::Check;

mod http;
mod monitor;
mod probe;
mod rise_fall;
mod schedule;
mod tcp;
#[cfg(test)]
mod tests;

pub use monitor::Monitor;
pub use rise_fall::State;

/// A backend to check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The caller's number for the backend; comes back in its events.
    pub id: u32,
    /// Where the backend serves; `check.port` replaces the port.
    pub address: SocketAddr,
    /// How it is checked, as all backends of its service are.
    pub check: Arc<Check>,
    /// What it was when another daemon last checked it: that takes as many results to change as ever. `None`: the first
    /// result leads at once.
    pub known: Option<State>,
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
    /// From the first packet to the verdict.
    pub duration: Duration,
    /// When the verdict fell.
    pub at: Instant,
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
