//! The statistics document: the same for `ballast stats --json`, `/api/v1/stats` and the stats page.

use std::{collections::BTreeMap, net::SocketAddr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::dataplane::Losses;

/// Everything that is counted, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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

impl Statistics {
    /// The backends of all services, each with the name of its service.
    #[must_use]
    pub fn listed_backends(&self) -> Vec<ListedBackend> {
        self.services.iter().flat_map(Service::listed_backends).collect()
    }
}

/// Packets by what became of them; the verdicts add up to `total`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Packets {
    /// Packets seen.
    pub total: u64,
    /// By verdict.
    pub verdicts: Verdicts,
    /// By named reason, for packets that were not forwarded; reasons never counted are listed with 0.
    pub reasons: BTreeMap<String, u64>,
    /// Packets that an engine in userspace lost before it saw them or after it had decided on them. In the kernel the
    /// interfaces count these.
    #[serde(default)]
    pub lost: Losses,
}

/// Packets by verdict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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

impl Verdicts {
    /// Packets sent on to a backend or a client.
    #[must_use]
    pub fn forwarded(&self) -> u64 {
        self.tx + self.redirect
    }
}

/// Flows and traffic of a service or backend.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Counters {
    /// Flows in the flow table now.
    pub flows_active: u64,
    /// Flows ever made.
    pub flows_total: u64,
    /// The most that were in the flow table at once, looked at every second since the daemon started.
    #[serde(default)]
    pub flows_max: u64,
    /// Flows that were made in the last second.
    #[serde(default)]
    pub flows_rate: u64,
    /// The most that were made in any second since the daemon started.
    #[serde(default)]
    pub flows_rate_max: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Bytes from clients, Ethernet headers included.
    pub bytes_in: u64,
    /// Packets to clients.
    pub packets_out: u64,
    /// Bytes to clients, Ethernet headers included.
    pub bytes_out: u64,
    /// Connections that were moved to another backend, since this one did not answer.
    pub retries: u64,
    /// Connections that were refused: RST for a SYN.
    pub refused: u64,
    /// Established connections that a backend reset before either end had closed its side.
    #[serde(default)]
    pub resets: u64,
}

/// A service and its backends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Service {
    /// Name in the configuration.
    pub name: String,
    /// Virtual addresses.
    #[schema(value_type = Vec<String>)]
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

impl Service {
    /// The part of new flows that goes to one of the service's backends, in percent: its weight among those of
    /// the backends that can take a flow and are of its address family.
    #[must_use]
    pub fn share(&self, backend: &Backend) -> f64 {
        if !backend.takes_flows() {
            return 0.0;
        }
        let same_family = |other: &&Backend| other.address.is_ipv4() == backend.address.is_ipv4();
        let rivals = self
            .backends
            .iter()
            .filter(|other| other.takes_flows())
            .filter(same_family);
        let weights: f64 = rivals.map(|rival| f64::from(rival.weight)).sum();
        f64::from(backend.weight) / weights * 100.0
    }

    fn listed_backends(&self) -> impl Iterator<Item = ListedBackend> {
        self.backends.iter().map(|backend| ListedBackend {
            service: self.name.clone(),
            backend: backend.clone(),
        })
    }
}

/// Whether a service can serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ServiceState {
    /// All backends that should take flows can.
    Up,
    /// Some backends are down.
    Degraded,
    /// No backend can take a flow.
    Down,
}

impl ServiceState {
    /// The word for it, as in the document.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }
}

/// A backend of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Backend {
    /// Name in the configuration.
    pub name: String,
    /// Where packets go.
    #[schema(value_type = String)]
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

impl Backend {
    fn takes_flows(&self) -> bool {
        self.state == "up" && self.weight > 0
    }
}

/// A backend outside its service, as `ballast backend list` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListedBackend {
    /// Name of the service it belongs to.
    pub service: String,
    /// The backend.
    #[serde(flatten)]
    pub backend: Backend,
}

/// The last health check of a backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// `ok`, `failed`, `pending` (not yet checked) or `none` (no check configured).
    pub status: String,
    /// What was seen, in words: `HTTP 200`, `connection refused`.
    pub detail: String,
    /// How long it took.
    pub duration_ms: u64,
    /// Time since the backend's state last changed.
    pub changed_seconds_ago: u64,
    /// How often it has changed, since the daemon started.
    #[serde(default)]
    pub transitions: u64,
}

impl Check {
    /// Whether the detail and duration are those of a check that was made.
    #[must_use]
    pub fn has_run(&self) -> bool {
        matches!(self.status.as_str(), "ok" | "failed")
    }
}

#[cfg(test)]
mod tests {
    use crate::stats::sample;

    #[test]
    fn shares_are_of_the_weights_that_take_flows_in_a_family() {
        let service = sample::service();
        let shares: Vec<String> = service
            .backends
            .iter()
            .map(|backend| format!("{:.1}", service.share(backend)))
            .collect();
        assert_eq!(shares, ["33.3", "66.7", "0.0", "0.0", "100.0"]);
    }
}
