//! What every packet needs to know.

use core::mem::offset_of;

use super::ports::PortFilter;
use crate::shared::Shared;

/// What every packet needs to know; one record, and so one look-up.
#[repr(C, align(64))]
pub struct Settings {
    /// [`VERSION`](super::VERSION), written last: 0 while the tables are not set up.
    pub version: Shared<u32>,
    /// Buckets of the IPv4 flow table less one; their count is a power of two.
    pub bucket_mask_v4: Shared<u32>,
    /// Buckets of the IPv6 flow table less one; their count is a power of two.
    pub bucket_mask_v6: Shared<u32>,
    /// Slots of the service index less one; their count is a power of two.
    pub service_mask: Shared<u32>,
    /// Secret of the flow table's hash, so that nobody outside can aim at one bucket.
    pub seed: Shared<u64>,
    /// First source port of the full-NAT pool, host order.
    pub pool_first: Shared<u16>,
    /// Ports in the pool.
    pub pool_count: Shared<u16>,
    /// What to do with checksums that a sender left unfinished: [`COMPLETE_PARTIAL`] or [`KEEP_PARTIAL`].
    pub partial_checksums: Shared<u32>,
    /// Backends that the counters of one worker have room for.
    pub backend_capacity: Shared<u32>,
    /// Always 0, which neither compiler nor verifier knows.
    pub zero: Shared<u32>,
    /// When a daemon last looked after the tables, in milliseconds since the Unix epoch. Not for packets: the next
    /// daemon tells by it for how long nobody has checked the backends.
    pub tended: Shared<u64>,
    /// Ticks of a second; written when a daemon sets the tables up.
    pub second: Shared<u32>,
    /// Whether pings of virtual addresses are answered: 0 or [`ANSWER_ECHO`].
    pub echo: Shared<u32>,
    /// Whether flows are logged, and so counted: 0 or 1. Here because every packet reads this line of memory anyway.
    pub flow_log: Shared<u32>,
    /// Whether flows in which no payload went are logged, too: 0 or 1.
    pub log_null: Shared<u32>,
    /// A [`super::Span`] of [`super::Border`]s: who may open flows to no service at all.
    pub denied: Shared<u64>,
    /// Secret of SYN cookies, so that nobody can make one.
    pub cookie_key: [Shared<u64>; 2],
    /// Cookie of the network namespace whose processes' connections find services; 0: none has it.
    pub namespace: Shared<u64>,
    /// Buckets of the table of sources' quotas less one; their count is a power of two.
    pub quota_mask: Shared<u32>,
    reserved: [u32; 7],
    /// Which packets anybody can want.
    pub ports: PortFilter,
}

impl Settings {
    /// Ticks after which a SYN on a flow that nobody has answered is the client's second, and not the network's copy of
    /// its first: a fifth of a second. Clients wait for a second (RFC 6298 2.1); copies come within milliseconds.
    #[inline(always)]
    #[must_use]
    pub fn soonest_retry(&self) -> u32 {
        self.second.load() / 5
    }

    /// Ticks for which a flow that has not opened is left alone where room is needed: half a second. An answer from the
    /// other side of the world and back takes less.
    #[inline(always)]
    #[must_use]
    pub fn youth(&self) -> u32 {
        self.second.load() / 2
    }
}

/// Finish the checksum: nobody after us will (native XDP).
pub const COMPLETE_PARTIAL: u32 = 0;
/// Leave it unfinished: whoever sends the packet on still knows that it is (generic XDP keeps the skb).
pub const KEEP_PARTIAL: u32 = 1;

/// Answer pings of virtual addresses.
pub const ANSWER_ECHO: u32 = 1;

const _: () = {
    assert!(offset_of!(Settings, ports) == 128);
    assert!(offset_of!(Settings, flow_log) < 64);
};
