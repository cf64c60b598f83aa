//! Making room in full buckets. Active flows are never evicted.

use crate::{
    address::Address,
    flow::{
        control::State,
        table::{Place, STRIDE, Spot},
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
    let never_opened =
        |state: State, quiet| state.has(State::READY) && !state.has(State::ESTABLISHED) && quiet > YOUNG;
    let spot = find::<A, T>(tables, place, now, |state, _| state.has(State::CLOSED))?;
    let spot = match spot {
        Some(spot) => spot,
        None => find::<A, T>(tables, place, now, never_opened)?.ok_or(Reason::FlowTableFull)?,
    };
    let hit = spot.hit(settings).ok_or(Reason::NotReady)?;
    let state = hit.control.state();
    // Looked at again: what was closed a moment ago may have been taken for another flow since.
    let evictable = state.has(State::CLOSED) || never_opened(state, hit.entry.quiet(now));
    if evictable && hit.end(tables) {
        Ok(hit.index)
    } else {
        Err(Reason::FlowContended)
    }
}

/// The first entry of the key's buckets whose state and ticks since the last packet are as wanted.
#[inline(always)]
fn find<'t, A: Address, T: Tables>(
    tables: &'t T,
    place: &Place,
    now: u32,
    wanted: impl Fn(State, u32) -> bool,
) -> Result<Option<Spot<'t, A>>, Reason> {
    for index in place.buckets {
        let bucket = A::bucket(tables, index).ok_or(Reason::NotReady)?;
        for (slot, entry) in (0..).zip(&bucket.0) {
            if wanted(entry.control().state(), entry.quiet(now)) {
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
