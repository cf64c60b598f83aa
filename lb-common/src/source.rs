//! Which of the balancer's own addresses a backend sees.

use crate::{
    address::Address,
    hash,
    layout::{Backend, Span},
    reason::{OrRefuse as _, Reason, seldom},
    tables::Tables,
};

/// One of the backend's source addresses, always the same for the same hash.
#[inline(always)]
pub(crate) fn pick<A: Address, T: Tables>(tables: &T, backend: &Backend, hash: u32) -> Result<A, Reason> {
    let sources = Span::from_word(backend.sources.load());
    if sources.count == 0 {
        return Err(seldom(Reason::NoSource));
    }
    // So many of as many parts of all hashes: a multiplication where a remainder would be a division.
    let offset = u64::from(hash).wrapping_mul(u64::from(sources.count));
    let source = tables
        .source(sources.first.wrapping_add(hash::high(offset)))
        .or_refuse(Reason::NoSource)?;
    Ok(A::stored(&source.address))
}
