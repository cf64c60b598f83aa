//! What the flow log is written from: counts of each flow, and flows that have ended.

use crate::shared::Shared;

/// What went in one direction of a flow, in a row beside its entry: only while flows are logged.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Account {
    /// In the row of the client's entry, when the flow began, as a mark that no other flow in this place has; see
    /// `flow::log`. 0: it is not to be logged, or has been.
    pub began: Shared<u64>,
    /// Packets.
    pub packets: Shared<u64>,
    /// Bytes, from Ethernet header to end.
    pub bytes: Shared<u64>,
    /// Bytes that they carried behind their TCP or UDP headers.
    pub payload: Shared<u64>,
}

/// A flow that has ended: a row of a worker's ring.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Ended {
    /// How many rows the worker had written with this one; others are none that is to be read.
    pub number: Shared<u64>,
    /// Its four ports, as in a client's entry.
    pub ports: Shared<u64>,
    /// What its client's packets carry, and what they leave with: source and destination, IPv4 as IPv4-mapped, each in two
    /// words as they lie in memory.
    pub addresses: [[Shared<u64>; 2]; 4],
    /// [`Account::began`].
    pub began: Shared<u64>,
    /// When its last packet came, and when it was found to be over, in ticks.
    pub seen: Shared<u32>,
    /// See [`Ended::seen`].
    pub ended: Shared<u32>,
    /// Its [`crate::flow::Way`].
    pub way: Shared<u32>,
    /// Its [`crate::flow::State`].
    pub state: Shared<u32>,
    /// A [`crate::flow::Why`].
    pub why: Shared<u32>,
    /// Of its client: packets, bytes and payload, as in [`Account`].
    pub sent: [Shared<u64>; 3],
    /// The same of its backend.
    pub answered: [Shared<u64>; 3],
    reserved: [u32; 7],
}

impl Ended {
    /// Rows of each worker's ring: a power of two.
    pub const ROWS: u32 = 2048;
}

/// How far a worker's ring is written and read. Rows are numbered on and on.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Ends {
    /// Rows written, by the worker.
    pub written: Shared<u64>,
    /// Flows that found no free row.
    pub lost: Shared<u64>,
    /// Rows read, by the daemon.
    pub read: Shared<u64>,
    /// Of those lost, how many the log has told of.
    pub told: Shared<u64>,
    reserved: [u64; 4],
}

const _: () = {
    assert!(size_of::<Account>() == 32);
    assert!(size_of::<Ended>() == 192);
    assert!(size_of::<Ends>() == 64);
    assert!(Ended::ROWS.is_power_of_two());
};
