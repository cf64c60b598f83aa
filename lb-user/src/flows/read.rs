//! Reading the flow table beside a packet path that changes it: nothing is locked, and nobody waits.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use lb_common::{
    Address, Tuple, V4, V6,
    address::TCP,
    flow::{self, Bucket, ENTRIES, Hit, State},
    manner::Forwarding,
    memory::{Memory, Worker},
};

use super::{Flow, FlowId, FlowPage, FlowState, Query};
use crate::control::backend_address;

/// How often an entry is read that changes meanwhile. An entry changes when its flow opens, closes or gets another
/// way to its client, not with every packet.
const TRIES: usize = 5;

/// The flow table's clock.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// The time, in ticks.
    pub now: u32,
    /// Length of a tick.
    pub tick: Duration,
}

/// By row of the backend table, the service's and the backend's name.
pub type Names = Vec<Option<(String, String)>>;

/// A page of the flow table. Goes through all of it, as the total is counted: half a second for ten million entries.
#[must_use]
pub fn page(memory: &Memory<'_>, clock: Clock, names: &Names, query: &Query) -> FlowPage {
    let v4 = memory.buckets_v4;
    let reader = Reader { memory, clock, names };
    let mut gathering = Gathering {
        reader,
        query,
        page: FlowPage::default(),
    };
    gathering.add_all::<V4>(v4, 0);
    gathering.add_all::<V6>(memory.buckets_v6, first_of_v6(memory));
    gathering.page
}

/// The number of the IPv6 table's first entry among those of both.
pub(super) fn first_of_v6(memory: &Memory<'_>) -> u64 {
    (memory.buckets_v4.len() * ENTRIES) as u64
}

/// Rows of the backends that there are flows to, or are about to be.
#[must_use]
pub fn backends(memory: &Memory<'_>) -> BTreeSet<u32> {
    fn of<A: Address>(buckets: &[Bucket<A>]) -> impl Iterator<Item = u32> {
        let entries = buckets.iter().flat_map(|bucket| &bucket.0);
        entries
            .filter(|entry| entry.control().state() != State::FREE)
            .map(|entry| entry.way().backend())
    }
    of(memory.buckets_v4).chain(of(memory.buckets_v6)).collect()
}

/// Reads flows out of the table.
#[derive(Clone)]
pub(super) struct Reader<'r> {
    pub(super) memory: &'r Memory<'r>,
    pub(super) clock: Clock,
    pub(super) names: &'r Names,
}

/// Gathers those of a page.
struct Gathering<'r> {
    reader: Reader<'r>,
    query: &'r Query,
    page: FlowPage,
}

/// What an entry and its partner say, all of the same moment.
pub(super) struct Found<A> {
    pub(super) flow: flow::Flow<A>,
    pub(super) control: flow::Control,
    /// Ticks since the last packet.
    idle: u32,
}

/// Who speaks in a flow, in the words of [`Flow`].
pub(super) struct Parties {
    pub(super) client: SocketAddr,
    pub(super) virtual_address: SocketAddr,
    pub(super) snat_address: SocketAddr,
    pub(super) backend_address: SocketAddr,
    pub(super) mode: &'static str,
    pub(super) service: Option<String>,
    pub(super) backend: String,
}

impl Gathering<'_> {
    /// Adds the flows of one family's table, whose first entry has the number `base` among those of both.
    fn add_all<A: Address>(&mut self, buckets: &[Bucket<A>], base: u64) {
        let entries = buckets.iter().flat_map(|bucket| &bucket.0);
        for (index, entry) in (0..).zip(entries) {
            let Some(found) = self.reader.read(entry, index) else {
                continue;
            };
            if self.is_wanted(found.flow.backend) {
                self.add(base + u64::from(index), &found);
            }
        }
    }

    fn is_wanted(&self, backend: u32) -> bool {
        let service = self.reader.name(backend).map(|(service, _)| service);
        self.query.service.is_none() || self.query.service.as_ref() == service
    }

    fn add<A: Address>(&mut self, position: u64, found: &Found<A>) {
        self.page.total += 1;
        if position < self.query.from.unwrap_or_default() || self.page.next.is_some() {
            return;
        }
        if self.page.flows.len() == self.query.limit() {
            self.page.next = Some(position);
            return;
        }
        let flow = self.reader.document(position, found);
        self.page.flows.push(flow);
    }
}

impl Reader<'_> {
    /// The flow whose client's entry this is; the other direction's stands for none.
    pub(super) fn read<A: Address>(&self, entry: &flow::Entry<A>, index: u32) -> Option<Found<A>> {
        let tables = Worker::new(*self.memory, 0, self.clock.now);
        for _ in 0..TRIES {
            let hit = Hit::at(entry, index);
            let state = hit.control.state();
            if !state.has(State::READY) || state.has(State::REPLY) {
                return None;
            }
            let idle = self.age(entry);
            let found = Found {
                flow: entry.flow(),
                control: hit.control,
                idle: hit
                    .partner(&tables)
                    .map_or(idle, |partner| idle.min(self.age(partner.entry))),
            };
            if hit.is_current() {
                return Some(found);
            }
        }
        None
    }

    fn age<A: Address>(&self, entry: &flow::Entry<A>) -> u32 {
        let age = self.clock.now.wrapping_sub(entry.seen.load());
        // Written after our clock was read.
        if age > u32::MAX / 2 { 0 } else { age }
    }

    fn name(&self, backend: u32) -> Option<&(String, String)> {
        self.names.get(backend as usize)?.as_ref()
    }

    /// A flow whose client's entry has this number among those of both families.
    pub(super) fn document<A: Address>(&self, position: u64, found: &Found<A>) -> Flow {
        let Found { flow, control, idle } = found;
        let Parties {
            client,
            virtual_address,
            snat_address,
            backend_address,
            mode,
            service,
            backend,
        } = self.parties((&flow.key, &flow.to), flow.forwarding, flow.backend);
        Flow {
            id: FlowId {
                position,
                generation: control.generation(),
            },
            client,
            virtual_address,
            protocol: protocol(flow.protocol).to_owned(),
            service,
            backend,
            backend_address,
            snat_address,
            mode: mode.to_owned(),
            state: word(control.state()),
            idle_seconds: (self.clock.tick * *idle).as_secs(),
        }
    }

    /// Who speaks in a flow whose client's packets carry the first tuple and leave with the second.
    pub(super) fn parties<A: Address>(
        &self,
        (key, to): (&Tuple<A>, &Tuple<A>),
        forwarding: Forwarding,
        backend: u32,
    ) -> Parties {
        let (client, virtual_address) = ends(key);
        // Where nothing is translated, the backend's own record knows its address.
        let record = self.memory.backends.get(backend as usize);
        let (snat_address, backend_address) = match (forwarding, record) {
            (Forwarding::Direct | Forwarding::Encapsulate, Some(record)) => (client, backend_address(record)),
            (Forwarding::Translate | Forwarding::Local, _) | (_, None) => ends(to),
        };
        let mode = match forwarding {
            Forwarding::Translate if snat_address == client => "nat",
            Forwarding::Translate => "full-nat",
            Forwarding::Direct => "dsr",
            Forwarding::Encapsulate => "tunnel",
            Forwarding::Local => "local",
        };
        let (service, backend) = match self.name(backend) {
            Some((service, backend)) => (Some(service.clone()), backend.clone()),
            None => (None, backend_address.to_string()),
        };
        Parties {
            client,
            virtual_address,
            snat_address,
            backend_address,
            mode,
            service,
            backend,
        }
    }
}

/// The configuration's word for TCP or UDP.
pub(super) fn protocol(number: u8) -> &'static str {
    if number == TCP { "tcp" } else { "udp" }
}

/// Source and destination.
pub(super) fn ends<A: Address>(tuple: &Tuple<A>) -> (SocketAddr, SocketAddr) {
    let ip = |address: A| IpAddr::from(Ipv6Addr::from(address.mapped().octets())).to_canonical();
    (
        SocketAddr::new(ip(tuple.src), tuple.src_port.number()),
        SocketAddr::new(ip(tuple.dst), tuple.dst_port.number()),
    )
}

fn word(state: State) -> FlowState {
    if state.has(State::CLOSED) {
        FlowState::Closed
    } else if state.has(State::CLIENT_FIN) || state.has(State::BACKEND_FIN) {
        FlowState::Closing
    } else if state.has(State::ESTABLISHED) {
        FlowState::Established
    } else {
        FlowState::HalfOpen
    }
}
