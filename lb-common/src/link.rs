//! The MAC addresses of a frame.

use crate::{layout::mac_pair, packet::Packet, wire::EthernetHeader};

/// Two MAC addresses, each in the first six bytes of a word: words are compared, loaded and stored at once, and lie
/// aligned on BPF's stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Where a frame goes. The last two bytes are anything.
    pub dst: u64,
    /// Where it comes from. The last two bytes are anything.
    pub src: u64,
}

impl Link {
    /// That of a frame.
    #[inline(always)]
    #[must_use]
    pub fn of(packet: &Packet<'_>) -> Option<Self> {
        let header: &[u8; EthernetHeader::LEN] = packet.header(0)?;
        // Each of the two addresses with the two bytes behind it.
        Some(Self {
            dst: u64::from_ne_bytes(*header.first_chunk()?),
            src: u64::from_ne_bytes(*header.last_chunk()?),
        })
    }

    /// That of the answer to a frame of this one.
    #[inline(always)]
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self {
            dst: self.src,
            src: self.dst,
        }
    }

    /// Puts it into a frame; what follows there stays.
    #[inline(always)]
    #[must_use]
    pub fn write(self, packet: &mut Packet<'_>) -> Option<()> {
        let (first, last) = mac_pair(self.dst, self.src);
        // All of it, though its end stays: whether that is there is known wherever it was parsed.
        let header: &mut [u8; EthernetHeader::LEN] = packet.header_mut(0)?;
        let addresses: &mut [u8; 12] = header.first_chunk_mut()?;
        *addresses.first_chunk_mut()? = first;
        *addresses.last_chunk_mut()? = last;
        Some(())
    }
}
