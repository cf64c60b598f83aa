//! The configuration after parsing: types that cannot hold a wrong value.
//!
//! `config::parse` is the only way to make a [`Config`]; whatever one of these types cannot express, no other
//! part of the daemon has to check for.

mod check;
mod forwarding;
mod sources;
mod stats;

use std::{
    collections::BTreeSet,
    fmt,
    net::{IpAddr, SocketAddr},
    num::{NonZeroU16, NonZeroU32},
    path::PathBuf,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use check::{
    AgentCheck, Check, CheckKind, CheckSource, Exchange, ExecCheck, Flaps, Health, HttpCheck, HttpVersion,
    Login, MysqlCheck, MysqlConditions, MysqlRole, Observe, OnError, Secret, StarrocksCheck, StarrocksRole,
    Tls,
};
pub use forwarding::{Encapsulation, Mode, OnDown, Scheduler, SynCookies};
pub use sources::{Access, SourceLimits, SourceRules};
pub use stats::{Role, ServerTls, Stats, User};

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
    /// Which engine forwards packets; default `auto`.
    pub dataplane: DataplaneChoice,
    /// Source addresses for full NAT. Empty: the primary address towards each backend.
    pub snat_addresses: Vec<IpAddr>,
    /// First and last source port of the full-NAT pool, inclusive; default 1024 to 32767.
    pub snat_ports: (NonZeroU16, NonZeroU16),
    /// Flows that the flow table is sized for, per address family; default 262144.
    pub max_flows: u32,
    /// Whether pings of virtual addresses are answered; default yes.
    pub icmp_echo: bool,
    /// Who may reach the services at all; each service may refuse more.
    pub sources: SourceRules,
    /// Where state that outlives the daemon is kept; default `/var/lib/ballast`.
    pub state_dir: PathBuf,
    /// The control socket; default `/run/ballast/ballast.sock`.
    pub socket: PathBuf,
    /// Number of the group whose members may use the control socket, beside root; absent: the daemon's own group.
    pub socket_group: Option<u32>,
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
    /// `AF_PACKET` in userspace only.
    AfPacket,
}

impl DataplaneChoice {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Auto, Self::Xdp, Self::XdpGeneric, Self::AfPacket];

    /// The configuration's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Xdp => "xdp",
            Self::XdpGeneric => "xdp-generic",
            Self::AfPacket => "af-packet",
        }
    }
}

/// A virtual service: addresses that clients connect to, and the backends behind them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Unique name.
    pub name: Name,
    /// Virtual addresses, never empty, unique over all services of the same protocol. Each is served by the
    /// backends of its own family (in a tunnel by all), and there is at least one.
    pub bind: BTreeSet<SocketAddr>,
    /// Transport protocol; default TCP.
    pub protocol: Protocol,
    /// How packets reach the backends; default full NAT.
    pub mode: Mode,
    /// How a new flow's backend is chosen; default Maglev.
    pub scheduler: Scheduler,
    /// How long a flow may be quiet before its entry may go; default three hours for TCP, a minute for UDP.
    pub idle_timeout: Duration,
    /// How long a flow may be quiet that has not opened; no longer than `idle_timeout`; default 20 seconds, or
    /// `idle_timeout` where that is shorter.
    pub connect_timeout: Duration,
    /// How long a closed TCP flow keeps its entry for strays; default a minute, or `idle_timeout` where that is
    /// shorter.
    pub close_timeout: Duration,
    /// How long flows may stay with a backend that is drained; absent: until they end.
    pub drain_timeout: Option<Duration>,
    /// Flows at the same time, over all backends; absent: no limit.
    pub maxconn: Option<NonZeroU32>,
    /// What becomes of the flows of a backend that goes down; default reset.
    pub on_down: OnDown,
    /// How often an unanswered SYN is sent to another backend, 0..=7; default 3 for TCP where answers pass the
    /// balancer, else always 0.
    pub retries: u8,
    /// Whether a backend's refusal (RST for a SYN) is kept from the client, so that its retry lands elsewhere;
    /// default no, and never without `retries`.
    pub hide_refused: bool,
    /// When SYNs are answered with cookies; default when many flows are half-open, and never for UDP and where answers
    /// are not seen.
    pub syn_cookies: SynCookies,
    /// Whether clients' packets are refused whose TCP, UDP or IPv4 checksum is wrong; default no.
    pub verify_checksums: bool,
    /// Who may open flows, of those whom `Global::sources` lets.
    pub sources: SourceRules,
    /// What one source address may take.
    pub limits: SourceLimits,
    /// Slots of the choice table; a prime up to 65537 and no less than the backends. The default grows with them,
    /// see [`Service::default_table_size`].
    pub table_size: u32,
    /// Whether all backups come in together, or else only the first one that is up; default yes.
    pub allbackups: bool,
    /// Backends, never empty, names and addresses unique within the service.
    pub backends: Vec<Backend>,
}

impl Service {
    /// Sizes of choice tables: primes near powers of two. So far apart that a backend more or less seldom gives its
    /// service another size, with which most new flows would go to another backend than before.
    const TABLE_SIZES: [u32; 5] = [4093, 8191, 16_381, 32_749, 65_537];

    /// Slots for so many backends: 100 for each or more, as long as there are such tables. That keeps each backend's
    /// share of new flows within 2 % of an equal one of what its weight says (Eisenbud et al., NSDI 2016, section 5.3).
    #[must_use]
    pub fn default_table_size(backends: usize) -> u32 {
        let [.., largest] = Self::TABLE_SIZES;
        let wanted = u32::try_from(backends).unwrap_or(u32::MAX).saturating_mul(100);
        let mut sizes = Self::TABLE_SIZES.into_iter();
        sizes.find(|size| *size >= wanted).unwrap_or(largest)
    }
}

/// A server behind a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Unique name within the service.
    pub name: Name,
    /// Where packets go; no bind address of the service. Has the port of every bind that it serves where the mode
    /// does not translate ports.
    pub address: SocketAddr,
    /// Share of new flows relative to the other backends, 0..=256; 0 takes no new flows; default 100.
    pub weight: u16,
    /// Flows at the same time; absent: no limit.
    pub maxconn: Option<NonZeroU32>,
    /// Takes new flows only while all backends that are not backups are down or drained; default no.
    pub backup: bool,
    /// An operator's word on whether it takes flows; default ready.
    pub state: Admin,
    /// How long a backend that comes up takes to grow to its weight; zero: no time.
    pub slowstart: Duration,
    /// Where its health comes from; by default a TCP connection for TCP, nowhere for UDP.
    pub health: Health,
}

impl Backend {
    /// Whether it takes no new flows, and may lose those it has after a time, whatever its checks say.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.weight == 0 || self.state != Admin::Ready
    }
}

/// An operator's word on whether a backend takes flows, with the words of `HAProxy`'s `set server`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Admin {
    /// It does, as long as its checks are good.
    Ready,
    /// It takes no new flows, and goes on being checked.
    Drain,
    /// It takes no new flows and is not checked.
    Maint,
}

impl Admin {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Ready, Self::Drain, Self::Maint];

    /// The configuration's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Maint => "maint",
        }
    }
}

impl fmt::Display for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name of a service or backend: 1 to 64 of `A-Z a-z 0-9 . _ -`, beginning with a letter or digit, so that it
/// fits paths, labels and `SERVICE/BACKEND` arguments.
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
    /// All of them.
    pub const ALL: &[Self] = &[Self::Tcp, Self::Udp];

    /// The configuration's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}
