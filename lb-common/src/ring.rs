//! The ring of a service's backends: each that takes new flows names the next.

use crate::{room::has_room, tables::Tables};

/// How many backends are looked at for one flow. Of a larger service that is a window, which moves on by one backend
/// with each flow where the scheduler takes turns.
pub const WINDOW: u32 = 256;

/// The backend with the fewest active flows for its weight that is not full, from `first` on; among equals the one that
/// comes first.
#[inline(always)]
pub fn least_busy<T: Tables>(tables: &T, first: u32) -> Option<u32> {
    // Nobody has the weight 0, which loses against everybody.
    let (mut best, mut fewest, mut heaviest) = (first, 1_u64, 0_u64);
    let mut row = first;
    for _ in 0..WINDOW {
        let backend = tables.backend(row)?;
        let (active, weight) = (backend.active.load(), u64::from(backend.weight.load()));
        // active ÷ weight < fewest ÷ heaviest, without divisions.
        if has_room(&backend.active, &backend.maxconn)
            && active.wrapping_mul(heaviest) < fewest.wrapping_mul(weight)
        {
            (best, fewest, heaviest) = (row, active, weight);
        }
        row = backend.next.load();
        if row == first {
            break;
        }
    }
    (heaviest > 0).then_some(best)
}
