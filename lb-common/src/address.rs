//! Addresses, ports and flow keys, as they stand on the wire.
//!
//! Each type is aligned to its size where that helps: BPF's stack takes aligned accesses only.

use core::fmt::Debug;

use crate::{
    checksum::Sum,
    flow::Bucket,
    hash,
    shared::Shared,
    tables::Tables,
    wire::{Ipv4Hdr, Ipv6Hdr},
};

/// Protocol number of TCP (IANA).
pub const TCP: u8 = 6;
/// Protocol number of UDP (IANA).
pub const UDP: u8 = 17;

/// An IPv4 address in network order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C, align(4))]
pub struct V4(pub [u8; 4]);

/// An IPv6 address in network order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C, align(8))]
pub struct V6(pub [u64; 2]);

/// A port in network order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C, align(2))]
pub struct Port(pub [u8; 2]);

/// A MAC address.
pub type Mac = [u8; 6];

impl V6 {
    /// From the bytes of the wire.
    #[inline(always)]
    #[must_use]
    pub const fn from_octets(octets: [u8; 16]) -> Self {
        let value = u128::from_ne_bytes(octets);
        // Two native words that lie in memory as the sixteen bytes do.
        if cfg!(target_endian = "little") {
            Self([low(value), low(value >> 64)])
        } else {
            Self([low(value >> 64), low(value)])
        }
    }

    /// To the bytes of the wire.
    #[inline(always)]
    #[must_use]
    pub const fn octets(self) -> [u8; 16] {
        let [first, second] = self.0;
        let value = if cfg!(target_endian = "little") {
            first as u128 | (second as u128) << 64
        } else {
            second as u128 | (first as u128) << 64
        };
        value.to_ne_bytes()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
const fn low(value: u128) -> u64 {
    value as u64
}

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

/// An address in table memory.
pub trait AddressCell<A>: Default {
    /// The address.
    fn load(&self) -> A;
    /// Puts another one there.
    fn store(&self, address: A);
}

impl AddressCell<V4> for Shared<u32> {
    #[inline(always)]
    fn load(&self) -> V4 {
        V4(Self::load(self).to_ne_bytes())
    }

    #[inline(always)]
    fn store(&self, address: V4) {
        Self::store(self, u32::from_ne_bytes(address.0));
    }
}

impl AddressCell<V6> for [Shared<u64>; 2] {
    #[inline(always)]
    fn load(&self) -> V6 {
        let [first, second] = self;
        V6([first.load(), second.load()])
    }

    #[inline(always)]
    fn store(&self, address: V6) {
        let ([first, second], V6([one, two])) = (self, address);
        first.store(one);
        second.store(two);
    }
}

/// An address family: what differs between IPv4 and IPv6 in the packet path, so that all else is written once.
pub trait Address: Copy + Eq + Debug + Default + 'static {
    /// The IP header of the family.
    type Header;

    /// An address in table memory.
    type Cell: AddressCell<Self>;

    /// Length of the IP header without options or extension headers, in bytes.
    const HEADER_LEN: usize;

    /// The one's-complement sum of the address.
    fn sum(self) -> Sum;

    /// Two words that hold all of the address, for hashing.
    fn words(self) -> (u64, u64);

    /// The address as IPv6, IPv4 as IPv4-mapped (RFC 4291 2.5.5.2): the form in the service table.
    fn mapped(self) -> V6;

    /// Back from [`Address::mapped`]; bytes that the family has not are ignored.
    fn from_mapped(mapped: V6) -> Self;

    /// The flow-table bucket at `index` in the family's table.
    fn bucket<T: Tables>(tables: &T, index: u32) -> Option<&Bucket<Self>>
    where
        Self: Sized;

    /// Puts the address pair into the header, takes one off TTL or hop limit and mends the header checksum.
    fn translate(header: &mut Self::Header, from: (Self, Self), to: (Self, Self))
    where
        Self: Sized;
}

impl Address for V4 {
    type Header = Ipv4Hdr;
    type Cell = Shared<u32>;

    const HEADER_LEN: usize = 20;

    #[inline(always)]
    fn sum(self) -> Sum {
        Sum::ZERO.add_u32(u32::from_ne_bytes(self.0))
    }

    #[inline(always)]
    fn words(self) -> (u64, u64) {
        (u64::from(u32::from_ne_bytes(self.0)), 0)
    }

    #[inline(always)]
    fn mapped(self) -> V6 {
        let high = (u32::from_ne_bytes([0, 0, 0xff, 0xff]), u32::from_ne_bytes(self.0));
        V6([0, join(high.0, high.1)])
    }

    #[inline(always)]
    fn from_mapped(mapped: V6) -> Self {
        let [_, second] = mapped.0;
        Self(split(second).1.to_ne_bytes())
    }

    #[inline(always)]
    fn bucket<T: Tables>(tables: &T, index: u32) -> Option<&Bucket<Self>> {
        tables.bucket_v4(index)
    }

    #[inline(always)]
    fn translate(header: &mut Ipv4Hdr, from: (Self, Self), to: (Self, Self)) {
        // TTL shares its 16-bit word with the protocol: one less TTL is one less in that word's first byte.
        let old = from
            .0
            .sum()
            .add(from.1.sum())
            .add_bytes([header.ttl, header.proto]);
        header.ttl = header.ttl.wrapping_sub(1);
        let new = to.0.sum().add(to.1.sum()).add_bytes([header.ttl, header.proto]);
        header.check = old.replaced_by(new).in_checksum(header.check);
        header.src_addr = to.0.0;
        header.dst_addr = to.1.0;
    }
}

impl Address for V6 {
    type Header = Ipv6Hdr;
    type Cell = [Shared<u64>; 2];

    const HEADER_LEN: usize = 40;

    #[inline(always)]
    fn sum(self) -> Sum {
        let [first, second] = self.0;
        Sum::ZERO.add_u64(first).add_u64(second)
    }

    #[inline(always)]
    fn words(self) -> (u64, u64) {
        let [first, second] = self.0;
        (first, second)
    }

    #[inline(always)]
    fn mapped(self) -> V6 {
        self
    }

    #[inline(always)]
    fn from_mapped(mapped: V6) -> Self {
        mapped
    }

    #[inline(always)]
    fn bucket<T: Tables>(tables: &T, index: u32) -> Option<&Bucket<Self>> {
        tables.bucket_v6(index)
    }

    #[inline(always)]
    fn translate(header: &mut Ipv6Hdr, _from: (Self, Self), to: (Self, Self)) {
        header.hop_limit = header.hop_limit.wrapping_sub(1);
        header.src_addr = to.0.octets();
        header.dst_addr = to.1.octets();
    }
}

/// Two 32-bit words as they lie in memory, first and second, in one of 64 bits.
#[inline(always)]
pub(crate) const fn join(first: u32, second: u32) -> u64 {
    if cfg!(target_endian = "little") {
        first as u64 | (second as u64) << 32
    } else {
        second as u64 | (first as u64) << 32
    }
}

/// The inverse of [`join`].
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "each half is what is wanted")]
pub(crate) const fn split(word: u64) -> (u32, u32) {
    if cfg!(target_endian = "little") {
        (word as u32, (word >> 32) as u32)
    } else {
        ((word >> 32) as u32, word as u32)
    }
}

/// The key of one direction of a flow: what a packet of it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Tuple<A> {
    /// Source address.
    pub src: A,
    /// Destination address.
    pub dst: A,
    /// Source port.
    pub src_port: Port,
    /// Destination port.
    pub dst_port: Port,
}

impl<A: Address> Tuple<A> {
    /// From addresses and what [`Tuple::ports`] gave.
    #[inline(always)]
    #[must_use]
    pub const fn new(src: A, dst: A, ports: u32) -> Self {
        let [p0, p1, p2, p3] = ports.to_ne_bytes();
        Self {
            src,
            dst,
            src_port: Port([p0, p1]),
            dst_port: Port([p2, p3]),
        }
    }

    /// Source and destination port as they lie in memory.
    #[inline(always)]
    #[must_use]
    pub const fn ports(&self) -> u32 {
        let ([p0, p1], [p2, p3]) = (self.src_port.0, self.dst_port.0);
        u32::from_ne_bytes([p0, p1, p2, p3])
    }

    /// The key of the answer to a packet of this key.
    #[inline(always)]
    #[must_use]
    pub fn reversed(&self) -> Self {
        Self {
            src: self.dst,
            dst: self.src,
            src_port: self.dst_port,
            dst_port: self.src_port,
        }
    }

    /// A 64-bit hash of key and protocol. Equal seeds give equal hashes on every machine.
    #[inline(always)]
    #[must_use]
    pub fn hash(&self, protocol: u8, seed: u64) -> u64 {
        let ports = join(self.ports(), u32::from(protocol));
        let ((a, b), (c, d)) = (self.src.words(), self.dst.words());
        if A::HEADER_LEN == V4::HEADER_LEN {
            // Both IPv4 addresses fit one word.
            hash::mix(hash::mix(seed, a | c << 32), ports)
        } else {
            let sources = hash::mix(hash::mix(seed, a), b);
            hash::mix(hash::mix(hash::mix(sources, c), d), ports)
        }
    }

    /// The one's-complement sum of the two addresses.
    #[inline(always)]
    #[must_use]
    pub fn address_sum(&self) -> Sum {
        self.src.sum().add(self.dst.sum())
    }

    /// The one's-complement sum of the two ports.
    #[inline(always)]
    #[must_use]
    pub fn port_sum(&self) -> Sum {
        Sum::ZERO.add_u32(self.ports())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v6_keeps_its_bytes() {
        let octets = core::array::from_fn(|i| u8::try_from(i).unwrap());
        assert_eq!(V6::from_octets(octets).octets(), octets);
    }

    #[test]
    fn v4_maps_as_rfc_4291_says_and_back() {
        let address = V4([192, 0, 2, 1]);
        let expected = std::net::Ipv4Addr::from(address.0).to_ipv6_mapped().octets();
        assert_eq!(address.mapped().octets(), expected);
        assert_eq!(V4::from_mapped(address.mapped()), address);
    }

    #[test]
    fn the_hash_depends_on_every_field() {
        let base = Tuple {
            src: V4([1, 2, 3, 4]),
            dst: V4([5, 6, 7, 8]),
            src_port: Port::new(1),
            dst_port: Port::new(2),
        };
        let others = [
            Tuple {
                src: V4([1, 2, 3, 5]),
                ..base
            },
            Tuple {
                dst: V4([5, 6, 7, 9]),
                ..base
            },
            Tuple {
                src_port: Port::new(3),
                ..base
            },
            Tuple {
                dst_port: Port::new(3),
                ..base
            },
            base.reversed(),
        ];
        for other in others {
            assert_ne!(base.hash(TCP, 7), other.hash(TCP, 7), "{other:?}");
        }
        assert_ne!(base.hash(TCP, 7), base.hash(UDP, 7));
        assert_ne!(base.hash(TCP, 7), base.hash(TCP, 8));
    }
}
