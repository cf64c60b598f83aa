//! Removing flows that are over.

use crate::{
    address::Address,
    flow::{control::State, hit::Hit, table::STRIDE},
    tables::Tables,
};

/// After how many ticks without a packet in either direction a flow goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Established, or a UDP flow that was answered.
    pub established: u32,
    /// Not established yet.
    pub half_open: u32,
    /// Closed: strays of it may still be on their way (RFC 9293 3.4.2, MSL).
    pub closed: u32,
}

impl Limits {
    fn of(&self, state: State) -> u32 {
        if state.has(State::CLOSED) {
            self.closed
        } else if state.has(State::ESTABLISHED) {
            self.established
        } else {
            self.half_open
        }
    }
}

/// Looks at one bucket and removes the flows that were quiet for longer than `limits` has for their backend.
/// Returns how many were removed. Safe beside a running packet path.
pub fn sweep<A: Address, T: Tables>(
    tables: &T,
    bucket: u32,
    now: u32,
    limits: impl Fn(u32) -> Limits,
) -> u32 {
    let Some(entries) = A::bucket(tables, bucket) else {
        return 0;
    };
    let mut removed: u32 = 0;
    let first = bucket.wrapping_mul(STRIDE);
    for (index, entry) in (first..).zip(&entries.0) {
        let hit = Hit::at(entry, index);
        if is_over(tables, &hit, now, &limits) && hit.end(tables) {
            removed = removed.wrapping_add(1);
        }
    }
    removed
}

/// Whether the entry is of a flow that was quiet for long enough. The client's entry stands for both; a reply's
/// that has lost its partner stands for itself.
fn is_over<A: Address, T: Tables>(
    tables: &T,
    hit: &Hit<'_, A>,
    now: u32,
    limits: impl Fn(u32) -> Limits,
) -> bool {
    let state = hit.control.state();
    let other = hit.partner(tables);
    if !state.has(State::READY) || state.has(State::REPLY) && other.is_some() {
        return false;
    }
    // Where the partner is being changed, the next sweep will know when its last packet came.
    if other.is_none() && !hit.is_alone(tables) {
        return false;
    }
    let own = hit.entry.quiet(now);
    let quiet = other.map_or(own, |other| other.entry.quiet(now).min(own));
    quiet >= limits(hit.entry.way().backend()).of(state)
}
