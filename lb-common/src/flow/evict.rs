//! Making room in full buckets. Active flows are never evicted.

use crate::{
    address::Address,
    flow::{
        control::State,
        table::{Hit, Place, STRIDE, Spot, partner},
        track,
    },
    reason::Reason,
    tables::Tables,
};

/// A flow that opened less than this many ticks ago may still be answered.
const YOUNG: u32 = 25;

/// Frees an entry of the key's buckets and says where it stands: of a flow that is closed, or else of one that never opened.
///
/// # Errors
///
/// [`Reason::FlowTableFull`] if all of them hold active flows.
#[inline(never)]
pub(super) fn room<A: Address, T: Tables>(tables: &T, place: &Place, now: u32) -> Result<u32, Reason> {
    let settings = tables.settings().ok_or(Reason::NotReady)?;
    let spot = find::<A, T>(tables, place, |state, _| state.has(State::CLOSED))?;
    let spot = match spot {
        Some(spot) => spot,
        None => find::<A, T>(tables, place, |state, seen| {
            state.has(State::READY) && !state.has(State::ESTABLISHED) && now.wrapping_sub(seen) > YOUNG
        })?
        .ok_or(Reason::FlowTableFull)?,
    };
    let (entry, index) = spot.entry(settings).ok_or(Reason::NotReady)?;
    let hit = Hit {
        entry,
        index,
        control: entry.control(),
    };
    let state = hit.control.state();
    let backend = entry.backend();
    let other = partner(tables, entry, index);
    // Looked at again: what was closed a moment ago may have been taken for an active flow since.
    if !state.has(State::READY) || state.has(State::ESTABLISHED) && !state.has(State::CLOSED) || !hit.remove()
    {
        return Err(Reason::FlowContended);
    }
    if let Some(other) = other {
        // Where another CPU was faster, the entry is free or another flow's already.
        let _ours = other.remove();
    }
    if !state.has(State::CLOSED) {
        track::count_closed(tables, backend);
    }
    Ok(index)
}

/// The first entry of the key's buckets whose state and time of last packet are as wanted.
#[inline(always)]
fn find<'t, A: Address, T: Tables>(
    tables: &'t T,
    place: &Place,
    wanted: impl Fn(State, u32) -> bool,
) -> Result<Option<Spot<'t, A>>, Reason> {
    for index in place.buckets {
        let bucket = A::bucket(tables, index).ok_or(Reason::NotReady)?;
        for (slot, entry) in (0..).zip(&bucket.0) {
            if wanted(entry.control().state(), entry.seen.load()) {
                return Ok(Some(Spot {
                    bucket,
                    base: index.wrapping_mul(STRIDE),
                    slot,
                }));
            }
        }
    }
    Ok(None)
}
