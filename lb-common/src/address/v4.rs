//! IPv4.

use core::mem::offset_of;

use super::{Address, AddressPair, Marks, TTL, V6, join, split};
use crate::{
    checksum::Sum,
    flow::Bucket,
    link::Link,
    packet::Packet,
    shared::Shared,
    tables::Tables,
    wire::{ETHERTYPE_IPV4, EthernetHeader, FramedV4, Ipv4Hdr},
};

/// An IPv4 address in network order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C, align(4))]
pub struct V4(pub [u8; 4]);

impl Address for V4 {
    type Header = Ipv4Hdr;
    type Framed = FramedV4;
    type Pair = Shared<u64>;

    const HEADER_LEN: usize = 20;
    const ENCAPSULATED: u8 = 4;
    const ICMP: u8 = super::ICMP;

    #[inline(always)]
    fn is_host(self) -> bool {
        let [first, ..] = self.0;
        // "This network" (RFC 791 3.2), and from multicast up to the limited broadcast.
        first != 0 && first < 224
    }

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
    fn stored([_, second]: &[Shared<u64>; 2]) -> Self {
        Self(split(second.load()).1.to_ne_bytes())
    }

    #[inline(always)]
    fn bucket<T: Tables>(tables: &T, index: u32) -> Option<&Bucket<Self>> {
        tables.bucket_v4(index)
    }

    #[inline(always)]
    fn framed(
        link: Link,
        (src, dst): (Self, Self),
        protocol: u8,
        length: u16,
        Marks { class, .. }: Marks,
    ) -> FramedV4 {
        /// Its `EtherType`, version and length.
        const KIND: u32 = 0x0800_4500_u32.to_be();
        /// Don't Fragment (RFC 791 3.1): with it, the identification may be 0 (RFC 6864).
        const FLAGS: [u8; 2] = [0x40, 0];
        /// From its total length to its protocol, without both.
        const REST: u64 = u64::from_ne_bytes([0, 0, 0, 0, FLAGS[0], FLAGS[1], TTL, 0]);

        let kind = KIND | u32::from(class).to_be();
        let total = length.wrapping_add(20).to_be();
        let sum = src
            .sum()
            .add(dst.sum())
            .add_u32(kind)
            .add_u16(!u16::from_ne_bytes(ETHERTYPE_IPV4))
            .add_u16(total)
            .add_bytes(FLAGS)
            .add_bytes([TTL, protocol]);
        FramedV4 {
            link: link.to_bytes(),
            kind: kind.to_ne_bytes(),
            rest: (REST | u64::from(protocol).to_be() | u64::from(total)).to_ne_bytes(),
            check: sum.checksum().to_ne_bytes(),
            addresses: joined((src, dst)).to_ne_bytes(),
        }
    }

    #[inline(always)]
    fn length(header: &Ipv4Hdr) -> u16 {
        u16::from_be_bytes(header.tot_len)
    }

    #[inline(always)]
    fn class(header: &Ipv4Hdr) -> u8 {
        header.tos
    }

    #[inline(always)]
    fn age(packet: &mut Packet<'_>) -> Option<()> {
        let bytes =
            packet.header_mut::<[u8; 4]>(EthernetHeader::LEN.wrapping_add(offset_of!(Ipv4Hdr, ttl)))?;
        // TTL, protocol and checksum, in one word. One less in the first half is one more in the second, with what that
        // carries (RFC 1624; as `ip_decrease_ttl` in include/net/ip.h does it): one that shows if two more are added.
        let word = u64::from(u32::from_le_bytes(*bytes)).wrapping_add(0x1_ffff);
        let word = word.wrapping_sub(0x1_0000).wrapping_add(word >> 32 << 16);
        *bytes = ((word & 0xffff_ffff) as u32).to_le_bytes();
        Some(())
    }

    #[inline(always)]
    fn translate(header: &mut Ipv4Hdr, from: (Self, Self), to: (Self, Self), hops: u8) {
        // TTL shares its 16-bit word with the protocol: one less TTL is one less in that word's first byte.
        let old = from
            .0
            .sum()
            .add(from.1.sum())
            .add_bytes([header.ttl, header.proto]);
        header.ttl = header.ttl.wrapping_sub(hops);
        let new = to.0.sum().add(to.1.sum()).add_bytes([header.ttl, header.proto]);
        let check = u16::from_ne_bytes(header.check);
        header.check = old.replaced_by(new).in_checksum(check).to_ne_bytes();
        header.src_addr = to.0.0;
        header.dst_addr = to.1.0;
    }
}

/// One word.
impl AddressPair<V4> for Shared<u64> {
    #[inline(always)]
    fn load(&self) -> (V4, V4) {
        let (src, dst) = split(Self::load(self));
        (V4(src.to_ne_bytes()), V4(dst.to_ne_bytes()))
    }

    #[inline(always)]
    fn store(&self, pair: (V4, V4)) {
        Self::store(self, joined(pair));
    }

    #[inline(always)]
    fn is(&self, pair: (V4, V4)) -> bool {
        Self::load(self) == joined(pair)
    }
}

#[inline(always)]
const fn joined((src, dst): (V4, V4)) -> u64 {
    join(u32::from_ne_bytes(src.0), u32::from_ne_bytes(dst.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hop_less_is_what_rfc_1624_makes_of_the_checksum() {
        for (ttl, protocol) in [(1, 0), (2, 6), (64, 17), (255, 255)] {
            for before in 0..=u16::MAX {
                let mut frame = [0; 34];
                frame[22..24].copy_from_slice(&[ttl, protocol]);
                frame[24..26].copy_from_slice(&before.to_ne_bytes());
                V4::age(&mut Packet::new(&mut frame, 1)).unwrap();
                let (old, new) = ([ttl, protocol], [ttl - 1, protocol]);
                let update = Sum::ZERO.add_bytes(old).replaced_by(Sum::ZERO.add_bytes(new));
                assert_eq!(frame[22..24], new);
                assert_eq!(
                    frame[24..26],
                    update.in_checksum(before).to_ne_bytes(),
                    "{before:#x}"
                );
            }
        }
    }

    #[test]
    fn it_is_mapped_as_rfc_4291_says_and_back() {
        let address = V4([192, 0, 2, 1]);
        let expected = std::net::Ipv4Addr::from(address.0).to_ipv6_mapped().octets();
        assert_eq!(address.mapped().octets(), expected);
        assert_eq!(V4::from_mapped(address.mapped()), address);
    }
}
