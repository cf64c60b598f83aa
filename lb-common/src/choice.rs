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

/// How many slots are looked at for a backend other than the one that is avoided. Neighbouring slots are as good as
/// independent: of two equal backends the same is found in all of them once in 65,536 times.
const TRIES: u32 = 16;

/// The row of the backend that the service's scheduler has for this flow, or of another where that one is full.
///
/// # Errors
///
/// [`Reason::NoBackend`] if the service has none, [`Reason::BackendFull`] if all that were looked at are full.
#[inline(always)]
pub fn pick<A: Address, T: Tables>(tables: &T, service: &Service, tuple: &Tuple<A>) -> Result<u32, Reason> {
    let choices = Span::from_word(service.choices.load());
    let first = slot(tables, choices, position(service, tuple))?;
    let backend = tables.backend(first).ok_or(Reason::NoBackend)?;
    if service.scheduler.load() != Service::LEAST_CONN && has_room(&backend.active, &backend.maxconn) {
        return Ok(first);
    }
    ring::least_busy(tables, first).ok_or(Reason::BackendFull)
}

/// The row of a backend for a flow that is moved away from one, which is not to be chosen where there is another.
#[inline(always)]
pub fn pick_another<A: Address, T: Tables>(
    tables: &T,
    service: &Service,
    tuple: &Tuple<A>,
    avoided: u32,
) -> Result<u32, Reason> {
    let choices = Span::from_word(service.choices.load());
    let first = position(service, tuple);
    for distance in 0..TRIES {
        let backend = slot(tables, choices, first.wrapping_add(u64::from(distance)))?;
        if backend != avoided {
            return Ok(backend);
        }
    }
    Ok(avoided)
}

/// Whether a flow's next packet would be led elsewhere, were it taken for another flow's first.
#[inline(always)]
pub(crate) fn takes_turns(service: &Service) -> bool {
    matches!(
        service.scheduler.load(),
        Service::ROUND_ROBIN | Service::LEAST_CONN
    )
}

/// Where the scheduler looks in the choice table for a flow.
#[inline(always)]
fn position<A: Address>(service: &Service, tuple: &Tuple<A>) -> u64 {
    match service.scheduler.load() {
        Service::SOURCE => u64::from(hash::high(source_hash(tuple.src))),
        Service::ROUND_ROBIN | Service::LEAST_CONN => service.turn.fetch_add(1),
        _ => u64::from(hash::high(tuple.hash(SEED))),
    }
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
