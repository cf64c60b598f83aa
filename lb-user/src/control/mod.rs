//! Desired state, and the way from it to the tables.
//!
//! A configuration is laid out over the tables once (`plan`); then health and next hops come in, each backend's
//! standing follows from them (`standing`), and what has changed is stored (`write`).

pub mod maglev;
mod plan;
mod standing;
mod statistics;
#[cfg(test)]
mod tests;
mod write;

use std::{
    collections::BTreeSet,
    net::IpAddr,
    time::{Duration, Instant},
};

use lb_common::{flow::Limits, memory::Memory};
use tracing::{info, warn};

pub use self::{plan::TooMany, write::IndexFull};
use self::{
    plan::{Plan, Pool},
    standing::Standing,
};
use crate::{
    config::{Config, types::Service},
    dataplane::Capacity,
    health::{Event, Target},
    next_hop::NextHops,
};

/// How long a flow that never opened may be quiet.
const HALF_OPEN: Duration = Duration::from_secs(20);

/// How long a closed flow keeps its entry for strays: twice the time that Linux takes a segment to live at most
/// (`TCP_TIMEWAIT_LEN`, include/net/tcp.h).
const CLOSED: Duration = Duration::from_mins(1);

/// The control plane: knows what the tables should hold, and stores it.
#[derive(Debug)]
pub struct Control {
    config: Config,
    plan: Plan,
    standings: Vec<Standing>,
    started: Instant,
}

impl Control {
    /// Lays a configuration out; nothing is stored yet.
    pub fn new(config: Config) -> Result<Self, TooMany> {
        let plan = Plan::new(&config)?;
        let started = Instant::now();
        let standings = plan.backends.iter().map(|_| Standing::new(started)).collect();
        Ok(Self {
            config,
            plan,
            standings,
            started,
        })
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How large the tables have to be for it.
    #[must_use]
    pub fn capacity(&self, workers: u32) -> Capacity {
        self.plan.capacity(workers)
    }

    /// What to check.
    #[must_use]
    pub fn targets(&self) -> Vec<Target> {
        let service_rows = self.config.services.iter().zip(&self.plan.rows);
        let of_service = |(service, rows): (&Service, &Vec<u16>)| -> Vec<Target> {
            let rows = service.backends.iter().zip(rows);
            rows.map(|(backend, row)| Target {
                id: u32::from(*row),
                address: backend.address,
                check: service.check.clone(),
            })
            .collect()
        };
        service_rows.flat_map(of_service).collect()
    }

    /// Where next hops are needed to.
    #[must_use]
    pub fn destinations(&self) -> BTreeSet<IpAddr> {
        self.plan
            .backends
            .iter()
            .map(|backend| backend.address.ip())
            .collect()
    }

    /// Fills empty tables. No backend takes flows before its health and next hop are known.
    pub fn install(&self, memory: &Memory<'_>) -> Result<(), IndexFull> {
        for (row, source) in (0..).zip(&self.plan.sources) {
            write::source(memory, row, *source);
        }
        for (row, backend) in (0..).zip(&self.plan.backends) {
            write::backend(memory, row, backend.address, backend.sources);
        }
        for (row, pool) in (0..).zip(&self.plan.pools) {
            write::choices(memory, u32::from(row), pool.first_slot, &[]);
            for bind in &pool.binds {
                write::virtual_address(memory, *bind, pool.protocol, row)?;
            }
        }
        write::port_pool(memory, self.plan.ports);
        Ok(())
    }

    /// Takes the result of a health check in.
    pub fn checked(&mut self, memory: &Memory<'_>, event: Event) {
        let row = event.id as usize;
        let (Some(standing), Some(backend)) = (self.standings.get_mut(row), self.plan.backends.get(row))
        else {
            return;
        };
        if event.changed {
            let (detail, state) = (&event.report.detail, event.state);
            info!(backend = backend.name, %state, detail, "backend is {state}");
        }
        let pool = backend.pool;
        if standing.checked(event) {
            self.rebuild(memory, pool);
        }
    }

    /// Takes next hops in.
    pub fn resolved(&mut self, memory: &Memory<'_>, next_hops: &NextHops) {
        let mut changed = BTreeSet::new();
        for (row, (standing, backend)) in (0..).zip(self.standings.iter_mut().zip(&self.plan.backends)) {
            let Some(next_hop) = next_hops.get(&backend.address.ip()) else {
                continue;
            };
            let Some(next_hop) = standing.resolved(next_hop, &self.config.global.interfaces, &backend.name)
            else {
                continue;
            };
            // An own row means that no source address is configured.
            if usize::from(backend.sources.0) >= self.plan.sources.len() {
                write::source(memory, backend.sources.0, next_hop.source);
            }
            let hop = write::Hop {
                peer: next_hop.peer_mac,
                own: next_hop.own_mac,
                interface: next_hop.ifindex,
            };
            write::hop(memory, row, hop);
            changed.insert(backend.pool);
        }
        for pool in changed {
            self.rebuild(memory, pool);
        }
    }

    /// After how many ticks a backend's flows may go.
    #[must_use]
    pub fn limits(&self, backend: u16, tick: Duration) -> Limits {
        let ticks =
            |time: Duration| u32::try_from(time.as_nanos() / tick.as_nanos().max(1)).unwrap_or(u32::MAX / 4);
        let planned = self.plan.backends.get(usize::from(backend));
        let established = planned.map_or(CLOSED, |backend| backend.idle_timeout);
        Limits {
            established: ticks(established),
            half_open: ticks(HALF_OPEN.min(established)),
            closed: ticks(CLOSED.min(established)),
        }
    }

    fn rebuild(&self, memory: &Memory<'_>, index: usize) {
        let Some(pool) = self.plan.pools.get(index) else {
            return;
        };
        let candidates = self.candidates(pool);
        let slots = maglev::build(pool.table_size, &candidates);
        if slots.is_empty() && !pool.binds.is_empty() {
            warn!(
                service = pool.service,
                "service has no backend that is up: new flows are dropped"
            );
        }
        let row = u32::try_from(index).unwrap_or(u32::MAX);
        let changed = write::choices(memory, row, pool.first_slot, &slots);
        info!(
            service = pool.service,
            backends = candidates.len(),
            changed,
            "choice table is written"
        );
    }

    fn candidates(&self, pool: &Pool) -> Vec<maglev::Candidate> {
        let rows = pool.backends.iter().filter(|row| {
            self.standings
                .get(usize::from(**row))
                .is_some_and(Standing::takes_flows)
        });
        rows.filter_map(|row| {
            let backend = self.plan.backends.get(usize::from(*row))?;
            Some(maglev::Candidate {
                index: *row,
                identity: backend.identity,
                weight: backend.weight,
            })
        })
        .filter(|candidate| candidate.weight > 0)
        .collect()
    }
}
