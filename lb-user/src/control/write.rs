//! Stores into the tables, in an order that never exposes a half-made state.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
};

use lb_common::{
    Address as _, Port, V4, V6,
    address::{AddressCell as _, TCP, UDP},
    layout::{ANSWER_ECHO, Backend, PortFilter, Service, Span},
    link::Link,
    manner::Manner,
    memory::Memory,
    service::{self as index, SlotKey},
    shared::Shared,
};

use super::{
    inheritance::{self, VirtualAddress},
    maglev::Candidate,
    plan::{self, List, Pool},
    statistics,
};
use crate::{
    config::types::{Protocol, Scheduler},
    next_hop::NextHop,
};

/// There is no room for a virtual address.
#[derive(Debug, thiserror::Error)]
#[error("the service index has no room for {0}: this is a fault of Ballast, please report it")]
pub struct IndexFull(SocketAddr);

/// Puts a source address into its row.
pub(super) fn source(memory: &Memory<'_>, row: u32, address: IpAddr) {
    memory.sources[row as usize].address.store(mapped(address));
}

/// Fills the rows of a list of networks.
pub(super) fn list(memory: &Memory<'_>, list: &List) {
    let rows = memory.borders.iter().skip(list.rows.first as usize);
    for (row, border) in rows.zip(&list.borders) {
        let (high, low) = halves(*border);
        row.high.store(high);
        row.low.store(low);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "each half is what is wanted")]
const fn halves(border: u128) -> (u64, u64) {
    ((border >> 64) as u64, border as u64)
}

/// Who may open flows to no service.
pub(super) fn denied(memory: &Memory<'_>, rows: Span) {
    memory.settings.denied.store(rows.to_word());
}

/// The source ports of full NAT, first and last.
pub(super) fn port_pool(memory: &Memory<'_>, (first, last): (u16, u16)) {
    let count = last - first + 1;
    change_range(
        &memory.settings.pool_first,
        &memory.settings.pool_count,
        (first, count),
    );
    // Answers come to these ports; whether they are of a flow, the flow table knows.
    for port in first..=last {
        want(memory, port, PortFilter::TCP | PortFilter::UDP);
    }
}

/// Fills a backend's row, all but its next hop.
pub(super) fn backend(
    memory: &Memory<'_>,
    row: u32,
    backend: &plan::Backend,
    (manner, service): (Manner, u16),
) {
    let record = &memory.backends[row as usize];
    record.address.store(mapped(backend.address.ip()));
    record
        .port
        .store(u16::from_ne_bytes(Port::new(backend.address.port()).0));
    record.sources.store(backend.sources.to_word());
    record.maxconn.store(limit(backend.maxconn));
    record.manner.store(manner.0);
    record.retries.store(backend.retries.to_word());
    record.service.store(service + 1);
}

/// Fills a service's row, all but its choices.
pub(super) fn service(memory: &Memory<'_>, pool: &Pool) {
    let record = &memory.services[usize::from(pool.row)];
    record.scheduler.store(match pool.scheduler {
        Scheduler::Maglev => Service::MAGLEV,
        Scheduler::Source => Service::SOURCE,
        Scheduler::RoundRobin => Service::ROUND_ROBIN,
        Scheduler::LeastConn => Service::LEAST_CONN,
    });
    record.maxconn.store(limit(pool.maxconn));
    record.denied.store(pool.denied.to_word());
    record.flow_rate.store(limit(pool.limits.new_flows_per_second));
    record.source_flows.store(limit(pool.limits.active_flows));
    record.packet_rate.store(limit(pool.limits.packets_per_second));
    record.forwarding.store(pool.forwarding() as u32);
    let slots = Span {
        first: pool.first_slot,
        // Nobody can ask for a service without virtual addresses, and it has no slots.
        count: if pool.binds.is_empty() { 0 } else { pool.table_size },
    };
    record.slots.store(slots.to_word());
    record.verifies.store(u32::from(pool.verifies));
    cookies(memory, pool);
}

/// Says from how many half-open flows on SYNs to a service are answered with cookies. Never while one of its backends
/// runs on this host, whose own stack has its own: a flow's packets pass it without the balancer's numbers.
pub(super) fn cookies(memory: &Memory<'_>, pool: &Pool) {
    let is_local = |row: &u32| memory.backends[*row as usize].local.load() != 0;
    let word = match pool.cookies_from {
        Some(count) if !pool.backends.iter().any(is_local) => count.saturating_add(1),
        Some(_) | None => 0,
    };
    memory.services[usize::from(pool.row)].cookies.store(word);
}

/// Makes the backends that take new flows a ring, with their weights. The others of the service lead into it: a packet
/// may have chosen one a moment ago.
pub(super) fn ring(memory: &Memory<'_>, backends: &[u32], candidates: &[Candidate]) {
    let rows = candidates.iter().map(|candidate| candidate.index);
    let first = rows.clone().next();
    for (candidate, next) in candidates.iter().zip(rows.clone().cycle().skip(1)) {
        let record = &memory.backends[candidate.index as usize];
        record.weight.store(candidate.weight);
        record.next.store(next);
    }
    let taking: BTreeSet<u32> = rows.collect();
    for row in backends.iter().filter(|row| !taking.contains(row)) {
        let record = &memory.backends[*row as usize];
        record.weight.store(0);
        record.next.store(first.unwrap_or(*row));
    }
}

fn limit(most: Option<NonZeroU32>) -> u32 {
    most.map_or(0, NonZeroU32::get)
}

/// Gives a backend's row up, which no choice and no flow may refer to.
pub(super) fn free_backend(memory: &Memory<'_>, row: u32) {
    let record = &memory.backends[row as usize];
    record.hop.store(record.hop.load() & Backend::HOP);
    record.drained.store(0);
    for counters in statistics::counters_of(memory, row as usize) {
        counters.clear();
    }
    record.local.store(0);
    record.active.store(0);
    record.service.store(0);
}

/// Changes a range that packets are using: at no moment does it reach beyond the old and the new one, as one row is
/// within either.
fn change_range(first: &Shared<u16>, count: &Shared<u16>, new: (u16, u16)) {
    let old = (first.load(), count.load());
    if old != new {
        count.store(old.1.min(1));
        first.store(new.0);
        count.store(new.1);
    }
}

/// Lets answers past the first, cheap look-up that come from a backend's port and go to whatever port a client has.
pub(super) fn answers(memory: &Memory<'_>, port: u16, protocol: Protocol) {
    let (_, bit) = number_and_bit(protocol);
    add(memory.settings.ports.sources.of(Port::new(port)), bit);
    for (_, destination) in memory.settings.ports.destinations.iter() {
        add(destination, PortFilter::BY_SOURCE);
    }
}

/// Changes a backend's next hop in one step.
pub(super) fn hop(memory: &Memory<'_>, row: u32, hop: &NextHop) {
    let record = &memory.backends[row as usize];
    let other = (record.hop.load() ^ Backend::HOP) | Backend::KNOWN;
    let place = &record.hops[usize::from(other & Backend::HOP != 0)];
    place.set_link(Link::new(hop.peer_mac, hop.own_mac));
    place.interface.store(hop.ifindex);
    place.mtu.store(hop.mtu);
    record.hop.store(other);
    record.local.store(0);
}

/// Says that a backend runs on this host. Answers from its port are looked for before any packet goes there.
pub(super) fn local(memory: &Memory<'_>, row: u32, protocol: Protocol, port: u16) {
    let (_, bit) = number_and_bit(protocol);
    add(memory.settings.ports.sources.of(Port::new(port)), bit);
    memory.backends[row as usize].local.store(1);
}

/// Has the flows of a backend end at their clients' next packets, or live on.
pub(super) fn ends(memory: &Memory<'_>, row: u32, ends: bool) {
    let word = &memory.backends[row as usize].hop;
    let kept = word.load() & !Backend::ENDS;
    word.store(if ends { kept | Backend::ENDS } else { kept });
}

/// Changes the slots that differ, and returns how many did. No slots: the service has no backend.
pub(super) fn choices(memory: &Memory<'_>, service: u16, first: u32, slots: &[u32]) -> usize {
    let record = &memory.services[usize::from(service)];
    let count = u32::try_from(slots.len()).unwrap_or_default();
    let mut changed = 0;
    let cells = (first..).map_while(|slot| memory.choice(slot));
    for (cell, backend) in cells.zip(slots) {
        if cell.load() != *backend {
            cell.store(*backend);
            changed += 1;
        }
    }
    record.choices.store(Span { first, count }.to_word());
    changed
}

/// Lets packets to a virtual address find its service. Last of all: before this, none do.
pub(super) fn virtual_address(
    memory: &Memory<'_>,
    address: SocketAddr,
    protocol: Protocol,
    service: u16,
) -> Result<(), IndexFull> {
    let (number, bit) = number_and_bit(protocol);
    occupy_slot(memory, address, number, service)?;
    want(memory, address.port(), bit);
    Ok(())
}

/// Makes the addresses that are known for virtual ones, whatever their ports, those of `wanted`.
pub(super) fn addresses(memory: &Memory<'_>, mut wanted: BTreeSet<IpAddr>) -> Result<(), IndexFull> {
    for slot in memory.service_slots {
        let protocol = SlotKey(slot.key.load()).protocol_and_port();
        let is_address = protocol.is_some_and(|(number, _)| number == index::ADDRESS);
        if is_address && !wanted.remove(&inheritance::address(&slot.address)) {
            slot.key.store(SlotKey::REMOVED.0);
        }
    }
    for address in wanted {
        occupy_slot(memory, SocketAddr::new(address, 0), index::ADDRESS, 0)?;
    }
    Ok(())
}

/// Whether pings of virtual addresses are answered.
pub(super) fn echo(memory: &Memory<'_>, answered: bool) {
    memory.settings.echo.store(if answered { ANSWER_ECHO } else { 0 });
}

/// Puts an address, port and protocol into a slot of the index that nothing uses.
fn occupy_slot(memory: &Memory<'_>, address: SocketAddr, number: u8, service: u16) -> Result<(), IndexFull> {
    let (ip, port) = (mapped(address.ip()), Port::new(address.port()));
    let home = index::home(memory.settings, ip, number, port);
    let mask = memory.settings.service_mask.load();
    let slot = (0..index::PROBES)
        .map(|distance| &memory.service_slots[(home.wrapping_add(distance) & mask) as usize])
        .find(|slot| matches!(SlotKey(slot.key.load()), SlotKey(0) | SlotKey::REMOVED))
        .ok_or(IndexFull(address))?;
    slot.address.store(ip);
    slot.key.store(SlotKey::new(number, port, service).0);
    Ok(())
}

/// Makes the virtual addresses that are in the index those of `wanted`, each with the row of its service; returns
/// those that are not there yet. Ports stay let past the first look-up: flows to them may live on.
pub(super) fn known_addresses(
    memory: &Memory<'_>,
    mut wanted: BTreeMap<VirtualAddress, u16>,
) -> BTreeMap<VirtualAddress, u16> {
    for slot in memory.service_slots {
        let key = SlotKey(slot.key.load());
        let Some((number, port)) = key.protocol_and_port() else {
            continue;
        };
        if number == index::ADDRESS {
            continue;
        }
        let new = match inheritance::virtual_address(slot).and_then(|address| wanted.remove(&address)) {
            Some(service) => SlotKey::new(number, port, service),
            None => SlotKey::REMOVED,
        };
        if new != key {
            slot.key.store(new.0);
        }
    }
    wanted
}

/// Lets packets to a port past the first, cheap look-up.
fn want(memory: &Memory<'_>, port: u16, bits: u8) {
    add(memory.settings.ports.destinations.of(Port::new(port)), bits);
}

fn add(cell: &Shared<u8>, bits: u8) {
    cell.store(cell.load() | bits);
}

/// Has packets verified that come to the ports of services that ask for it, and no others.
pub(super) fn verified_ports(memory: &Memory<'_>, pools: &[Pool]) {
    let asking = pools.iter().filter(|pool| pool.verifies);
    let ports: BTreeSet<u16> = asking
        .flat_map(|pool| &pool.binds)
        .map(SocketAddr::port)
        .collect();
    for (port, cell) in memory.settings.ports.destinations.iter() {
        let others = cell.load() & !PortFilter::VERIFY;
        cell.store(if ports.contains(&port.number()) {
            others | PortFilter::VERIFY
        } else {
            others
        });
    }
}

/// A protocol's number.
pub(super) fn number(protocol: Protocol) -> u8 {
    number_and_bit(protocol).0
}

/// A protocol's number, and its bit in the [`PortFilter`].
fn number_and_bit(protocol: Protocol) -> (u8, u8) {
    match protocol {
        Protocol::Tcp => (TCP, PortFilter::TCP),
        Protocol::Udp => (UDP, PortFilter::UDP),
    }
}

fn mapped(address: IpAddr) -> V6 {
    match address {
        IpAddr::V4(address) => V4(address.octets()).mapped(),
        IpAddr::V6(address) => V6::from_octets(address.octets()),
    }
}
