//! The choice table: Maglev hashing (Eisenbud et al., NSDI 2016, section 3.4), weighted.
//!
//! A flow's hash picks a slot, the slot names the backend. Every backend prefers the slots in an order of its
//! own; the backends take turns, and each turn takes the first free slot in that order. So tables made of the
//! same backends are the same on every machine and in every version, and when a backend leaves, few slots
//! besides its own change hands.
//!
//! **Weights.** In every round a backend earns its weight as credit, and takes a turn once it has as much as the
//! heaviest backend earns: the heaviest takes a turn in every round, one of half its weight in every other. The
//! credit a backend starts with is drawn from its identity, so that light backends do not all fall due in the
//! same round. Equal weights get equal numbers of slots, give or take one.

use std::net::{IpAddr, SocketAddr};

/// A backend that may be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// What is written into the backend's slots.
    pub index: u32,
    /// Who the backend is, whatever its index; unique within a table. See [`identity`].
    pub identity: u64,
    /// Share of the slots relative to the other candidates; 0 gets none.
    pub weight: u16,
}

/// The identity of the backend at `address`: the same after restarts, in all versions and on all machines, so
/// that renaming or reordering backends moves no flow.
#[must_use]
pub fn identity(address: SocketAddr) -> u64 {
    let ip = match address.ip() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    let words = ip
        .octets()
        .map(u64::from)
        .into_iter()
        .chain([u64::from(address.port())]);
    words.fold(0, |hash, word| mix(hash ^ word))
}

/// Builds a table of `table_size` slots that each hold the index of a candidate. The order of the candidates
/// does not matter. Without a candidate that has weight the table is empty.
///
/// # Panics
///
/// Unless `table_size` is a prime, because only then does every backend's order reach every slot.
#[must_use]
pub fn build(table_size: u32, candidates: &[Candidate]) -> Vec<u32> {
    assert!(
        is_prime(table_size),
        "the size of a choice table is a prime, not {table_size}"
    );
    let turn = candidates
        .iter()
        .map(|candidate| candidate.weight.into())
        .max()
        .unwrap_or(0);
    if turn == 0 {
        return Vec::new();
    }
    let mut players = line_up(table_size, candidates, turn);
    let mut slots = Slots::new(table_size);
    loop {
        for player in &mut players {
            player.credit += player.weight;
            if player.credit >= turn {
                player.credit -= turn;
                slots.give(player.next_free(&slots), player.index);
                if slots.free == 0 {
                    return slots.owners;
                }
            }
        }
    }
}

/// The candidates that have weight, in an order that does not depend on the order they came in.
fn line_up(table_size: u32, candidates: &[Candidate], turn: u32) -> Vec<Player> {
    let mut candidates: Vec<_> = candidates
        .iter()
        .filter(|candidate| candidate.weight > 0)
        .collect();
    candidates.sort_unstable_by_key(|candidate| (candidate.identity, candidate.index));
    candidates
        .into_iter()
        .map(|candidate| Player::new(candidate, table_size, turn))
        .collect()
}

/// A candidate on its way through the slots.
struct Player {
    index: u32,
    weight: u32,
    credit: u32,
    /// The slot it prefers next.
    position: u32,
    /// From a preferred slot to the next one, `1..table_size`.
    skip: u32,
    table_size: u32,
}

impl Player {
    fn new(candidate: &Candidate, table_size: u32, turn: u32) -> Self {
        // Three independent draws: the identity under three different keys.
        let draw = |key: u64, below: u32| scale(mix(candidate.identity ^ key), below);
        Self {
            index: candidate.index,
            weight: candidate.weight.into(),
            credit: draw(0x6372_6564_6974, turn),
            position: draw(0x6f66_6673_6574, table_size),
            skip: 1 + draw(0x736b_6970, table_size - 1),
            table_size,
        }
    }

    /// Walks to the first slot in its order that is free, and past it. Terminates because the table size is
    /// prime and a slot is free.
    fn next_free(&mut self, slots: &Slots) -> u32 {
        loop {
            let slot = self.position;
            // (position + skip) mod size without the division, which would cost more than all the rest.
            let room = self.table_size - self.skip;
            self.position = if slot < room {
                slot + self.skip
            } else {
                slot - room
            };
            if slots.is_free(slot) {
                return slot;
            }
        }
    }
}

/// The table while it fills. What is taken stands in a bit map besides, which fits the CPU's first-level cache.
struct Slots {
    owners: Vec<u32>,
    taken: Vec<u64>,
    free: u32,
}

impl Slots {
    fn new(size: u32) -> Self {
        Self {
            owners: vec![0; size as usize],
            taken: vec![0; (size as usize).div_ceil(64)],
            free: size,
        }
    }

    fn is_free(&self, slot: u32) -> bool {
        self.taken[slot as usize / 64] & (1 << (slot % 64)) == 0
    }

    fn give(&mut self, slot: u32, owner: u32) {
        self.taken[slot as usize / 64] |= 1 << (slot % 64);
        self.owners[slot as usize] = owner;
        self.free -= 1;
    }
}

/// splitmix64 (Steele, Lea, Flood, OOPSLA 2014): our own copy, because the tables of all versions must agree.
fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Scales an evenly distributed hash to 0..below.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the product of a u64 and a u32, shifted by 64, fits a u32"
)]
fn scale(hash: u64, below: u32) -> u32 {
    ((u128::from(hash) * u128::from(below)) >> 64) as u32
}

fn is_prime(n: u32) -> bool {
    n >= 2 && (2..=n.isqrt()).all(|d| !n.is_multiple_of(d))
}

#[cfg(test)]
mod tests;
