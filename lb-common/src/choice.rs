//! Which backend a new flow goes to.

use crate::{
    address::{Address, Tuple},
    hash,
    layout::Service,
    reason::Reason,
    tables::Tables,
};

/// Seed of the hash that chooses. A constant: every balancer with the same tables chooses the same backend.
const SEED: u64 = 0x8a5c_d789_635d_2dff;

/// The place of a service's choices in the choice table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choices {
    /// First slot.
    pub first: u32,
    /// Count of slots.
    pub count: u32,
}

impl Choices {
    /// As it stands in [`Service::choices`].
    #[must_use]
    pub const fn to_word(self) -> u64 {
        (self.first as u64) << 32 | self.count as u64
    }

    /// The inverse of [`Choices::to_word`].
    #[inline(always)]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "each half is what is wanted")]
    pub const fn from_word(word: u64) -> Self {
        Self {
            first: (word >> 32) as u32,
            count: word as u32,
        }
    }
}

/// The index of the backend that the choice table has for this flow.
#[inline(always)]
pub fn pick<A: Address, T: Tables>(
    tables: &T,
    service: &Service,
    tuple: &Tuple<A>,
    protocol: u8,
) -> Result<u16, Reason> {
    let choices = Choices::from_word(service.choices.load());
    let hash = hash::high(tuple.hash(protocol, SEED));
    let slot = hash
        .checked_rem(choices.count)
        .ok_or(Reason::NoBackend)?
        .wrapping_add(choices.first);
    let word = tables.choices(slot >> 2).ok_or(Reason::NoBackend)?;
    let slot = word.slots.get((slot & 3) as usize).ok_or(Reason::NoBackend)?;
    Ok(slot.load())
}
