//! How packets reach a backend, and which backend a new flow gets.

use std::num::NonZeroU16;

/// Forwarding mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Source and destination are both translated: works on any network, replies come back by themselves.
    FullNat,
    /// Only the destination is translated, so that backends see their clients' addresses; their replies must be
    /// routed through the balancer.
    Nat,
    /// Only the MAC address is written: backends have the service's address themselves, stand in the balancer's
    /// network, and answer their clients directly.
    Dsr,
    /// The packet travels inside another to the backend, which has the service's address and answers directly.
    Tunnel(Encapsulation),
}

impl Mode {
    /// All of them, the tunnel with the encapsulation that it has by default.
    pub const ALL: &[Self] = &[
        Self::FullNat,
        Self::Nat,
        Self::Dsr,
        Self::Tunnel(Encapsulation::Ipip),
    ];

    /// The configuration's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FullNat => "full-nat",
            Self::Nat => "nat",
            Self::Dsr => "dsr",
            Self::Tunnel(_) => "tunnel",
        }
    }

    /// Whether destination ports are translated. Where not, every backend has the port of every bind it serves.
    #[must_use]
    pub fn translates_ports(self) -> bool {
        match self {
            Self::FullNat | Self::Nat => true,
            Self::Dsr | Self::Tunnel(_) => false,
        }
    }

    /// Whether a backend's answers pass the balancer, so that it sees which connections were accepted.
    #[must_use]
    pub fn sees_answers(self) -> bool {
        match self {
            Self::FullNat | Self::Nat => true,
            Self::Dsr | Self::Tunnel(_) => false,
        }
    }

    /// Whether a bind of one family may be served by a backend of the other: what is routed is the outer packet.
    #[must_use]
    pub fn joins_families(self) -> bool {
        match self {
            Self::FullNat | Self::Nat | Self::Dsr => false,
            Self::Tunnel(_) => true,
        }
    }
}

/// What a tunnel wraps packets in. The outer header has the backend's family, the inner one the client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encapsulation {
    /// An IP header alone: v4 in v4 (RFC 2003), v6 in v6 (RFC 2473), v6 in v4 (RFC 4213) and v4 in v6 (RFC 2473).
    Ipip,
    /// An IP and a UDP header: Generic UDP Encapsulation (draft-ietf-intarea-gue).
    Gue {
        /// Destination port of the UDP header; default 6080, which IANA gave to GUE.
        port: NonZeroU16,
    },
}

impl Encapsulation {
    /// The configuration's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ipip => "ipip",
            Self::Gue { .. } => "gue",
        }
    }
}

/// How a new flow's backend is chosen. All of them heed weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheduler {
    /// Maglev consistent hashing of addresses and ports.
    Maglev,
    /// The same of the client's address only: all connections of a client meet one backend.
    Source,
    /// One after the other, heavier ones more often, without runs (smooth).
    RoundRobin,
    /// The one with the fewest active flows for its weight.
    LeastConn,
}

impl Scheduler {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Maglev, Self::Source, Self::RoundRobin, Self::LeastConn];

    /// The configuration's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Maglev => "maglev",
            Self::Source => "source",
            Self::RoundRobin => "round-robin",
            Self::LeastConn => "least-conn",
        }
    }
}

/// What becomes of the flows of a backend that goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnDown {
    /// A TCP client gets a reset at its next packet; a UDP flow moves to another backend.
    Reset,
    /// They stay, for the backend may only be slow to answer checks.
    Keep,
}

impl OnDown {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Reset, Self::Keep];

    /// The configuration's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Keep => "keep",
        }
    }
}

/// When the balancer answers SYNs itself, with cookies, before a backend hears of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SynCookies {
    /// While many of the service's flows are half-open.
    Auto,
    /// Each of them.
    Always,
    /// None.
    Never,
}

impl SynCookies {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Auto, Self::Always, Self::Never];

    /// The configuration's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
        }
    }
}
