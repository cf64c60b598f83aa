//! IPv6.

use super::{Address, AddressCell, AddressPair, Marks, TTL, join, split};
use crate::{
    checksum::Sum,
    flow::Bucket,
    link::Link,
    packet::Packet,
    shared::Shared,
    tables::Tables,
    wire::{ETHERTYPE_IPV6, EthernetHeader, FramedV6, Ipv6Hdr},
};

/// An IPv6 address in network order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C, align(8))]
pub struct V6(pub [u64; 2]);

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

    /// From four words as they lie in memory: what sockets hold.
    #[inline(always)]
    #[must_use]
    pub const fn from_quarters([a, b, c, d]: [u32; 4]) -> Self {
        Self([join(a, b), join(c, d)])
    }

    /// To four words as they lie in memory.
    #[inline(always)]
    #[must_use]
    pub const fn quarters(self) -> [u32; 4] {
        let [first, second] = self.0;
        let ((a, b), (c, d)) = (split(first), split(second));
        [a, b, c, d]
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

impl Address for V6 {
    type Header = Ipv6Hdr;
    type Framed = FramedV6;
    type Pair = [[Shared<u64>; 2]; 2];

    const HEADER_LEN: usize = 40;
    const ENCAPSULATED: u8 = 41;
    const ICMP: u8 = super::ICMPV6;

    #[inline(always)]
    fn is_host(self) -> bool {
        let [first, second] = self.0;
        let [multicast, ..] = first.to_ne_bytes();
        multicast != 0xff && first | second != 0
    }

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
    fn stored(cell: &[Shared<u64>; 2]) -> Self {
        cell.load()
    }

    #[inline(always)]
    fn bucket<T: Tables>(tables: &T, index: u32) -> Option<&Bucket<Self>> {
        tables.bucket_v6(index)
    }

    #[inline(always)]
    fn framed(
        link: Link,
        (src, dst): (Self, Self),
        protocol: u8,
        length: u16,
        Marks { class, hash }: Marks,
    ) -> FramedV6 {
        let label = hash & 0xf_ffff;
        let rest = (u32::from(protocol) << 8 | u32::from(TTL)).to_be() | u32::from(length.to_be());
        FramedV6 {
            link: link.to_bytes(),
            ether_type: ETHERTYPE_IPV6,
            first: (6 << 28 | u32::from(class) << 20 | label).to_be_bytes(),
            rest: rest.to_ne_bytes(),
            src: src.octets(),
            dst: dst.octets(),
        }
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the header's length is 40")]
    fn length(header: &Ipv6Hdr) -> u16 {
        u16::from_be_bytes(header.payload_len).saturating_add(Self::HEADER_LEN as u16)
    }

    #[inline(always)]
    fn class(header: &Ipv6Hdr) -> u8 {
        let [first, second, ..] = header.vcf;
        first << 4 | second >> 4
    }

    #[inline(always)]
    fn age(packet: &mut Packet<'_>) -> Option<()> {
        let header = packet.header_mut::<Ipv6Hdr>(EthernetHeader::LEN)?;
        header.hop_limit = header.hop_limit.wrapping_sub(1);
        Some(())
    }

    #[inline(always)]
    fn translate(header: &mut Ipv6Hdr, _from: (Self, Self), to: (Self, Self), hops: u8) {
        header.hop_limit = header.hop_limit.wrapping_sub(hops);
        header.src_addr = to.0.octets();
        header.dst_addr = to.1.octets();
    }
}

impl AddressPair<V6> for [[Shared<u64>; 2]; 2] {
    #[inline(always)]
    fn load(&self) -> (V6, V6) {
        let [src, dst] = self;
        (src.load(), dst.load())
    }

    #[inline(always)]
    fn store(&self, pair: (V6, V6)) {
        let [src, dst] = self;
        src.store(pair.0);
        dst.store(pair.1);
    }

    #[inline(always)]
    fn is(&self, pair: (V6, V6)) -> bool {
        let [src, dst] = self;
        src.load() == pair.0 && dst.load() == pair.1
    }
}

impl AddressCell for [Shared<u64>; 2] {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_its_bytes() {
        let octets = core::array::from_fn(|i| u8::try_from(i).unwrap());
        assert_eq!(V6::from_octets(octets).octets(), octets);
    }
}
