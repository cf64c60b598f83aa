//! What the stages of a packet's way leave for each other.

use crate::shared::Shared;

/// What one stage of a packet's way leaves for the next. One per worker: nobody else runs there before the packet's way
/// has ended.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Note {
    /// The backend of the packet's flow.
    pub backend: Shared<u32>,
    /// A hash of the packet's flow, for what is to differ between flows and not within one.
    pub hash: Shared<u32>,
    /// Not 0 if the packet opens a TCP connection.
    pub opens: Shared<u32>,
    /// The backend that the flow is moved away from, plus one; 0: it is a new flow. Whoever chooses takes it.
    pub avoided: Shared<u32>,
    /// How often the flow was moved.
    pub attempts: Shared<u32>,
    /// Where the packet's headers are: a [`crate::parse::Place`].
    pub place: Shared<u32>,
    /// For a number that passes through memory within a stage, lest the verifier know more of it than it should.
    pub opaque: Shared<u64>,
    /// What the packet's sender is to be told: the length in bytes that it exceeds, or 0 for its TTL.
    pub mtu: Shared<u32>,
    /// Pings answered.
    pub echoes: Allowance,
    /// ICMP errors sent.
    pub errors: Allowance,
    /// Where the source's active flows are counted among which the new one is counted already: its place in the table of
    /// quotas plus one; 0: nowhere.
    pub quota: Shared<u32>,
    /// 1 if packets of the new flow are counted among their source's, else 0.
    pub meters: Shared<u32>,
    /// Not 0 if the packet was counted among its source's and let through.
    pub metered: Shared<u32>,
    /// The cookie that the client of the flow has proven; 0: it has proven none.
    pub cookie: Shared<u32>,
    /// Packets shown to who watches.
    pub shown: Allowance,
    /// How many were shown since the watch began: the number of the next.
    pub sightings: Shared<u32>,
    /// How many more were not, as they were too many in a second.
    pub unshown: Shared<u32>,
    /// Not 0 if the packet's checksums were verified, or need not be.
    pub verified: Shared<u32>,
    /// The two buckets of the flow table in which there was no free entry.
    pub full: [Shared<u32>; 2],
    /// How often room was made in them for the new flow.
    pub rooms: Shared<u32>,
    /// Not 0 if the packet's client opens a flow anew whose last one is closed and lingers. Whoever chooses takes it.
    pub lingers: Shared<u32>,
    /// The control word of that one's entry, the client's.
    pub lingering: Shared<u64>,
    /// Where that stands.
    pub lingers_at: Shared<u32>,
    reserved: [u32; 3],
}

impl Note {
    /// Notes for whoever chooses that a flow is moved for the `attempts`th time, away from a backend.
    #[inline(always)]
    pub fn moves(&self, backend: u32, attempts: u8) {
        self.avoided.store(backend.wrapping_add(1));
        self.attempts.store(u32::from(attempts));
    }

    /// The backend that the flow is moved away from, if it is; the next flow is a new one again.
    #[inline(always)]
    #[must_use]
    pub fn take_avoided(&self) -> Option<u32> {
        let avoided = self.avoided.load().checked_sub(1);
        match avoided {
            Some(_) => self.avoided.store(0),
            None => self.attempts.store(0),
        }
        avoided
    }

    /// Takes a mark that a stage has left for the packet's next turn; whether there is one.
    #[inline(always)]
    #[must_use]
    pub fn take(mark: &Shared<u32>) -> bool {
        let is_there = mark.load() != 0;
        if is_there {
            mark.store(0);
        }
        is_there
    }
}

/// How often something was done in the current second; see `rate::allows`.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Allowance {
    /// When the second began, in ticks.
    pub since: Shared<u32>,
    /// How often since then.
    pub used: Shared<u32>,
}

const _: () = {
    assert!(size_of::<Note>() == 128);
};
