//! Addresses, ports and flow keys, as they stand on the wire.
//!
//! Each type is aligned to its size where that helps: BPF's stack takes aligned accesses only.

use core::fmt::Debug;

use crate::{
    checksum::Sum,
    flow::Bucket,
    link::Link,
    packet::{Packet, Wire},
    shared::Shared,
    tables::Tables,
};

mod tuple;
mod v4;
mod v6;
mod words;

pub use tuple::Tuple;
pub use v4::V4;
pub use v6::V6;
pub(crate) use words::{join, split};

/// Protocol number of TCP (IANA).
pub const TCP: u8 = 6;
/// Protocol number of UDP (IANA).
pub const UDP: u8 = 17;

/// Protocol number of ICMP (IANA).
pub const ICMP: u8 = 1;
/// Protocol number of `ICMPv6` (IANA).
pub const ICMPV6: u8 = 58;

/// TTL or hop limit of packets that begin here (RFC 1340's recommendation, which most systems follow).
pub const TTL: u8 = 64;

/// A port in network order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C, align(2))]
pub struct Port(pub [u8; 2]);

/// A MAC address.
pub type Mac = [u8; 6];

impl Port {
    /// From a number in host order.
    #[inline(always)]
    #[must_use]
    pub const fn new(number: u16) -> Self {
        Self(number.to_be_bytes())
    }

    /// The number in host order.
    #[inline(always)]
    #[must_use]
    pub const fn number(self) -> u16 {
        u16::from_be_bytes(self.0)
    }
}

/// What else a header says of its packet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks {
    /// DSCP and ECN, as they stand in one byte.
    pub class: u8,
    /// Of the packet's flow: where the family has a flow label, it is that (RFC 6438).
    pub hash: u32,
}

/// An address family: what differs between IPv4 and IPv6 in the packet path, so that all else is written once.
pub trait Address: Copy + Eq + Debug + Default + 'static {
    /// The IP header of the family.
    type Header;

    /// An Ethernet header, and one of the family without options.
    type Framed: Wire;

    /// Two addresses in table memory, source and destination.
    type Pair: AddressPair<Self>;

    /// Whether it is IPv6.
    const IS_V6: bool = Self::HEADER_LEN == 40;

    /// Length of the IP header without options or extension headers, in bytes.
    const HEADER_LEN: usize;

    /// What an IP header says that carries packets of the family (RFC 2003, RFC 2473).
    const ENCAPSULATED: u8;
    /// The number of the family's ICMP.
    const ICMP: u8;

    /// Whether it may be one host's: neither unspecified nor multicast nor broadcast.
    fn is_host(self) -> bool;

    /// The one's-complement sum of the address.
    fn sum(self) -> Sum;

    /// Two words that hold all of the address, for hashing.
    fn words(self) -> (u64, u64);

    /// The address as IPv6, IPv4 as IPv4-mapped (RFC 4291 2.5.5.2): the form in the service table.
    fn mapped(self) -> V6;

    /// Back from [`Address::mapped`]; bytes that the family has not are ignored.
    fn from_mapped(mapped: V6) -> Self;

    /// The one in table memory, where it stands as [`Address::mapped`].
    fn stored(cell: &[Shared<u64>; 2]) -> Self;

    /// The flow-table bucket at `index` in the family's table.
    fn bucket<T: Tables>(tables: &T, index: u32) -> Option<&Bucket<Self>>
    where
        Self: Sized;

    /// The headers of a frame that goes over a link, from one address to another, before `length` bytes of `protocol`.
    fn framed(link: Link, parties: (Self, Self), protocol: u8, length: u16, marks: Marks) -> Self::Framed
    where
        Self: Sized;

    /// Length of the packet that has this header, in bytes.
    fn length(header: &Self::Header) -> u16;

    /// DSCP and ECN, as they stand in one byte.
    fn class(header: &Self::Header) -> u8;

    /// Takes one off TTL or hop limit of a packet without tags, and mends the header checksum.
    fn age(packet: &mut Packet<'_>) -> Option<()>;

    /// Puts the address pair into the header, takes `hops` off TTL or hop limit and mends the header checksum.
    fn translate(header: &mut Self::Header, from: (Self, Self), to: (Self, Self), hops: u8)
    where
        Self: Sized;
}

/// Two addresses in table memory, source and destination.
pub trait AddressPair<A>: Default {
    /// The addresses.
    fn load(&self) -> (A, A);
    /// Puts other ones there.
    fn store(&self, pair: (A, A));
    /// Whether it is these.
    fn is(&self, pair: (A, A)) -> bool;
}

/// An address in table memory that may be of either family, IPv4 as IPv4-mapped.
pub trait AddressCell {
    /// The address.
    fn load(&self) -> V6;
    /// Puts another one there.
    fn store(&self, address: V6);
}
