//! What tables hold that packets are forwarded by already, so that a new plan gives nobody's row to somebody else.
//!
//! It is read from the tables themselves: there is no second account of them that could be lost or out of date. A
//! service is known by its virtual addresses, a backend by its service and address: names may change.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use lb_common::{
    Port,
    address::{AddressCell as _, TCP, UDP},
    layout::{Backend, ChoiceWord, Service, ServiceSlot, Span},
    memory::Memory,
    service::SlotKey,
    shared::Shared,
};

use crate::config::types::Protocol;

/// What packets are sent to.
pub(super) type VirtualAddress = (Protocol, SocketAddr);

/// Rows that are taken, and what for. Empty for new tables.
#[derive(Debug)]
pub(super) struct Inheritance {
    /// Rows of services.
    pub(super) services: BTreeMap<VirtualAddress, u16>,
    /// Slots of the choice table that a service has.
    pub(super) slots: BTreeMap<u16, Span>,
    /// Rows of backends, by the row of their service and their address.
    pub(super) backends: BTreeMap<(u16, SocketAddr), u32>,
    /// By row, whether new flows go to the backend.
    pub(super) chosen: Vec<bool>,
    /// Source addresses of full NAT, by their first row, besides those that are one backend's own.
    pub(super) sources: BTreeMap<u32, Vec<IpAddr>>,
    /// Lists of networks, by their first row.
    pub(super) lists: BTreeMap<u32, Vec<u128>>,
    /// How large the tables are.
    pub(super) sizes: Sizes,
}

/// Rows that tables have.
#[derive(Debug)]
pub(super) struct Sizes {
    /// Of services.
    pub(super) services: usize,
    /// Slots of all choice tables.
    pub(super) choices: u32,
    /// Of lists of networks.
    pub(super) borders: u32,
    /// Of backends.
    pub(super) backends: usize,
    /// Of source addresses that are not one backend's own; those come after them.
    pub(super) shared_sources: usize,
}

impl Inheritance {
    /// Reads the tables.
    pub(super) fn of(memory: &Memory<'_>) -> Self {
        let services: BTreeMap<VirtualAddress, u16> = memory
            .service_slots
            .iter()
            .filter_map(|slot| Some((virtual_address(slot)?, service_row(slot)?)))
            .collect();
        let rows: BTreeSet<u16> = services.values().copied().collect();
        let sizes = Sizes::of(memory);
        Self {
            chosen: chosen(
                memory,
                spans(memory, &rows, |service| &service.choices).into_values(),
            ),
            backends: backends(memory),
            sources: shared_sources(memory, &sizes),
            slots: spans(memory, &rows, |service| &service.slots),
            lists: lists(memory, &rows),
            services,
            sizes,
        }
    }
}

impl Sizes {
    fn of(memory: &Memory<'_>) -> Self {
        Self {
            services: memory.services.len(),
            choices: u32::try_from(memory.choices.len())
                .unwrap_or(u32::MAX)
                .saturating_mul(ChoiceWord::SLOTS),
            borders: u32::try_from(memory.borders.len()).unwrap_or(u32::MAX),
            backends: memory.backends.len(),
            shared_sources: memory.sources.len().saturating_sub(memory.backends.len()),
        }
    }
}

/// The virtual address in a slot of the index, if there is one.
pub(super) fn virtual_address(slot: &ServiceSlot) -> Option<VirtualAddress> {
    let (number, port) = SlotKey(slot.key.load()).protocol_and_port()?;
    let protocol = protocol(number)?;
    Some((protocol, SocketAddr::new(address(&slot.address), port.number())))
}

/// The transport protocol of that number.
pub(super) fn protocol(number: u8) -> Option<Protocol> {
    match number {
        TCP => Some(Protocol::Tcp),
        UDP => Some(Protocol::Udp),
        _ => None,
    }
}

fn service_row(slot: &ServiceSlot) -> Option<u16> {
    u16::try_from(SlotKey(slot.key.load()).service()).ok()
}

/// By service, a span that its row holds, if there is anything in it.
fn spans(
    memory: &Memory<'_>,
    services: &BTreeSet<u16>,
    word: fn(&Service) -> &Shared<u64>,
) -> BTreeMap<u16, Span> {
    let of = |row: &u16| {
        let span = Span::from_word(word(memory.services.get(usize::from(*row))?).load());
        (span.count > 0).then_some((*row, span))
    };
    services.iter().filter_map(of).collect()
}

/// The lists of networks that packets are asked by.
fn lists(memory: &Memory<'_>, services: &BTreeSet<u16>) -> BTreeMap<u32, Vec<u128>> {
    let of_services = spans(memory, services, |service| &service.denied).into_values();
    let global = Span::from_word(memory.settings.denied.load());
    let borders = |span: Span| {
        let rows = memory
            .borders
            .iter()
            .skip(span.first as usize)
            .take(span.count as usize);
        rows.map(|row| u128::from(row.high.load()) << 64 | u128::from(row.low.load()))
            .collect()
    };
    let in_use = of_services.chain([global]).filter(|span| span.count > 0);
    in_use.map(|span| (span.first, borders(span))).collect()
}

/// By row, whether a backend is among the choices of a service.
fn chosen(memory: &Memory<'_>, choices: impl Iterator<Item = Span>) -> Vec<bool> {
    let mut chosen = vec![false; memory.backends.len()];
    for Span { first, count } in choices {
        let slots = (first..first.saturating_add(count)).map_while(|slot| memory.choice(slot));
        for slot in slots {
            if let Some(chosen) = chosen.get_mut(slot.load() as usize) {
                *chosen = true;
            }
        }
    }
    chosen
}

fn backends(memory: &Memory<'_>) -> BTreeMap<(u16, SocketAddr), u32> {
    let rows = (0..).zip(memory.backends);
    rows.filter_map(|(row, record)| {
        let service = record.service.load().checked_sub(1)?;
        Some(((service, backend_address(record)), row))
    })
    .collect()
}

/// Where a backend is.
pub(crate) fn backend_address(record: &Backend) -> SocketAddr {
    let port = Port(record.port.load().to_ne_bytes());
    SocketAddr::new(address(&record.address), port.number())
}

fn shared_sources(memory: &Memory<'_>, sizes: &Sizes) -> BTreeMap<u32, Vec<IpAddr>> {
    let ranges = memory
        .backends
        .iter()
        .filter(|record| record.service.load() != 0)
        .map(|record| Span::from_word(record.sources.load()))
        .filter(|span| (span.first as usize) < sizes.shared_sources);
    ranges
        .map(|Span { first, count }| {
            let rows = memory.sources.iter().skip(first as usize).take(count as usize);
            (first, rows.map(|row| address(&row.address)).collect())
        })
        .collect()
}

/// An address of table memory.
pub(super) fn address(cell: &[Shared<u64>; 2]) -> IpAddr {
    Ipv6Addr::from(cell.load().octets()).to_canonical()
}
