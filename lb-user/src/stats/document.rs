//! The statistics document: the same for `ballast stats --json`, `/api/v1/stats` and the stats page.

use std::{collections::BTreeMap, net::SocketAddr};

use serde::{Deserialize, Serialize};

/// Everything that is counted, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics {
    /// Version of the daemon.
    pub version: String,
    /// Engine in use: `xdp`, `xdp-generic` or `af-packet`.
    pub dataplane: String,
    /// Since the daemon started.
    pub uptime_seconds: u64,
    /// Packets seen on all interfaces.
    pub packets: Packets,
    /// In the order of the configuration.
    pub services: Vec<Service>,
}

/// Packets by what became of them; the verdicts add up to `total`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packets {
    /// Packets seen.
    pub total: u64,
    /// By verdict.
    pub verdicts: Verdicts,
    /// By named reason, for packets that were not forwarded; reasons never counted are listed with 0.
    pub reasons: BTreeMap<String, u64>,
}

/// Packets by verdict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdicts {
    /// Handed to the host's own stack.
    pub pass: u64,
    /// Sent back out of the interface they came in by.
    pub tx: u64,
    /// Sent out of another interface.
    pub redirect: u64,
    /// Dropped, each for a named reason.
    pub drop: u64,
}

/// Flows and traffic of a service or backend.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Flows in the flow table now.
    pub flows_active: u64,
    /// Flows ever made.
    pub flows_total: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Bytes from clients, Ethernet headers included.
    pub bytes_in: u64,
    /// Packets to clients.
    pub packets_out: u64,
    /// Bytes to clients, Ethernet headers included.
    pub bytes_out: u64,
}

/// A service and its backends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Name in the configuration.
    pub name: String,
    /// Virtual addresses.
    pub bind: Vec<SocketAddr>,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Forwarding mode.
    pub mode: String,
    /// Scheduler.
    pub scheduler: String,
    /// Whether it can serve.
    pub state: ServiceState,
    /// Sums over its backends.
    #[serde(flatten)]
    pub counters: Counters,
    /// In the order of the configuration.
    pub backends: Vec<Backend>,
}

/// Whether a service can serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceState {
    /// All backends that should take flows can.
    Up,
    /// Some backends are down.
    Degraded,
    /// No backend can take a flow.
    Down,
}

/// A backend of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// Name in the configuration.
    pub name: String,
    /// Where packets go.
    pub address: SocketAddr,
    /// `up`, `down`, `drain` or `maint`.
    pub state: String,
    /// Share of new flows.
    pub weight: u16,
    /// Its traffic.
    #[serde(flatten)]
    pub counters: Counters,
    /// The last health check.
    pub check: Check,
}

/// The last health check of a backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// `ok`, `failed`, `pending` (not yet checked) or `none` (no check configured).
    pub status: String,
    /// What was seen, in words: `HTTP 200`, `connection refused`.
    pub detail: String,
    /// How long it took.
    pub duration_ms: u64,
    /// Time since the backend's state last changed.
    pub changed_seconds_ago: u64,
}
