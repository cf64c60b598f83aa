//! The outer headers of an answer, and segments of our own.

use crate::{
    address::{Address, Marks, TCP, Tuple},
    checksum::Sum,
    link::Link,
    packet::Packet,
    reason::Reason,
    tables::Tables,
    wire::{EthernetHeader, TcpHeader},
};

/// Cuts a frame to a given length, or makes it longer at its end; says whether it did.
#[inline(always)]
pub(super) fn set_length<T: Tables>(packet: &mut Packet<'_>, tables: &T, length: usize) -> bool {
    let change = (length as u64).wrapping_sub(packet.len());
    tables.resize(packet, 0, low(change))
}

/// Writes Ethernet and IP header of the answer to a frame that came by a link, from the first of `parties` to the
/// second; its payload is `length` bytes of `protocol`.
#[inline(always)]
pub(super) fn turn_round<A: Address>(
    packet: &mut Packet<'_>,
    came: Link,
    parties: (A, A),
    protocol: u8,
    length: u16,
) -> Result<(), Reason> {
    let headers = A::framed(
        came.reversed(),
        (parties.1, parties.0),
        protocol,
        length,
        Marks::default(),
    );
    *packet.header_mut(0).ok_or(Reason::Malformed)? = headers;
    Ok(())
}

/// A TCP segment of our own, without its ports: a header, and behind it an option of whole words, or less than a word of
/// data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Own<const BEHIND: usize> {
    /// Sequence number.
    pub(crate) seq: u32,
    /// Acknowledgement number.
    pub(crate) ack: u32,
    /// Flags.
    pub(crate) flags: u8,
    /// Window, as it lies in memory.
    pub(crate) window: [u8; 2],
    /// What is behind the header.
    pub(crate) behind: [u8; BEHIND],
    /// Whether its checksum is finished; else it is left to whoever sends the frame on.
    pub(crate) finished: bool,
}

impl<const BEHIND: usize> Own<BEHIND> {
    /// Length of header and what is behind it.
    #[expect(clippy::cast_possible_truncation, reason = "a word at most")]
    const LENGTH: u16 = {
        assert!(BEHIND <= 4, "a word at most");
        20 + BEHIND as u16
    };

    /// Makes an untagged frame this segment of a tuple, which goes over a link; says whether there was room.
    #[inline(always)]
    pub(crate) fn put<A: Address, T: Tables>(
        self,
        packet: &mut Packet<'_>,
        tables: &T,
        link: Link,
        tuple: &Tuple<A>,
    ) -> Result<bool, Reason> {
        let offset = EthernetHeader::LEN.wrapping_add(A::HEADER_LEN);
        if !set_length(packet, tables, offset.wrapping_add(usize::from(Self::LENGTH))) {
            return Ok(false);
        }
        let behind = offset.wrapping_add(size_of::<TcpHeader>());
        *packet.header_mut(behind).ok_or(Reason::Malformed)? = self.behind;
        *packet.header_mut(offset).ok_or(Reason::Malformed)? = self.header(tuple);
        let parties = (tuple.src, tuple.dst);
        *packet.header_mut(0).ok_or(Reason::Malformed)? =
            A::framed(link, parties, TCP, Self::LENGTH, Marks::default());
        Ok(true)
    }

    #[inline(always)]
    fn header<A: Address>(&self, tuple: &Tuple<A>) -> TcpHeader {
        let mut header = TcpHeader {
            src: tuple.src_port.0,
            dst: tuple.dst_port.0,
            seq: self.seq.to_be_bytes(),
            ack: self.ack.to_be_bytes(),
            // Words before the data, in the upper half.
            data_offset: if BEHIND < 4 { 5 << 4 } else { 6 << 4 },
            flags: self.flags,
            window: self.window,
            check: [0; 2],
            urgent: [0; 2],
        };
        let pseudo_header = tuple.address_sum().add_protocol(TCP, Self::LENGTH);
        let check = if self.finished {
            let sum = pseudo_header
                .add(tuple.port_sum())
                .add_u32(self.seq.to_be())
                .add_u32(self.ack.to_be())
                .add_bytes([header.data_offset, header.flags])
                .add_bytes(header.window);
            self.sum_behind(sum).checksum()
        } else {
            pseudo_header.fold()
        };
        header.check = check.to_ne_bytes();
        header
    }

    #[inline(always)]
    fn sum_behind(&self, sum: Sum) -> Sum {
        let (pairs, last) = self.behind.as_chunks::<2>();
        let sum = pairs.iter().fold(sum, |sum, pair| sum.add_bytes(*pair));
        last.iter().fold(sum, |sum, byte| sum.add_bytes([*byte, 0]))
    }
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
