//! Datagrams that come in fragments.

use crate::shared::Shared;

/// Rows of [`Datagrams`]: a power of two.
pub const DATAGRAM_ROWS: u32 = 1024;

/// The datagrams that one row remembers for their fragments.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Datagrams(pub [Datagram; 4]);

/// A datagram that comes in fragments, of which the first alone has its ports. One cache line.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Datagram {
    /// Raised by two with each change; odd while it is being changed, 0 while the row was never used.
    pub version: Shared<u64>,
    /// Source address, IPv4 as IPv4-mapped, in two words as they lie in memory.
    pub src: [Shared<u64>; 2],
    /// Destination address.
    pub dst: [Shared<u64>; 2],
    /// Its identification, then eight bits for the protocol.
    pub name: Shared<u64>,
    /// Source and destination port as they lie in memory.
    pub ports: Shared<u32>,
    /// When its first fragment came, in ticks.
    pub seen: Shared<u32>,
    reserved: u64,
}

const _: () = {
    assert!(size_of::<Datagram>() == 64);
};
