//! The configuration after parsing: types that cannot hold a wrong value.
//!
//! `config::parse` is the only way to make a [`Config`]; whatever one of these types cannot express, no other
//! part of the daemon has to check for.

use std::{
    collections::BTreeSet,
    fmt,
    net::{IpAddr, SocketAddr},
    num::NonZeroU16,
    path::PathBuf,
    time::Duration,
};

/// A whole configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `[global]`.
    pub global: Global,
    /// `[stats]`; absent when the file has no such table: then nothing listens on TCP.
    pub stats: Option<Stats>,
    /// `[[service]]`, in the order of the file, never empty.
    pub services: Vec<Service>,
}

/// Settings of the daemon as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Global {
    /// Where service traffic arrives and leaves. Never empty in a configuration that `run` accepts.
    pub interfaces: Vec<String>,
    /// Which engine forwards packets.
    pub dataplane: DataplaneChoice,
    /// Source addresses for full NAT. Empty: the primary address towards each backend.
    pub snat_addresses: Vec<IpAddr>,
    /// First and last source port of the full-NAT pool, inclusive.
    pub snat_ports: (NonZeroU16, NonZeroU16),
    /// Flows that the flow table is sized for, per address family.
    pub max_flows: u32,
    /// Where state that outlives the daemon is kept.
    pub state_dir: PathBuf,
    /// The control socket.
    pub socket: PathBuf,
}

/// Which engine forwards packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataplaneChoice {
    /// The best that works on each interface.
    Auto,
    /// Native XDP only.
    Xdp,
    /// Generic (skb) XDP only.
    XdpGeneric,
    /// AF_PACKET in userspace only.
    AfPacket,
}

/// The stats page and API address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// Where it listens. Beyond loopback only with `users`.
    pub bind: SocketAddr,
    /// Path of the page, starting with `/`.
    pub uri: String,
    /// Leave the version out of the page.
    pub hide_version: bool,
    /// Realm of the HTTP authentication.
    pub realm: String,
}

/// A virtual service: addresses that clients connect to, and the backends behind them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Unique name.
    pub name: Name,
    /// Virtual addresses, never empty, unique over all services of the same protocol.
    pub bind: BTreeSet<SocketAddr>,
    /// Transport protocol.
    pub protocol: Protocol,
    /// How packets reach the backends.
    pub mode: Mode,
    /// How a new flow's backend is chosen.
    pub scheduler: Scheduler,
    /// How long a flow may be quiet before its entry may go.
    pub idle_timeout: Duration,
    /// Slots of the choice table; a prime.
    pub table_size: u32,
    /// Health check of the backends.
    pub check: Check,
    /// Backends, never empty, names unique within the service.
    pub backends: Vec<Backend>,
}

/// A server behind a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Unique name within the service.
    pub name: Name,
    /// Where packets go.
    pub address: SocketAddr,
    /// Share of new flows relative to the other backends, 0..=256; 0 takes no new flows.
    pub weight: u16,
}

/// A name of a service or backend: 1 to 64 of `A-Z a-z 0-9 . _ -`, so that it fits paths, labels and
/// `SERVICE/BACKEND` arguments.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(pub(super) String);

impl Name {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Transport protocol of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// The configuration's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// Forwarding mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Source and destination are both translated: works on any network, replies come back by themselves.
    FullNat,
}

impl Mode {
    /// The configuration's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FullNat => "full-nat",
        }
    }
}

/// How a new flow's backend is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheduler {
    /// Maglev consistent hashing of the 5-tuple, weighted.
    Maglev,
}

impl Scheduler {
    /// The configuration's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Maglev => "maglev",
        }
    }
}

/// Health check of a service's backends, in HAProxy's words.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Check {
    /// What is asked.
    pub kind: CheckKind,
    /// Time between two checks of one backend.
    pub inter: Duration,
    /// Consecutive successes that bring a backend up, at least 1.
    pub rise: u32,
    /// Consecutive failures that take it down, at least 1.
    pub fall: u32,
    /// How long one check may take in all.
    pub timeout: Duration,
    /// Port to check instead of the backend's own.
    pub port: Option<NonZeroU16>,
}

/// What a health check asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CheckKind {
    /// No check: the backend counts as up.
    None,
    /// A TCP connection is accepted.
    Tcp,
    /// An HTTP request is answered with a status in range.
    Http(HttpCheck),
}

/// An HTTP health check. The answer may be as bare as `HTTP/1.1 200 OK\r\n` and a closed connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HttpCheck {
    /// Request method, default `GET`.
    pub method: String,
    /// Request target, default `/`.
    pub target: String,
    /// Header lines (name, value) besides what the request needs; `Host` may be among them.
    pub headers: Vec<(String, String)>,
    /// Lowest and highest status that counts as success, default 200..=399.
    pub status: (u16, u16),
}
