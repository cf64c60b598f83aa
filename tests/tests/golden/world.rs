//! The tables that rows begin with.
//!
//! For each address family there are a client, a virtual address, a backend and a source address; on the virtual
//! address TCP port 80, UDP port 80 and TCP port 81, each a service of its own with a backend row of its own. The
//! port pool has one port, so that all of an expected frame is known.

use std::net::{IpAddr, SocketAddr};

use lb_common::{
    Address as _, Mac, Port, V4, V6,
    address::{AddressCell as _, TCP, UDP},
    flow::{Bucket, Entry},
    layout::{ANSWER_ECHO, Backend, BackendCounters, COMPLETE_PARTIAL, PortFilter, Retries, Service, Span},
    link::Link,
    manner::Manner,
    memory::Memory,
    service::{self, SlotKey},
    shared::Shared,
};

use serde::{Deserialize, Serialize};

use crate::tunnel::Tunnel;

/// An interface that clients may move to: the kernel's loopback.
pub(crate) const OTHER: u32 = 1;
/// The interface towards clients.
pub(crate) const FRONT: u32 = 2;
/// The interface towards backends.
pub(crate) const BACK: u32 = 3;

/// MAC addresses: the client's, ours towards it, ours towards the backend, the backend's.
pub(crate) const CLIENT_MAC: Mac = [2, 0, 0, 0, 0, 1];
pub(crate) const FRONT_MAC: Mac = [2, 0, 0, 0, 0, 2];
pub(crate) const BACK_MAC: Mac = [2, 0, 0, 0, 0, 3];
pub(crate) const BACKEND_MAC: Mac = [2, 0, 0, 0, 0, 4];

/// The first port of the pool.
pub(crate) const POOL: u16 = 20_000;

/// Ticks of a second.
pub(crate) const SECOND: u32 = 1000;

/// The port of two services on each virtual address, TCP and UDP.
pub(crate) const PORT: u16 = 80;
/// The port of a third one, TCP.
pub(crate) const SECOND_PORT: u16 = 81;

/// Of the way to each backend.
pub(crate) const MTU: u32 = 1500;

/// Rows per family: its services', and as many of its backends'.
const ROWS: u32 = 3;

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::V4, Self::V6];

    fn address(self, v4: &str, v6: &str) -> IpAddr {
        let text = match self {
            Self::V4 => v4,
            Self::V6 => v6,
        };
        text.parse().expect("an address")
    }

    pub(crate) fn client(self) -> SocketAddr {
        SocketAddr::new(self.address("192.0.2.7", "2001:db8::7"), 40_000)
    }

    /// Another client's address.
    pub(crate) fn neighbour(self, number: u8) -> IpAddr {
        self.address(&format!("192.0.2.{number}"), &format!("2001:db8::{number:x}"))
    }

    pub(crate) fn virtual_address(self) -> SocketAddr {
        SocketAddr::new(self.address("10.0.0.100", "fd00::100"), PORT)
    }

    pub(crate) fn backend(self) -> SocketAddr {
        SocketAddr::new(self.address("10.1.0.10", "fd01::10"), 8080)
    }

    pub(crate) fn source(self) -> IpAddr {
        self.address("10.1.0.1", "fd01::1")
    }

    /// The row of the family's service on a port, and of its backend.
    pub(crate) fn row(self, protocol: u8, port: u16) -> u32 {
        let first = if self == Self::V4 { 0 } else { ROWS };
        match (protocol, port) {
            (TCP, PORT) => first,
            (UDP, PORT) => first + 1,
            _ => first + 2,
        }
    }
}

/// Empties the tables, whatever a row before left in them, and sets the world up.
pub(crate) fn set_up(memory: &Memory<'_>) {
    clear(memory);
    let settings = memory.settings;
    settings.seed.store(0x0123_4567_89ab_cdef);
    settings.partial_checksums.store(COMPLETE_PARTIAL);
    settings.second.store(SECOND);
    settings.echo.store(ANSWER_ECHO);
    settings.cookie_key[0].store(0x0706_0504_0302_0100);
    settings.cookie_key[1].store(0x0f0e_0d0c_0b0a_0908);
    pool(memory, POOL, 1);
    for (row, family) in [Family::V4, Family::V6].into_iter().enumerate() {
        memory.sources[row].address.store(mapped(family.source()));
        let mut address = family.virtual_address();
        address.set_port(0);
        occupy_slot(memory, address, service::ADDRESS, 0);
        for (protocol, port) in [(TCP, PORT), (UDP, PORT), (TCP, SECOND_PORT)] {
            let backend = family.row(protocol, port);
            let mut address = family.backend();
            // Another one for each service, so that a mix-up shows.
            address.set_port(address.port() + narrow(backend % ROWS));
            self::backend(memory, backend, address, row);
            next_hop(memory, backend, BACKEND_MAC, BACK);
            service(memory, backend);
            choices(memory, backend, &[backend]);
            let mut bind = family.virtual_address();
            bind.set_port(port);
            virtual_address(memory, bind, protocol, backend);
        }
    }
}

/// The pool of source ports.
pub(crate) fn pool(memory: &Memory<'_>, first: u16, count: u16) {
    memory.settings.pool_first.store(first);
    memory.settings.pool_count.store(count);
    for port in first..first + count {
        want(memory, port, PortFilter::TCP | PortFilter::UDP);
    }
}

/// The port that a backend of the standard world has.
pub(crate) fn backend_port(memory: &Memory<'_>, row: u32) -> u16 {
    Port(memory.backends[row as usize].port.load().to_ne_bytes()).number()
}

/// Where a backend is reached; a MAC address of zeros: unknown.
pub(crate) fn next_hop(memory: &Memory<'_>, row: u32, mac: Mac, interface: u32) {
    let record = &memory.backends[row as usize];
    let known = if mac == Mac::default() { 0 } else { Backend::KNOWN };
    record.hop.store(record.hop.load() & Backend::ENDS | known);
    let hop = &record.hops[0];
    hop.mtu.store(0);
    hop.set_link(Link::new(mac, BACK_MAC));
    hop.interface.store(interface);
    hop.mtu.store(MTU);
}

/// How packets reach the backends of a family, all of them.
pub(crate) fn manner(memory: &Memory<'_>, family: Family, manner: Manner) {
    for (protocol, port) in [(TCP, PORT), (UDP, PORT), (TCP, SECOND_PORT)] {
        let service = &memory.services[family.row(protocol, port) as usize];
        service.forwarding.store(manner.forwarding() as u32);
    }
    for (row, protocol) in backends_of(memory, family) {
        memory.backends[row as usize].manner.store(manner.0);
        if manner.keeps_client() {
            let source = memory
                .settings
                .ports
                .sources
                .of(Port::new(backend_port(memory, row)));
            source.store(source.load() | bit(protocol));
        }
    }
    if manner.keeps_client() {
        for (_, port) in memory.settings.ports.destinations.iter() {
            port.store(port.load() | PortFilter::BY_SOURCE);
        }
    }
}

/// Has a backend run on this host.
pub(crate) fn local(memory: &Memory<'_>, row: u32) {
    memory.backends[row as usize].local.store(1);
    let port = memory
        .settings
        .ports
        .sources
        .of(Port::new(backend_port(memory, row)));
    port.store(port.load() | PortFilter::TCP | PortFilter::UDP);
}

/// The backends of a family stand at the end of a tunnel.
pub(crate) fn tunnel(memory: &Memory<'_>, family: Family, tunnel: Tunnel) {
    let outer_is_v6 = tunnel.outer == Family::V6;
    manner(
        memory,
        family,
        Manner::tunnel(outer_is_v6, tunnel.gue.map(Port::new)),
    );
    for (row, _) in backends_of(memory, family) {
        let record = &memory.backends[row as usize];
        record.address.store(mapped(tunnel.outer.backend().ip()));
        let first = u32::from(outer_is_v6);
        record.sources.store(Span { first, count: 1 }.to_word());
    }
}

/// The rows of a family's backends, each with its service's protocol.
fn backends_of(memory: &Memory<'_>, family: Family) -> Vec<(u32, u8)> {
    let protocol = |service: u32| {
        let bound = [(TCP, PORT), (UDP, PORT), (TCP, SECOND_PORT)];
        let of = |(protocol, port): &(u8, u16)| family.row(*protocol, *port) + 1 == service;
        bound
            .iter()
            .find(|bound| of(bound))
            .map(|(protocol, _)| *protocol)
    };
    let records = (0..).zip(memory.backends);
    records
        .filter_map(|(row, record)| Some((row, protocol(record.service.load().into())?)))
        .collect()
}

/// The backends of a service, by row.
pub(crate) fn choices(memory: &Memory<'_>, service: u32, backends: &[u32]) {
    // Eight slots for each service.
    let first = service * 8;
    for (slot, backend) in (first..).zip(backends) {
        memory.choice(slot).expect("eight slots").store(*backend);
    }
    let count = u32::try_from(backends.len()).expect("a few backends");
    let word = Span { first, count }.to_word();
    memory.services[service as usize].choices.store(word);
}

/// Puts another backend into a row that nobody has; its port is its own. The backends of the service that are given are
/// its ring.
pub(crate) fn join(memory: &Memory<'_>, family: Family, service: u32, ring: &[u32]) {
    let source = usize::from(family == Family::V6);
    for (row, next) in ring.iter().zip(ring.iter().cycle().skip(1)) {
        if *row >= 2 * ROWS {
            let mut address = family.backend();
            address.set_port(9000 + narrow(*row));
            backend(memory, *row, address, source);
            next_hop(memory, *row, BACKEND_MAC, BACK);
        }
        let record = &memory.backends[*row as usize];
        record.service.store(narrow(service) + 1);
        record.next.store(*next);
    }
}

/// Active flows of a backend.
pub(crate) fn active(memory: &Memory<'_>, backend: u32) -> u64 {
    memory.backends[backend as usize].active.load()
}

/// Makes all flows as old as each other: only the kernel's clock goes on during a row.
pub(crate) fn level_ages(memory: &Memory<'_>) {
    let all = || {
        entries(memory.buckets_v4)
            .map(|entry| &entry.seen)
            .chain(entries(memory.buckets_v6).map(|entry| &entry.seen))
    };
    let Some(seen) = all().map(Shared::<u32>::load).find(|seen| *seen != 0) else {
        return;
    };
    all().for_each(|cell| cell.store(seen));
}

/// Makes all flows older by so many ticks.
pub(crate) fn age(memory: &Memory<'_>, ticks: u32) {
    fn older<A: lb_common::Address>(entry: &Entry<A>, ticks: u32) {
        entry.seen.store(entry.seen.load().wrapping_sub(ticks));
    }
    entries(memory.buckets_v4).for_each(|entry| older(entry, ticks));
    entries(memory.buckets_v6).for_each(|entry| older(entry, ticks));
}

/// Makes all datagrams that are remembered for their fragments older by so many ticks.
pub(crate) fn age_datagrams(memory: &Memory<'_>, ticks: u32) {
    for datagram in memory.datagrams.iter().flat_map(|row| &row.0) {
        datagram.seen.store(datagram.seen.load().wrapping_sub(ticks));
    }
}

/// Packets and bytes from clients, packets and bytes to clients.
pub(crate) fn traffic(memory: &Memory<'_>) -> (u64, u64, u64, u64) {
    let sum = |counter: fn(&BackendCounters) -> &Shared<u64>| {
        memory
            .backend_counters
            .iter()
            .map(|row| counter(row).load())
            .sum()
    };
    (
        sum(|row| &row.packets_in),
        sum(|row| &row.bytes_in),
        sum(|row| &row.packets_out),
        sum(|row| &row.bytes_out),
    )
}

/// Flows opened and closed, over all workers and backends.
pub(crate) fn flows(memory: &Memory<'_>) -> (u64, u64) {
    memory
        .backend_counters
        .iter()
        .fold((0, 0), |(opened, closed), row| {
            (opened + row.flows_opened.load(), closed + row.flows_closed.load())
        })
}

/// Connections that a backend did not take: moved to another one, and refused.
pub(crate) fn not_taken(memory: &Memory<'_>, backend: u32) -> (u64, u64) {
    of_backend(memory, backend).fold((0, 0), |(retried, refused), row| {
        (retried + row.retried.load(), refused + row.refused.load())
    })
}

/// Established flows that a backend has reset.
pub(crate) fn resets(memory: &Memory<'_>, backend: u32) -> u64 {
    of_backend(memory, backend).map(|row| row.resets.load()).sum()
}

fn of_backend<'m>(memory: &Memory<'m>, backend: u32) -> impl Iterator<Item = &'m BackendCounters> {
    let capacity = memory.settings.backend_capacity.load() as usize;
    memory
        .backend_counters
        .iter()
        .skip(backend as usize)
        .step_by(capacity)
}

/// Has a service answer SYNs with cookies while so many flows are half-open. All of the row is in one minute: engines have
/// clocks of their own, and cookies tell the minute.
pub(crate) fn cookies(memory: &Memory<'_>, service: u32, half_open: u32) {
    memory.settings.second.store(LONG_SECOND);
    memory.services[service as usize].cookies.store(half_open + 1);
}

/// A second of which no clock has seen 64.
pub(crate) const LONG_SECOND: u32 = 1 << 30;

/// Has damaged packets to a service refused, or not. Its port goes on saying that one of its services asks for that.
pub(crate) fn verify(memory: &Memory<'_>, service: u32, verifies: bool) {
    memory.services[service as usize].verifies.store(verifies.into());
    let port = if service % ROWS == 2 { SECOND_PORT } else { PORT };
    want(memory, port, PortFilter::VERIFY);
}

/// Makes the flows of a backend end, or stay.
pub(crate) fn ends(memory: &Memory<'_>, backend: u32, ends: bool) {
    let cell = &memory.backends[backend as usize].hop;
    let kept = cell.load() & !Backend::ENDS;
    cell.store(if ends { kept | Backend::ENDS } else { kept });
}

/// What becomes of connections that a backend does not take.
pub(crate) fn retries(memory: &Memory<'_>, backend: u32, retries: Retries) {
    memory.backends[backend as usize].retries.store(retries.to_word());
}

/// Writes a list that denies one address to rows from `first` on: the word that puts it in force.
pub(crate) fn list(memory: &Memory<'_>, first: u32, address: IpAddr) -> u64 {
    let address = u128::from_be_bytes(mapped(address).octets());
    for (row, border) in memory.borders[first as usize..]
        .iter()
        .zip([address, address + 1])
    {
        let [high, low] =
            [border >> 64, border & u128::from(u64::MAX)].map(|half| half.try_into().expect("a half"));
        row.high.store(high);
        row.low.store(low);
    }
    Span { first, count: 2 }.to_word()
}

/// Packets so far, by verdict and by reason, over all workers.
pub(crate) fn packets(memory: &Memory<'_>) -> (Vec<u64>, Vec<u64>) {
    let rows = memory.packet_counters;
    let reason = |index: usize| rows.iter().map(|row| row.reasons[index].load()).sum();
    (
        memory.verdicts().to_vec(),
        (0..lb_common::Reason::ALL.len()).map(reason).collect(),
    )
}

fn backend(memory: &Memory<'_>, row: u32, address: SocketAddr, source: usize) {
    let record = &memory.backends[row as usize];
    record.hop.store(0);
    record.local.store(0);
    record.manner.store(Manner::FULL_NAT.0);
    record.retries.store(0);
    record.address.store(mapped(address.ip()));
    record.port.store(u16::from_ne_bytes(Port::new(address.port()).0));
    let first = source.try_into().expect("a few sources");
    record.sources.store(Span { first, count: 1 }.to_word());
    record.service.store(narrow(row) + 1);
    record.weight.store(1);
    record.active.store(0);
    record.maxconn.store(0);
    record.next.store(row);
}

fn service(memory: &Memory<'_>, row: u32) {
    let record = &memory.services[row as usize];
    record.scheduler.store(Service::MAGLEV);
    record.turn.store(0);
    record.active.store(0);
    record.half_open.store(0);
    record.cookies.store(0);
    record.maxconn.store(0);
    record.verifies.store(0);
}

fn virtual_address(memory: &Memory<'_>, bind: SocketAddr, protocol: u8, service: u32) {
    occupy_slot(memory, bind, protocol, service);
    let bit = if protocol == TCP {
        PortFilter::TCP
    } else {
        PortFilter::UDP
    };
    want(memory, bind.port(), bit);
}

fn occupy_slot(memory: &Memory<'_>, bind: SocketAddr, protocol: u8, service: u32) {
    let (address, port) = (mapped(bind.ip()), Port::new(bind.port()));
    let home = service::home(memory.settings, address, protocol, port) as usize;
    let places = (home..home + service::PROBES as usize).map(|place| place % memory.service_slots.len());
    let slot = places
        .map(|place| &memory.service_slots[place])
        .find(|slot| slot.key.load() == 0)
        .expect("room for a few services");
    slot.address.store(address);
    slot.key.store(SlotKey::new(protocol, port, narrow(service)).0);
}

fn bit(protocol: u8) -> u8 {
    if protocol == TCP {
        PortFilter::TCP
    } else {
        PortFilter::UDP
    }
}

/// Makes each worker answer with so many pings and errors less in this second.
pub(crate) fn answered(memory: &Memory<'_>, count: u32) {
    for note in memory.notes {
        for allowance in [&note.echoes, &note.errors] {
            allowance.used.store(count);
        }
    }
}

fn want(memory: &Memory<'_>, port: u16, bits: u8) {
    let cell = memory.settings.ports.destinations.of(Port::new(port));
    cell.store(cell.load() | bits);
}

fn narrow(number: u32) -> u16 {
    number.try_into().expect("a few rows")
}

pub(crate) fn mapped(address: IpAddr) -> V6 {
    match address {
        IpAddr::V4(address) => V4(address.octets()).mapped(),
        IpAddr::V6(address) => V6::from_octets(address.octets()),
    }
}

fn clear(memory: &Memory<'_>) {
    let mask = |rows: usize| u32::try_from(rows - 1).expect("a small table");
    memory
        .settings
        .bucket_mask_v4
        .store(mask(memory.buckets_v4.len()));
    memory
        .settings
        .bucket_mask_v6
        .store(mask(memory.buckets_v6.len()));
    let ports = &memory.settings.ports;
    let ports = ports.destinations.iter().chain(ports.sources.iter());
    ports.for_each(|(_, bits)| bits.store(0));
    memory.settings.quota_mask.store(mask(memory.quotas.len()));
    memory.settings.denied.store(0);
    for service in memory.services {
        service.denied.store(0);
        let limits = [&service.flow_rate, &service.source_flows, &service.packet_rate];
        for word in limits.into_iter().chain([&service.forwarding]) {
            word.store(0);
        }
    }
    for bucket in memory.quotas {
        let words = bucket.holders.iter().chain(&bucket.flows).chain(&bucket.packets);
        words.for_each(|word| word.store(0));
    }
    forget_the_log(memory);
    memory.service_slots.iter().for_each(|slot| slot.key.store(0));
    entries(memory.buckets_v4).for_each(empty);
    entries(memory.buckets_v6).for_each(empty);
    answered(memory, 0);
    for note in memory.notes {
        note.moves(u32::MAX, 0);
        note.echoes.since.store(0);
        note.errors.since.store(0);
    }
    for (row, record) in (0..).zip(memory.backends) {
        backend(memory, row, SocketAddr::new(Family::V4.source(), 0), 0);
        next_hop(memory, row, [0; 6], 0);
        record.service.store(0);
    }
    let datagrams = memory.datagrams.iter().flat_map(|row| &row.0);
    datagrams.for_each(|datagram| datagram.version.store(0));
    for row in memory.packet_counters {
        row.verdicts
            .iter()
            .chain(&row.reasons)
            .for_each(|counter| counter.store(0));
    }
    for row in memory.backend_counters {
        row.clear();
        row.tx.store(0);
        row.redirect.store(0);
    }
}

/// No flow is logged, and none was.
fn forget_the_log(memory: &Memory<'_>) {
    if memory.settings.flow_log.load() == 0 {
        return;
    }
    memory.settings.flow_log.store(0);
    for account in memory.accounts {
        for word in [&account.began, &account.packets, &account.bytes, &account.payload] {
            word.store(0);
        }
    }
    for ends in memory.ends {
        for word in [&ends.written, &ends.lost, &ends.read, &ends.told] {
            word.store(0);
        }
    }
}

fn empty<A: lb_common::Address>(entry: &Entry<A>) {
    entry.control.store(0);
    entry.seen.store(0);
    entry.ack.store(0);
}

fn entries<A: lb_common::Address>(buckets: &[Bucket<A>]) -> impl Iterator<Item = &Entry<A>> {
    buckets.iter().flat_map(|bucket| &bucket.0)
}
