//! Which backend a new flow goes to.

use crate::{
    address::{Address, Tuple},
    hash::{self, mix},
    layout::{ChoiceWord, Service, Span},
    reason::Reason,
    ring,
    room::has_room,
    tables::Tables,
};

/// Seed of the hash that chooses. A constant: every balancer with the same tables chooses the same backend.
const SEED: u64 = 0x8a5c_d789_635d_2dff;

/// The row of the backend that the service's scheduler has for this flow, or of another where that one is full.
///
/// # Errors
///
/// [`Reason::NoBackend`] if the service has none, [`Reason::BackendFull`] if all that were looked at are full.
#[inline(always)]
pub fn pick<A: Address, T: Tables>(
    tables: &T,
    service: &Service,
    tuple: &Tuple<A>,
    protocol: u8,
) -> Result<u32, Reason> {
    let scheduler = service.scheduler.load();
    let position = match scheduler {
        Service::SOURCE => u64::from(hash::high(source_hash(tuple.src))),
        Service::ROUND_ROBIN | Service::LEAST_CONN => service.turn.fetch_add(1),
        _ => u64::from(hash::high(tuple.hash(protocol, SEED))),
    };
    let first = slot(tables, Span::from_word(service.choices.load()), position)?;
    let backend = tables.backend(first).ok_or(Reason::NoBackend)?;
    if scheduler != Service::LEAST_CONN && has_room(&backend.active, &backend.maxconn) {
        return Ok(first);
    }
    ring::least_busy(tables, first).ok_or(Reason::BackendFull)
}

/// Whether a flow's next packet would be led elsewhere, were it taken for another flow's first.
#[inline(always)]
pub(crate) fn takes_turns(service: &Service) -> bool {
    matches!(
        service.scheduler.load(),
        Service::ROUND_ROBIN | Service::LEAST_CONN
    )
}

/// What the choice table has at a position, of which there are as many as there are numbers.
#[inline(always)]
fn slot<T: Tables>(tables: &T, choices: Span, position: u64) -> Result<u32, Reason> {
    let offset = position
        .checked_rem(u64::from(choices.count))
        .ok_or(Reason::NoBackend)?;
    let slot = choices.first.wrapping_add(hash::low(offset));
    let word = tables
        .choices(slot / ChoiceWord::SLOTS)
        .ok_or(Reason::NoBackend)?;
    let slot = word
        .slots
        .get((slot % ChoiceWord::SLOTS) as usize)
        .ok_or(Reason::NoBackend)?;
    Ok(slot.load())
}

/// A hash of the client's address alone.
#[inline(always)]
fn source_hash<A: Address>(source: A) -> u64 {
    let (first, second) = source.words();
    hash::finish(mix(mix(SEED, first), second))
}
