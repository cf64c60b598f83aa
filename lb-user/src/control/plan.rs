//! Which row of which table each part of a configuration has.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use lb_common::{
    Port,
    layout::{MAX_BACKENDS, Retries, Span},
    manner::{Forwarding, Manner},
};

use super::{inheritance::Inheritance, layout::Layout};
use crate::{
    config::{
        Config,
        types::{
            self, Encapsulation, Health, Mode, OnDown, Protocol, Scheduler, Service, SourceLimits,
            SourceRules,
        },
    },
    dataplane::Capacity,
    health::Vip,
};

/// A configuration laid out over the tables.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Services, once per address family; once for both where backends of either serve both.
    pub(super) pools: Vec<Pool>,
    /// Row by row of the backend table; none where the row is free, or kept for flows of a backend that has gone.
    pub(super) backends: Vec<Option<Backend>>,
    /// By service and backend as they stand in the configuration, the backend's row.
    pub(super) rows: Vec<Vec<u32>>,
    /// Configured source addresses, those of each family behind a first row.
    pub(super) sources: Vec<(u32, Vec<IpAddr>)>,
    /// Lists of networks.
    pub(super) lists: Vec<List>,
    /// Rows of the list of those who may open flows to no service.
    pub(super) denied: Span,
    /// First and last source port of full NAT.
    pub(super) ports: (u16, u16),
    /// By row, whether new flows went to the backend before.
    pub(super) was_chosen: Vec<bool>,
}

/// A list of networks in its rows.
#[derive(Debug)]
pub(super) struct List {
    /// The rows.
    pub(super) rows: Span,
    /// What stands there: see [`super::borders`].
    pub(super) borders: Vec<u128>,
}

/// The part of a service that one address family has, or all of it where families are joined: virtual addresses, and the backends behind them.
#[derive(Debug)]
pub(super) struct Pool {
    /// Name of the service, for the log.
    pub(super) service: String,
    /// Virtual addresses.
    pub(super) binds: Vec<SocketAddr>,
    /// Transport protocol.
    pub(super) protocol: Protocol,
    /// How packets reach its backends.
    pub(super) mode: Mode,
    /// Row in the service table.
    pub(super) row: u16,
    /// First slot in the choice table.
    pub(super) first_slot: u32,
    /// Slots in the choice table.
    pub(super) table_size: u32,
    /// How a backend is chosen.
    pub(super) scheduler: Scheduler,
    /// Flows at the same time; absent: no limit.
    pub(super) maxconn: Option<NonZeroU32>,
    /// Whether all backups come in together, or else the first one.
    pub(super) allbackups: bool,
    /// Rows of the list of those who may not open flows to it.
    pub(super) denied: Span,
    /// What one source may take.
    pub(super) limits: SourceLimits,
    /// How many of its flows are half-open when SYNs are answered with cookies; absent: they never are.
    pub(super) cookies_from: Option<u32>,
    /// Whether clients' packets with wrong checksums are refused.
    pub(super) verifies: bool,
    /// Rows of its backends.
    pub(super) backends: Vec<u32>,
}

/// A backend as a row of the table.
#[derive(Debug)]
pub(super) struct Backend {
    /// `SERVICE/BACKEND`, for the log.
    pub(super) name: String,
    /// Where packets go.
    pub(super) address: SocketAddr,
    /// Share of new flows.
    pub(super) weight: u16,
    /// Flows at the same time; absent: no limit.
    pub(super) maxconn: Option<NonZeroU32>,
    /// Takes new flows only where no other backend does.
    pub(super) backup: bool,
    /// Takes no new flows, whatever its checks say.
    pub(super) drained: bool,
    /// How long it takes to grow to its weight when it comes up; zero: no time.
    pub(super) slowstart: Duration,
    /// What the choice table knows it by.
    pub(super) identity: u64,
    /// How long its flows live.
    pub(super) life: Life,
    /// What becomes of connections that it does not take.
    pub(super) retries: Retries,
    /// Which of the pools it is in.
    pub(super) pool: usize,
    /// Rows of its source addresses; one of its own where none are configured.
    pub(super) sources: Span,
    /// Whether that row is its own, to be filled when its next hop is known.
    pub(super) has_own_source: bool,
}

impl Backend {
    /// What it is remembered by: the same name may be another server's tomorrow.
    pub(super) fn known_as(&self) -> String {
        format!("{} {}", self.name, self.address)
    }
}

impl Pool {
    /// What is done to packets for its backends.
    pub(super) fn forwarding(&self) -> Forwarding {
        match self.mode {
            Mode::FullNat | Mode::Nat => Forwarding::Translate,
            Mode::Dsr => Forwarding::Direct,
            Mode::Tunnel(_) => Forwarding::Encapsulate,
        }
    }

    /// How packets reach one of its backends, as the packet path knows it.
    pub(super) fn manner(&self, backend: SocketAddr) -> Manner {
        match self.mode {
            Mode::FullNat => Manner::FULL_NAT,
            Mode::Nat => Manner::NAT,
            Mode::Dsr => Manner::DSR,
            Mode::Tunnel(Encapsulation::Ipip) => Manner::tunnel(backend.is_ipv6(), None),
            Mode::Tunnel(Encapsulation::Gue { port }) => {
                Manner::tunnel(backend.is_ipv6(), Some(Port::new(port.get())))
            }
        }
    }
}

/// How many half-open flows are many: one in 64 of what the flow table is sized for, so that a flood of one service
/// leaves all others their room.
pub(super) fn many_half_open(max_flows: u32) -> u32 {
    (max_flows / 64).max(1)
}

/// Which of a service's virtual addresses and backends belong together, as one pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Those of IPv4.
    V4,
    /// Those of IPv6.
    V6,
    /// All of them.
    Whole,
}

impl Part {
    /// The parts of a service.
    pub(super) fn of(service: &Service) -> &'static [Self] {
        if service.mode.joins_families() {
            &[Self::Whole]
        } else {
            &[Self::V4, Self::V6]
        }
    }

    /// Whether an address belongs to it.
    pub(super) fn has(self, address: SocketAddr) -> bool {
        match self {
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
            Self::Whole => true,
        }
    }
}

/// How long flows to a backend live, as its service has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    /// How long an open one may be quiet.
    pub(super) idle_timeout: Duration,
    /// How long one may be quiet that has not opened.
    pub(super) connect_timeout: Duration,
    /// How long a closed one is kept.
    pub(super) close_timeout: Duration,
    /// How long they may stay with a backend that is drained; none: until they end.
    pub(super) drain_timeout: Option<Duration>,
    /// What becomes of them when the backend goes down.
    pub(super) on_down: OnDown,
}

impl Life {
    pub(super) fn of(service: &Service) -> Self {
        Self {
            idle_timeout: service.idle_timeout,
            connect_timeout: service.connect_timeout,
            close_timeout: service.close_timeout,
            drain_timeout: service.drain_timeout,
            on_down: service.on_down,
        }
    }
}

/// A configuration cannot be laid out over the tables.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// More than the tables have numbers for.
    #[error(
        "{0} backends are more than the {MAX_BACKENDS} that tables have rows for: spread them over several balancers"
    )]
    TooMany(usize),
    /// More than a choice table has slots for.
    #[error(
        "service {service} has {backends} backends, more than the {slots} slots of its choice table: make several services of it"
    )]
    TooManyOfOne {
        /// The service's name.
        service: String,
        /// Its backends.
        backends: usize,
        /// Slots of its choice table.
        slots: u32,
    },
    /// More than the tables have rows for, beside what live flows and services hold.
    #[error("the tables have no room for another {0}")]
    NoRoom(&'static str),
}

impl Plan {
    /// Lays it out around what the tables hold already.
    pub(super) fn new(config: &Config, inherited: &Inheritance) -> Result<Self, PlanError> {
        Layout::new(inherited).plan(config)
    }

    /// The backend that has this row.
    pub(super) fn backend(&self, row: u32) -> Option<&Backend> {
        self.backends.get(row as usize)?.as_ref()
    }

    /// Whether new flows went to the backend in this row before.
    pub(super) fn was_chosen(&self, row: u32) -> bool {
        self.was_chosen.get(row as usize).copied().unwrap_or_default()
    }

    /// All backends as they are configured, with their services and rows.
    pub(super) fn configured<'p>(
        &'p self,
        config: &'p Config,
    ) -> impl Iterator<Item = (&'p Service, &'p types::Backend, u32)> {
        let services = config.services.iter().zip(&self.rows);
        services.flat_map(|(service, rows)| {
            let backends = service.backends.iter().zip(rows);
            backends.map(move |(backend, row)| (service, backend, *row))
        })
    }

    /// By row, the services' own addresses on backends where they are checked too.
    pub(super) fn vips(&self, config: &Config) -> BTreeMap<u32, Arc<Vip>> {
        let vip = |(_, backend, row): (_, &types::Backend, u32)| {
            let is_checked = matches!(&backend.health, Health::Checked(check) if check.vip);
            let pool = self.pools.get(self.backend(row).filter(|_| is_checked)?.pool)?;
            let tunnel = match pool.mode {
                Mode::Tunnel(encapsulation) => Some((backend.address, encapsulation)),
                Mode::FullNat | Mode::Nat | Mode::Dsr => None,
            };
            Some((row, Arc::new(Vip::new(pool.binds.clone(), tunnel))))
        };
        self.configured(config).filter_map(vip).collect()
    }

    /// All backends with their rows.
    pub(super) fn placed(&self) -> impl Iterator<Item = (u32, &Backend)> {
        let rows = (0..).zip(&self.backends);
        rows.filter_map(|(row, backend)| Some((row, backend.as_ref()?)))
    }
}

/// Where a configuration needs next hops to.
#[must_use]
pub fn destinations(config: &Config) -> BTreeSet<IpAddr> {
    let backends = config.services.iter().flat_map(|service| &service.backends);
    backends.map(|backend| backend.address.ip()).collect()
}

/// How large tables for a configuration have to be at least.
#[must_use]
pub fn capacity(config: &Config, workers: u32) -> Capacity {
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let services = &config.services;
    let binds = || services.iter().flat_map(|service| &service.bind);
    // What has no virtual addresses has neither choices nor flows.
    let has_binds = |service: &Service, part: Part| service.bind.iter().any(|bind| part.has(*bind));
    let flows = |family: Part| {
        let served = services.iter().any(|service| has_binds(service, family));
        if served { config.global.max_flows } else { 1 }
    };
    let choices = |service: &Service| {
        let parts = Part::of(service).iter().filter(|part| has_binds(service, **part));
        service.table_size.saturating_mul(count(parts.count()))
    };
    // Each network has a beginning and an end, and so has IPv4 within a network of IPv6.
    let borders = |rules: &SourceRules| 2 * (rules.networks.len() + 1);
    let rules = services
        .iter()
        .map(|service| &service.sources)
        .chain([&config.global.sources]);
    Capacity {
        services: count(services.len() * 2),
        // Each has a slot of its own, and each address of theirs another one.
        virtual_addresses: count(
            binds().count() + binds().map(SocketAddr::ip).collect::<BTreeSet<_>>().len(),
        ),
        choice_slots: services.iter().map(choices).fold(0, u32::saturating_add),
        backends: count(services.iter().map(|service| service.backends.len()).sum()),
        sources: count(config.global.snat_addresses.len()),
        flows_v4: flows(Part::V4),
        flows_v6: flows(Part::V6),
        borders: count(rules.map(borders).sum()),
        workers,
    }
}
