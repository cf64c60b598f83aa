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

/// How many slots are looked at for a backend other than the one that is avoided. Neighbouring slots are as good as
/// independent: of two equal backends the same is found in all of them once in 65,536 times.
const TRIES: u32 = 16;

/// The index of the backend that the choice table has for this flow.
#[inline(always)]
pub fn pick<A: Address, T: Tables>(
    tables: &T,
    service: &Service,
    tuple: &Tuple<A>,
    protocol: u8,
) -> Result<u32, Reason> {
    let choices = Span::from_word(service.choices.load());
    at(tables, choices, hash::high(tuple.hash(protocol, SEED)))
}

/// The same, but for one backend that is not to be chosen where there is another.
#[inline(always)]
pub fn pick_another<A: Address, T: Tables>(
    tables: &T,
    service: &Service,
    tuple: &Tuple<A>,
    protocol: u8,
    avoided: u32,
) -> Result<u32, Reason> {
    let choices = Span::from_word(service.choices.load());
    let first = hash::high(tuple.hash(protocol, SEED));
    for distance in 0..TRIES {
        let backend = at(tables, choices, first.wrapping_add(distance))?;
        if backend != avoided {
            return Ok(backend);
        }
    }
    Ok(avoided)
}

/// The backend in the slot that a hash leads to.
#[inline(always)]
fn at<T: Tables>(tables: &T, choices: Span, hash: u32) -> Result<u32, Reason> {
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
