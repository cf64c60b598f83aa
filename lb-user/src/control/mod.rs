//! Desired state, and the way from it to the tables.
//!
//! A configuration is laid out over the tables once (`plan`, `layout`), around what they hold if packets are
//! forwarded by them already (`inheritance`); then health and next hops come in, each backend's standing follows
//! from them (`standing`), and what has changed is stored (`write`).

mod borders;
mod choices;
mod ends;
mod inheritance;
mod kept;
mod layout;
mod look_up;
pub mod maglev;
pub(crate) mod observe;
mod pace;
mod plan;
pub mod round_robin;
mod standing;
mod statistics;
mod succession;
mod taken;
#[cfg(test)]
mod tests;
mod track;
mod write;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use lb_common::{flow::Limits, memory::Memory};
use tracing::info;

pub(crate) use self::{ends::unix_milliseconds, inheritance::backend_address};
use self::{
    inheritance::{Inheritance, VirtualAddress},
    observe::Observer,
    pace::Paces,
    plan::{Backend, Life, Plan, Pool},
    standing::{Standing, Way, Ways},
    track::Trackers,
};
pub use self::{
    look_up::{Candidate, Found, LookUp, LookUpError},
    plan::{PlanError, capacity, destinations},
    write::IndexFull,
};
use crate::{
    config::{
        Config,
        types::{self, Admin, Health, OnDown},
    },
    flows::Names,
    health::{Event, State, Target, Vip},
    next_hop::NextHops,
    stats::observed,
};

/// How long flows live whose backend is configured no more: its service's word for it is not known any more either, and
/// these are the defaults. Nobody checks the backend, so that nothing ends them before; but where it was down already,
/// what that meant for its flows stays in force.
const OF_A_BACKEND_THAT_HAS_GONE: Life = Life {
    idle_timeout: Duration::from_hours(3),
    connect_timeout: Duration::from_secs(20),
    close_timeout: Duration::from_mins(1),
    drain_timeout: None,
    on_down: OnDown::Keep,
};

/// The control plane: knows what the tables should hold, and stores it.
#[derive(Debug)]
pub struct Control {
    config: Config,
    plan: Plan,
    standings: Vec<Standing>,
    paces: Paces,
    /// Who has whose health.
    trackers: Trackers,
    observer: Observer,
    /// The services' own addresses on backends, where they are checked too.
    vips: BTreeMap<u32, Arc<Vip>>,
    started: Instant,
    /// When the configuration was stored, if rows may have been left over by it.
    left_over: Option<Instant>,
}

impl Control {
    /// Lays a configuration out over tables, around what they hold; nothing is stored yet.
    ///
    /// In tables that packets are forwarded by, every backend that is still configured keeps its row, and stays up
    /// or down until its first check; the rows of others stay as they are for as long as there are flows to them.
    pub fn new(config: Config, memory: &Memory<'_>) -> Result<Self, PlanError> {
        let plan = Plan::new(&config, &Inheritance::of(memory))?;
        let started = Instant::now();
        let rows = (0..).take(plan.backends.len());
        let standings = rows
            .map(|row| Standing::new(started, plan.was_chosen(row)))
            .collect();
        Ok(Self {
            trackers: Trackers::new(&config, &plan),
            observer: Observer::new(&config, &plan),
            vips: plan.vips(&config),
            config,
            plan,
            standings,
            paces: Paces::default(),
            started,
            left_over: Some(started),
        })
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Takes what backends were when another daemon last checked them.
    pub fn recall(&mut self, states: &BTreeMap<String, State>) {
        for (row, backend) in self.plan.placed() {
            if let Some(state) = states.get(&backend.known_as()) {
                self.standings[row as usize].recall(*state);
            }
        }
    }

    /// What backends are, for another daemon to [recall](Self::recall).
    #[must_use]
    pub fn states(&self) -> BTreeMap<String, State> {
        let state = |(row, backend): (u32, &Backend)| {
            let state = self.standings[row as usize].known()?;
            Some((backend.known_as(), state))
        };
        self.plan.placed().filter_map(state).collect()
    }

    /// How often states of backends have changed.
    #[must_use]
    pub fn transitions(&self) -> u64 {
        self.standings.iter().map(Standing::transitions).sum()
    }

    /// What to check.
    #[must_use]
    pub fn targets(&self) -> Vec<Target> {
        let target = |(_, backend, row): (_, &types::Backend, u32)| match &backend.health {
            Health::Tracked { .. } => None,
            // What is known of those that track it is what its checks find.
            Health::Checked(_) if backend.state == Admin::Maint && !self.trackers.are_there(row) => None,
            Health::Checked(check) => Some(Target {
                id: row,
                address: backend.address,
                check: Arc::clone(check),
                known: self.standings[row as usize].known(),
                vip: self.vips.get(&row).cloned(),
            }),
        };
        self.plan.configured(&self.config).filter_map(target).collect()
    }

    /// Makes the tables hold the configuration. A backend that did not take flows before takes none until its health
    /// and next hop are known.
    pub fn install(&self, memory: &Memory<'_>) -> Result<(), IndexFull> {
        for list in &self.plan.lists {
            write::list(memory, list);
        }
        write::denied(memory, self.plan.denied);
        for (first, sources) in &self.plan.sources {
            for (row, source) in (*first..).zip(sources) {
                write::source(memory, row, *source);
            }
        }
        for (row, backend) in self.plan.placed() {
            let pool = &self.plan.pools[backend.pool];
            let manner = pool.manner(backend.address);
            write::backend(memory, row, backend, (manner, pool.row));
            if manner.keeps_client() {
                write::answers(memory, backend.address.port(), pool.protocol);
            }
        }
        let pools: Vec<&Pool> = self.plan.pools.iter().collect();
        self.choose(memory, &pools);
        self.note_drains(memory, unix_milliseconds());
        let mut addresses: BTreeMap<VirtualAddress, u16> = BTreeMap::new();
        for pool in pools {
            write::service(memory, pool);
            addresses.extend(pool.binds.iter().map(|bind| ((pool.protocol, *bind), pool.row)));
        }
        for ((protocol, address), service) in write::known_addresses(memory, addresses) {
            write::virtual_address(memory, address, protocol, service)?;
        }
        let addresses = self.plan.pools.iter().flat_map(|pool| &pool.binds);
        write::addresses(memory, addresses.map(SocketAddr::ip).collect())?;
        write::verified_ports(memory, &self.plan.pools);
        write::echo(memory, self.config.global.icmp_echo);
        write::port_pool(memory, self.plan.ports);
        self.free_rows(memory);
        Ok(())
    }

    /// Takes the results of health checks in. Each choice table that they change is built once: results that have
    /// gathered should come together.
    pub fn checked(&mut self, memory: &Memory<'_>, events: impl IntoIterator<Item = Event>) {
        let (mut changed, mut rows) = (BTreeSet::new(), BTreeSet::new());
        let events = events.into_iter().inspect(|event| {
            if let Some(backend) = self.plan.backend(event.id) {
                observed::check(&self.plan.pools[backend.pool].service, event.report.duration);
            }
        });
        for event in events.flat_map(|event| self.trackers.spread(event)) {
            let row = event.id as usize;
            rows.insert(event.id);
            let backend = self.plan.backends.get(row).and_then(Option::as_ref);
            let (Some(standing), Some(backend)) = (self.standings.get_mut(row), backend) else {
                continue;
            };
            standing.tell(&backend.name, &event);
            if standing.checked(event) {
                changed.insert(backend.pool);
            }
        }
        // No new flow may go where flows end: it would end at once, and be begun there again.
        self.settle(memory, &rows, false);
        self.rebuild(memory, &changed);
        self.settle(memory, &rows, true);
    }

    /// Takes next hops in.
    pub fn resolved(&mut self, memory: &Memory<'_>, next_hops: &NextHops) {
        let (mut changed, mut new) = (BTreeSet::new(), 0);
        for (row, backend) in self.plan.placed() {
            let standing = &mut self.standings[row as usize];
            let Some(next_hop) = next_hops.get(&backend.address.ip()) else {
                continue;
            };
            let took_flows = standing.takes_flows();
            let pool = &self.plan.pools[backend.pool];
            let ways = Ways {
                interfaces: &self.config.global.interfaces,
                mode: pool.mode,
            };
            if let Some(way) = standing.resolved(next_hop, &ways, &backend.name) {
                new += 1;
                if let (Way::Out(next_hop), Some(vip)) = (&way, self.vips.get(&row)) {
                    vip.lead(next_hop);
                }
                lead(memory, row, backend, pool, &way);
            }
            if took_flows != standing.takes_flows() {
                changed.insert(backend.pool);
            }
        }
        if new > 0 {
            info!(backends = new, "next hops are known");
        }
        self.rebuild(memory, &changed);
    }

    /// By backend row, the names of service and backend.
    #[must_use]
    pub fn names(&self) -> Names {
        let mut names = vec![None; self.plan.backends.len()];
        for (service, backend, row) in self.plan.configured(&self.config) {
            names[row as usize] = Some((service.name.to_string(), backend.name.to_string()));
        }
        names
    }

    /// After how many ticks a backend's flows may go.
    #[must_use]
    pub fn limits(&self, backend: u32, tick: Duration) -> Limits {
        let ticks =
            |time: Duration| u32::try_from(time.as_nanos() / tick.as_nanos().max(1)).unwrap_or(u32::MAX / 4);
        let planned = self.plan.backend(backend);
        let life = planned.map_or(OF_A_BACKEND_THAT_HAS_GONE, |backend| backend.life);
        Limits {
            established: ticks(life.idle_timeout),
            half_open: ticks(life.connect_timeout),
            closed: ticks(life.close_timeout),
        }
    }
}

/// Writes a backend's next hop and the address that is sent from towards it, or that it runs on this host.
fn lead(memory: &Memory<'_>, row: u32, backend: &Backend, pool: &Pool, way: &Way) {
    match way {
        Way::Out(next_hop) => {
            if backend.has_own_source {
                write::source(memory, backend.sources.first, next_hop.source);
            }
            write::hop(memory, row, next_hop);
        }
        Way::Local => write::local(memory, row, pool.protocol, backend.address.port()),
    }
    write::cookies(memory, pool);
}
