//! Making room in full buckets. Active flows are never evicted, and of the others the oldest goes.
//!
//! That is what a table of their own would do for half-open flows, without a second look-up for each packet: a flood of
//! SYNs pushes out its own oldest ones. How long a handshake may take is then what the table has room for, rather than
//! a limit that is too short for distant clients or too long for a small table.

use crate::{
    address::Address,
    flow::{
        control::State,
        log::Why,
        table::{STRIDE, Spot},
    },
    reason::Reason,
    shared::Shared,
    tables::Tables,
};

/// Frees an entry of the buckets in which [`claim`](super::claim) has just found none: of the flow that has been closed for
/// longest, or else of the one that has waited longest for its handshake. None, if all of them hold active flows, or
/// handshakes that are too young to be given up, or if another CPU changes the one that is to go. Says whether it did.
#[inline(always)]
#[must_use]
pub fn make_room<A: Address, T: Tables>(tables: &T, now: u32) -> bool {
    let Some(settings) = tables.settings() else {
        return false;
    };
    let Ok(spot) = oldest::<A, T>(tables, now) else {
        return false;
    };
    let Some(hit) = spot.hit() else {
        return false;
    };
    // Looked at again: what was closed a moment ago may be another flow by now.
    let state = hit.control.state();
    let is_old =
        state.has(State::READY) && !state.has(State::ESTABLISHED) && hit.entry.quiet(now) > settings.youth();
    (state.has(State::CLOSED) || is_old) && hit.end(tables, Why::Evicted)
}

/// The entry of the noted buckets that is to go first.
#[inline(always)]
fn oldest<A: Address, T: Tables>(tables: &T, now: u32) -> Result<Spot<'_, A>, Reason> {
    /// Each candidate's number stands below its rank: one word to compare.
    const NUMBER_BITS: u32 = 3;

    // In memory, through which the verifier does not follow how an entry came to be first: it would else go through all
    // that comes after for every combination of ranks. And step by step, or else LLVM keeps all ranks on the stack.
    let note = tables.note().ok_or(Reason::NotReady)?;
    let (first, buckets) = (&note.opaque, note.full.each_ref().map(Shared::<u32>::load));
    first.store(0);
    for (index, base) in buckets.into_iter().zip([0, STRIDE]) {
        let bucket = A::bucket(tables, index).ok_or(Reason::NotReady)?;
        for (slot, entry) in (base..).zip(&bucket.0) {
            let rank = rank(entry.control().state(), entry.seen.load(), now);
            first.store(greater(first.load(), rank << NUMBER_BITS | u64::from(slot)));
        }
    }
    let first = first.load();
    if first >> NUMBER_BITS == 0 {
        return Err(Reason::FlowTableFull);
    }
    let number = (first & 0b111) as u32;
    let [one, other] = buckets;
    let index = if number < STRIDE { one } else { other };
    Ok(Spot {
        bucket: A::bucket(tables, index).ok_or(Reason::NotReady)?,
        number: index,
        slot: number & (STRIDE - 1),
    })
}

/// How soon an entry goes: closed flows before those that never opened, older ones before younger ones; 0: not at all.
/// Without branches, since the verifier would follow each for each entry.
#[inline(always)]
fn rank(state: State, seen: u32, now: u32) -> u64 {
    let bit = |of: State| u64::from(state.0 >> of.0.trailing_zeros() & 1);
    // With its highest bit turned, what a clock ahead of ours has written is younger than all else.
    let age = u64::from(now.wrapping_sub(seen) ^ 1 << 31);
    let closed = bit(State::CLOSED);
    let goes = closed | bit(State::READY) & (bit(State::ESTABLISHED) ^ 1);
    (closed << 33 | 1 << 32 | age) & 0_u64.wrapping_sub(goes)
}

/// The greater one, of two numbers below 2⁶³; without a branch too.
#[inline(always)]
const fn greater(one: u64, other: u64) -> u64 {
    let is_less = 0_u64.wrapping_sub(one.wrapping_sub(other) >> 63);
    one ^ (one ^ other) & is_less
}
