//! The outer headers of an answer.

use crate::{
    address::Address,
    link::Link,
    packet::{Packet, Wire},
    reason::Reason,
    tables::Tables,
    wire::EthernetHeader,
};

/// Cuts a frame to a given length, or makes it longer at its end; says whether it did.
#[inline(always)]
pub(super) fn set_length<T: Tables>(packet: &mut Packet<'_>, tables: &T, length: usize) -> bool {
    let change = (length as u64).wrapping_sub(packet.len());
    tables.resize(packet, 0, low(change))
}

/// Writes MAC addresses and IP header of the answer to a frame that came by a link, from the first of `parties` to the
/// second; its payload is `length` bytes of `protocol`.
#[inline(always)]
pub(super) fn turn_round<A: Address<Header: Wire>>(
    packet: &mut Packet<'_>,
    came: Link,
    parties: (A, A),
    protocol: u8,
    length: u16,
) -> Result<(), Reason> {
    came.reversed().write(packet).ok_or(Reason::Malformed)?;
    let header = packet
        .header_mut::<A::Header>(EthernetHeader::LEN)
        .ok_or(Reason::Malformed)?;
    *header = A::header(parties.1, parties.0, protocol, length);
    Ok(())
}

/// A change of length, which two 64-bit lengths of frames differ by.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "frames are shorter than two gigabytes, and a negative change is one that wraps around"
)]
const fn low(change: u64) -> i32 {
    change as i32
}
