//! Which of the balancer's own addresses a backend sees.

use crate::{
    address::{Address, AddressCell, V6},
    hash,
    layout::{Backend, Span},
    reason::Reason,
    tables::Tables,
};

/// One of the backend's source addresses, always the same for the same hash.
#[inline(always)]
pub(crate) fn pick<A: Address, T: Tables>(tables: &T, backend: &Backend, hash: u32) -> Result<A, Reason> {
    let sources = Span::from_word(backend.sources.load());
    if sources.count == 0 {
        return Err(Reason::NoSource);
    }
    // So many of as many parts of all hashes: a multiplication where a remainder would be a division.
    let offset = u64::from(hash).wrapping_mul(u64::from(sources.count));
    let source = tables
        .source(sources.first.wrapping_add(hash::high(offset)))
        .ok_or(Reason::NoSource)?;
    Ok(A::from_mapped(AddressCell::<V6>::load(&source.address)))
}
