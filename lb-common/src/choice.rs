//! Which backend a new flow goes to.

use crate::{
    address::{Address, Tuple},
    hash,
    layout::{ChoiceWord, Service, Span},
    reason::Reason,
    tables::Tables,
};

/// Seed of the hash that chooses. A constant: every balancer with the same tables chooses the same backend.
const SEED: u64 = 0x8a5c_d789_635d_2dff;

/// The index of the backend that the choice table has for this flow.
#[inline(always)]
pub fn pick<A: Address, T: Tables>(
    tables: &T,
    service: &Service,
    tuple: &Tuple<A>,
    protocol: u8,
) -> Result<u32, Reason> {
    let choices = Span::from_word(service.choices.load());
    let hash = hash::high(tuple.hash(protocol, SEED));
    let slot = hash
        .checked_rem(choices.count)
        .ok_or(Reason::NoBackend)?
        .wrapping_add(choices.first);
    let word = tables
        .choices(slot / ChoiceWord::SLOTS)
        .ok_or(Reason::NoBackend)?;
    let slot = word
        .slots
        .get((slot % ChoiceWord::SLOTS) as usize)
        .ok_or(Reason::NoBackend)?;
    Ok(slot.load())
}
