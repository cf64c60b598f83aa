//! Making room in full buckets. Active flows are never evicted, and of the others the oldest goes.
//!
//! That is what a table of their own would do for half-open flows, without a second look-up for each packet: a flood of
//! SYNs pushes out its own oldest ones. How long a handshake may take is then what the table has room for, rather than
//! a limit that is too short for distant clients or too long for a small table.

use crate::{
    address::Address,
    flow::{
        control::State,
        table::{Place, STRIDE, Spot},
    },
    reason::Reason,
    tables::Tables,
};

/// Frees an entry of the key's buckets and says where it stands: of the flow that has been closed for longest, or else of
/// the one that has waited longest for its handshake.
///
/// # Errors
///
/// [`Reason::FlowTableFull`] if all of them hold active flows, or handshakes that are too young to be given up.
#[inline(never)]
pub(super) fn room<A: Address, T: Tables>(tables: &T, place: &Place, now: u32) -> Result<u32, Reason> {
    let settings = tables.settings().ok_or(Reason::NotReady)?;
    let youth = settings.youth();
    let spot = oldest::<A, T>(tables, place, now, youth)?;
    let hit = spot.hit(settings).ok_or(Reason::NotReady)?;
    // Looked at again: what was closed a moment ago may be another flow by now.
    if rank(hit.control.state(), hit.entry.quiet(now), youth) != 0 && hit.end(tables) {
        Ok(hit.index)
    } else {
        Err(Reason::FlowContended)
    }
}

/// The entry of the key's buckets that is to go first.
#[inline(always)]
fn oldest<'t, A: Address, T: Tables>(
    tables: &'t T,
    place: &Place,
    now: u32,
    youth: u32,
) -> Result<Spot<'t, A>, Reason> {
    /// Each candidate's number stands below its rank: one word to compare, which the verifier takes for one number
    /// where it would follow every combination of a rank and a place.
    const NUMBER_BITS: u32 = 3;

    let mut first: u64 = 0;
    for (index, base) in place.buckets.into_iter().zip([0, STRIDE]) {
        let bucket = A::bucket(tables, index).ok_or(Reason::NotReady)?;
        for (slot, entry) in (base..).zip(&bucket.0) {
            let rank = rank(entry.control().state(), entry.quiet(now), youth);
            first = first.max(rank << NUMBER_BITS | u64::from(slot));
        }
    }
    if first >> NUMBER_BITS == 0 {
        return Err(Reason::FlowTableFull);
    }
    let number = (first & 0b111) as u32;
    let [one, other] = place.buckets;
    let index = if number < STRIDE { one } else { other };
    Ok(Spot {
        bucket: A::bucket(tables, index).ok_or(Reason::NotReady)?,
        base: index.wrapping_mul(STRIDE),
        slot: number & (STRIDE - 1),
    })
}

/// How soon an entry goes: closed flows before those that never opened, older ones before younger ones; 0: not at all.
#[inline(always)]
fn rank(state: State, quiet: u32, youth: u32) -> u64 {
    if state.has(State::CLOSED) {
        1 << 32 | u64::from(quiet)
    } else if state.has(State::READY) && !state.has(State::ESTABLISHED) && quiet > youth {
        u64::from(quiet)
    } else {
        0
    }
}
