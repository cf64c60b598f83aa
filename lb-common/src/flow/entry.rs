//! What an entry of the flow table holds.

use crate::{
    address::{Address, Mac, Port, Tuple, V4, V6},
    shared::{Record, Shared, Words},
};

/// Entries of a bucket.
pub const ENTRIES: usize = 4;

/// Entries that a key may stand in, next to each other in memory.
#[derive(Default)]
#[repr(C)]
pub struct Bucket<A: Address>(pub [Entry<A>; ENTRIES]);

/// One direction of one flow. 64 bytes for IPv4, 128 for IPv6: whole cache lines.
#[repr(C, align(64))]
pub struct Entry<A: Address> {
    /// Owner, generation and state.
    pub control: Shared<u64>,
    /// When its last packet came, in ticks.
    pub seen: Shared<u32>,
    /// Acknowledgement number of its last packet, as it lies in memory: the sequence number that its sender
    /// expects next, which a RST to it must carry (RFC 9293 3.5.2).
    pub ack: Shared<u32>,
    /// The rest, written before the entry is published and unchanged until it is claimed again.
    pub flow: Words<Flow<A>>,
}

/// What is done to the packets of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Flow<A> {
    /// Where the other direction's entry stands: bucket × [`ENTRIES`] + place.
    pub partner: u32,
    /// Interface that the client's packets come in by.
    pub interface: u32,
    /// MAC address that the client's packets come from.
    pub client_mac: Mac,
    /// MAC address that the client's packets come to.
    pub own_mac: Mac,
    /// The backend.
    pub backend: u16,
    /// TCP or UDP.
    pub protocol: u8,
    /// Unused.
    pub reserved: u8,
    /// Source port that the packets carry.
    pub src_port: Port,
    /// Destination port that the packets carry.
    pub dst_port: Port,
    /// Source port that they leave with.
    pub to_src_port: Port,
    /// Destination port that they leave with.
    pub to_dst_port: Port,
    /// Source address that the packets carry.
    pub src: A,
    /// Destination address that the packets carry.
    pub dst: A,
    /// Source address that they leave with.
    pub to_src: A,
    /// Destination address that they leave with.
    pub to_dst: A,
}

// SAFETY: the fields of 4, 4, 6, 6, 2, 1, 1, 2, 2, 2, 2 bytes and four addresses of 4 or 16 (there are no other
// families) follow each other without a gap (32 + 16 or 32 + 64 bytes), and each takes any bit pattern.
unsafe impl<A: Address> Record for Flow<A> {}

const _: () = assert!(size_of::<Flow<V4>>() == 48 && size_of::<Entry<V4>>() == 64);
const _: () = assert!(size_of::<Flow<V6>>() == 96 && size_of::<Entry<V6>>() == 128);

impl<A: Address> Flow<A> {
    /// What the packets carry.
    #[inline(always)]
    #[must_use]
    pub fn key(&self) -> Tuple<A> {
        Tuple { src: self.src, dst: self.dst, src_port: self.src_port, dst_port: self.dst_port }
    }

    /// What they leave with.
    #[inline(always)]
    #[must_use]
    pub fn to(&self) -> Tuple<A> {
        Tuple { src: self.to_src, dst: self.to_dst, src_port: self.to_src_port, dst_port: self.to_dst_port }
    }

    /// The other direction of the same flow: it carries the answer to what this one leaves with.
    #[inline(always)]
    #[must_use]
    pub fn reply(&self, partner: u32) -> Self {
        let (key, to) = (self.to().reversed(), self.key().reversed());
        Self { partner, ..*self }.with(&key, &to)
    }

    /// The same with another key and translation.
    #[inline(always)]
    #[must_use]
    pub fn with(self, key: &Tuple<A>, to: &Tuple<A>) -> Self {
        Self {
            src: key.src,
            dst: key.dst,
            src_port: key.src_port,
            dst_port: key.dst_port,
            to_src: to.src,
            to_dst: to.dst,
            to_src_port: to.src_port,
            to_dst_port: to.dst_port,
            ..self
        }
    }
}

impl<A: Address> Default for Entry<A> {
    fn default() -> Self {
        Self {
            control: Shared::<u64>::default(),
            seen: Shared::<u32>::default(),
            ack: Shared::<u32>::default(),
            flow: Words::new(Flow::default()),
        }
    }
}
