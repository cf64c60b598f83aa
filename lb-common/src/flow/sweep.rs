//! Removing flows that are over.

use crate::{
    address::Address,
    flow::{
        control::State,
        table::{Hit, partner},
        track,
    },
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
    limits: impl Fn(u16) -> Limits,
) -> u32 {
    let Some(entries) = A::bucket(tables, bucket) else {
        return 0;
    };
    let mut removed: u32 = 0;
    let first = bucket.wrapping_mul(super::table::STRIDE);
    for (index, entry) in (first..).zip(&entries.0) {
        let hit = Hit {
            entry,
            index,
            control: entry.control(),
        };
        // The client's entry stands for both; a reply's that has lost its partner goes by itself.
        if !hit.control.state().has(State::READY) {
            continue;
        }
        let other = partner(tables, entry, index);
        if hit.control.state().has(State::REPLY) && other.is_some() {
            continue;
        }
        let age = |hit: &Hit<'_, A>| now.wrapping_sub(hit.entry.seen.load());
        let quiet = other
            .as_ref()
            .map_or(age(&hit), |other| age(other).min(age(&hit)));
        // Written a moment ago, by a clock that is ahead of ours.
        let quiet = if quiet > u32::MAX / 2 { 0 } else { quiet };
        let backend = entry.backend();
        if !hit.is_current() || quiet < limits(backend).of(hit.control.state()) || !hit.remove() {
            continue;
        }
        if let Some(other) = other {
            // Where a CPU was faster, the entry is free or another flow's already.
            let _ours = other.remove();
        }
        if !hit.control.state().has(State::CLOSED) {
            track::count_closed(tables, backend);
        }
        removed = removed.wrapping_add(1);
    }
    removed
}
