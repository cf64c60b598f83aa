//! Removing flows that are over.

use crate::{
    address::Address,
    flow::{
        control::State,
        hit::Hit,
        log::{Why, log},
        table::STRIDE,
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
/// Returns how many were removed. Those that are closed, and stay for strays, are logged once their last packets have had
/// a second to come. Safe beside a running packet path.
pub fn sweep<A: Address, T: Tables>(
    tables: &T,
    bucket: u32,
    now: u32,
    limits: impl Fn(u32) -> Limits,
) -> u32 {
    let Some(entries) = A::bucket(tables, bucket) else {
        return 0;
    };
    let (second, logs) = tables.settings().map_or((u32::MAX, false), |settings| {
        (settings.second.load(), settings.flow_log.load() != 0)
    });
    let mut removed: u32 = 0;
    let first = bucket.wrapping_mul(STRIDE);
    for (index, entry) in (first..).zip(&entries.0) {
        let hit = Hit::at(entry, index);
        let state = hit.control.state();
        if !state.has(State::READY) {
            continue;
        }
        let limit = limits(entry.way().backend()).of(state);
        let logged = if logs && state.has(State::CLOSED) {
            second
        } else {
            u32::MAX
        };
        // Before the partner is looked for, which is far away in memory.
        if entry.quiet(now) < limit.min(logged) {
            continue;
        }
        let Some(quiet) = quiet(tables, &hit, now) else {
            continue;
        };
        if quiet >= limit {
            removed = removed.wrapping_add(u32::from(hit.end(tables, Why::Over)));
        } else if quiet >= logged {
            log(tables, &hit, Why::Over);
        }
    }
    removed
}

/// For how many ticks the flow of an entry that holds one was quiet, if it stands for that. The client's entry stands for
/// both; a reply's that has lost its partner stands for itself.
fn quiet<A: Address, T: Tables>(tables: &T, hit: &Hit<'_, A>, now: u32) -> Option<u32> {
    let other = hit.partner(tables);
    if hit.control.state().has(State::REPLY) && other.is_some() {
        return None;
    }
    // Where the partner is being changed, the next sweep will know when its last packet came.
    if other.is_none() && !hit.is_alone(tables) {
        return None;
    }
    let own = hit.entry.quiet(now);
    Some(other.map_or(own, |other| other.entry.quiet(now).min(own)))
}
