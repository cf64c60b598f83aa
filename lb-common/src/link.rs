//! The MAC addresses of a frame.

use crate::{address::Mac, packet::Packet, wire::EthernetHeader};

/// The MAC addresses of a frame, as they lie in it: whole words, which are compared, loaded and stored at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Where the frame goes, and the first two bytes of where it comes from.
    pub head: u64,
    /// The other four bytes of that.
    pub tail: u32,
}

impl Link {
    /// From where a frame goes, and where it comes from.
    #[inline(always)]
    #[must_use]
    pub const fn new([d0, d1, d2, d3, d4, d5]: Mac, [s0, s1, s2, s3, s4, s5]: Mac) -> Self {
        Self {
            head: u64::from_ne_bytes([d0, d1, d2, d3, d4, d5, s0, s1]),
            tail: u32::from_ne_bytes([s2, s3, s4, s5]),
        }
    }

    /// That of a frame.
    #[inline(always)]
    #[must_use]
    pub fn of(packet: &Packet<'_>) -> Option<Self> {
        let header: &[u8; EthernetHeader::LEN] = packet.header(0)?;
        let addresses: &[u8; 12] = header.first_chunk()?;
        Some(Self {
            head: u64::from_ne_bytes(*addresses.first_chunk()?),
            tail: u32::from_ne_bytes(*addresses.last_chunk()?),
        })
    }

    /// Where the frame goes.
    #[inline(always)]
    #[must_use]
    pub const fn dst(self) -> Mac {
        let [d0, d1, d2, d3, d4, d5, _, _] = self.head.to_ne_bytes();
        [d0, d1, d2, d3, d4, d5]
    }

    /// Where it comes from.
    #[inline(always)]
    #[must_use]
    pub const fn src(self) -> Mac {
        let [.., s0, s1] = self.head.to_ne_bytes();
        let [s2, s3, s4, s5] = self.tail.to_ne_bytes();
        [s0, s1, s2, s3, s4, s5]
    }

    /// That of the answer to a frame of this one.
    #[inline(always)]
    #[must_use]
    pub const fn reversed(self) -> Self {
        if cfg!(target_endian = "little") {
            // The same in words: LLVM would go through single bytes.
            let src = self.head >> 48 | (self.tail as u64) << 16;
            let dst = self.head << 16 >> 16;
            Self {
                head: src | dst << 48,
                tail: (dst >> 16) as u32,
            }
        } else {
            Self::new(self.src(), self.dst())
        }
    }

    /// Puts it into a frame; what follows there stays.
    #[inline(always)]
    #[must_use]
    pub fn write(self, packet: &mut Packet<'_>) -> Option<()> {
        // All of it, though its end stays: whether that is there is known wherever it was parsed.
        let header: &mut [u8; EthernetHeader::LEN] = packet.header_mut(0)?;
        *header.first_chunk_mut()? = self.to_bytes();
        Some(())
    }

    /// As it lies in a frame.
    #[inline(always)]
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        if let Some(head) = bytes.first_chunk_mut() {
            *head = self.head.to_ne_bytes();
        }
        if let Some(tail) = bytes.last_chunk_mut() {
            *tail = self.tail.to_ne_bytes();
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_the_addresses_that_were_put_into_it_and_its_answer_has_them_the_other_way_round() {
        let (dst, src) = ([1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]);
        let mut frame = [0; EthernetHeader::LEN];
        let mut packet = Packet::new(&mut frame, 1);
        let link = Link::new(dst, src);
        link.write(&mut packet).unwrap();
        assert_eq!(packet.bytes(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 0]);
        assert_eq!(Link::of(&packet), Some(link));
        assert_eq!((link.dst(), link.src()), (dst, src));
        assert_eq!(link.reversed(), Link::new(src, dst));
    }
}
