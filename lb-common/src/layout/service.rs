//! Services, how packets find them, and how they find backends.

use crate::shared::Shared;

/// A slot of the service index: an open-addressed hash table from virtual address to [`Service`].
#[derive(Debug, Default)]
#[repr(C)]
pub struct ServiceSlot {
    /// Virtual address, IPv4 as IPv4-mapped, in two words as they lie in memory.
    pub address: [Shared<u64>; 2],
    /// A [`crate::service::SlotKey`]: in use, protocol, port and service; written last.
    pub key: Shared<u64>,
}

/// A service's part of the choice table for one address family.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Service {
    /// A [`Span`] of slots. Count 0: no backend is up.
    pub choices: Shared<u64>,
    /// How many flows were given out in turn, for schedulers that take turns.
    pub turn: Shared<u64>,
    /// Flows that are active, over all backends.
    pub active: Shared<u64>,
    /// The most that may be; 0: no limit.
    pub maxconn: Shared<u32>,
    /// How a backend is chosen: [`Service::MAGLEV`] or another. Whichever stands here finds backends in any slots.
    pub scheduler: Shared<u32>,
    /// The [`Span`] of slots that is the service's, of which `choices` are as many as it takes. Not for packets: the
    /// next daemon tells by it which slots are taken.
    pub slots: Shared<u64>,
    /// A [`crate::manner::Forwarding`]: what is done to its packets.
    pub forwarding: Shared<u32>,
    /// Flows that one source may open in a second; 0: no limit.
    pub flow_rate: Shared<u32>,
    /// A [`Span`] of [`super::Border`]s: who may not open flows.
    pub denied: Shared<u64>,
    /// Flows that one source may have at the same time; 0: no limit.
    pub source_flows: Shared<u32>,
    /// Packets that one source may send in a second; 0: no limit.
    pub packet_rate: Shared<u32>,
    /// Flows that are active and not established, over all backends.
    pub half_open: Shared<u64>,
    /// As long as so many flows less one are half-open, SYNs are answered with cookies; 0: never.
    pub cookies: Shared<u32>,
    /// 1 if packets whose checksums are wrong are refused, else 0.
    pub verifies: Shared<u32>,
    reserved: [u32; 12],
}

impl Service {
    /// By a hash of the flow's key.
    pub const MAGLEV: u32 = 0;
    /// By a hash of the client's address.
    pub const SOURCE: u32 = 1;
    /// One slot after the other.
    pub const ROUND_ROBIN: u32 = 2;
    /// The backend with the fewest active flows for its weight.
    pub const LEAST_CONN: u32 = 3;
}

/// Two slots of the choice table: indices of backends. The kernel gives each value of an array eight bytes.
#[derive(Debug, Default)]
#[repr(C, align(8))]
pub struct ChoiceWord {
    /// The slots.
    pub slots: [Shared<u32>; ChoiceWord::SLOTS as usize],
}

impl ChoiceWord {
    /// Slots of a word: a power of two.
    pub const SLOTS: u32 = 2;
}

/// Rows of a table that lie next to each other; one word in table memory, so that both ends change at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// First row.
    pub first: u32,
    /// Count of rows.
    pub count: u32,
}

impl Span {
    /// As it stands in table memory: the first row in the upper half, the count in the lower.
    #[inline(always)]
    #[must_use]
    pub const fn to_word(self) -> u64 {
        (self.first as u64) << 32 | self.count as u64
    }

    /// The inverse of [`Span::to_word`].
    #[inline(always)]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "each half is what is wanted")]
    pub const fn from_word(word: u64) -> Self {
        Self {
            first: (word >> 32) as u32,
            count: word as u32,
        }
    }
}

const _: () = {
    assert!(size_of::<ServiceSlot>() == 24);
    assert!(size_of::<Service>() == 128);
    assert!(size_of::<ChoiceWord>() == 8);
};
