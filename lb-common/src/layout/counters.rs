//! What is counted, by workers on their own.

use crate::shared::Shared;

/// Room for reasons in [`PacketCounters`], which are a whole number of cache lines.
pub const MAX_REASONS: usize = 59;

/// Packets of one worker (a CPU, or a thread of a userspace engine) by what became of them.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct PacketCounters {
    /// By verdict, see [`crate::Verdict::index`], but for packets that are forwarded: those are counted by their backend,
    /// whose line of memory is at hand. [`Memory::verdicts`](crate::memory::Memory::verdicts) has all.
    pub verdicts: [Shared<u64>; 4],
    /// The reason of the latest packet that was not forwarded, until whoever shows packets stores
    /// [`PacketCounters::NO_REASON`]. Beside the verdicts, where it is one store and no other cache line.
    pub latest: Shared<u64>,
    /// By reason, see [`crate::Reason::ALL`].
    pub reasons: [Shared<u64>; MAX_REASONS],
}

impl PacketCounters {
    /// In [`PacketCounters::latest`]: none.
    pub const NO_REASON: u64 = u64::MAX;
}

/// Traffic of a backend by one worker.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct BackendCounters {
    /// Packets from clients.
    pub packets_in: Shared<u64>,
    /// Bytes from clients, from Ethernet header to end.
    pub bytes_in: Shared<u64>,
    /// Packets to clients.
    pub packets_out: Shared<u64>,
    /// Bytes to clients, from Ethernet header to end.
    pub bytes_out: Shared<u64>,
    /// Of both, those that left by the interface that they came in by. These two are the worker's tally of verdicts, and
    /// stay when the row becomes another backend's.
    pub tx: Shared<u64>,
    /// Of both, those that left by another interface.
    pub redirect: Shared<u64>,
    /// Flows that began.
    pub flows_opened: Shared<u64>,
    /// Flows that ended; those open less those closed, over all workers, are active.
    pub flows_closed: Shared<u64>,
    /// Flows that were moved to another backend since this one did not answer (`HAProxy`'s `wretr`); they count as
    /// closed here. This and what follows is rarely touched, and in a cache line of its own.
    pub retried: Shared<u64>,
    /// SYNs that it answered with RST.
    pub refused: Shared<u64>,
    /// Established flows that it reset while neither end had sent FIN (`HAProxy`'s `srv_abrt`).
    pub resets: Shared<u64>,
    /// For whole cache lines.
    pub reserved: [u64; 5],
}

impl BackendCounters {
    /// Counts a client's packet of that many bytes.
    #[inline(always)]
    pub fn count_in(&self, length: u64) {
        self.packets_in.add(1);
        self.bytes_in.add(length);
    }

    /// Counts a packet to a client.
    #[inline(always)]
    pub fn count_out(&self, length: u64) {
        self.packets_out.add(1);
        self.bytes_out.add(length);
    }

    /// Starts anew, for another backend.
    pub fn clear(&self) {
        let Self {
            packets_in,
            bytes_in,
            packets_out,
            bytes_out,
            tx: _,
            redirect: _,
            flows_opened,
            flows_closed,
            retried,
            refused,
            resets,
            reserved: _,
        } = self;
        let traffic = [packets_in, bytes_in, packets_out, bytes_out];
        let flows = [flows_opened, flows_closed, retried, refused, resets];
        traffic
            .into_iter()
            .chain(flows)
            .for_each(|counter| counter.store(0));
    }
}

const _: () = {
    assert!(size_of::<PacketCounters>() == 512);
    assert!(size_of::<BackendCounters>() == 128);
    assert!(crate::Reason::ALL.len() <= MAX_REASONS);
};
