//! Which of the balancer's own addresses a backend sees.

use crate::{
    address::{Address, AddressCell, V6},
    layout::{Backend, Span},
    reason::Reason,
    tables::Tables,
};

/// One of the backend's source addresses, always the same for the same hash.
#[inline(always)]
pub(crate) fn pick<A: Address, T: Tables>(tables: &T, backend: &Backend, hash: u32) -> Result<A, Reason> {
    let sources = Span::from_word(backend.sources.load());
    let offset = hash.checked_rem(sources.count).ok_or(Reason::NoSource)?;
    let source = tables
        .source(sources.first.wrapping_add(offset))
        .ok_or(Reason::NoSource)?;
    Ok(A::from_mapped(AddressCell::<V6>::load(&source.address)))
}
