//! A second opinion on what was forwarded: `etherparse` takes the frame apart and sums all of it.

use std::net::IpAddr;

use etherparse::{NetSlice, SlicedPacket, checksum::Sum16BitWords};
use lb_common::address::{TCP, UDP};

/// What a TCP or UDP checksum covers beside the packet (RFC 9293 3.1, RFC 768, RFC 8200 8.1).
pub(crate) struct Pseudo {
    pub(crate) from: IpAddr,
    pub(crate) to: IpAddr,
    pub(crate) protocol: u8,
}

impl Pseudo {
    /// The checksum of a packet whose checksum field is 0.
    pub(crate) fn checksum(&self, packet: &[u8]) -> u16 {
        let check = self.sum(packet.len()).add_slice(packet).ones_complement().to_be();
        // 0 would mean that there is none (RFC 768).
        if check == 0 && self.protocol == UDP {
            0xffff
        } else {
            check
        }
    }

    /// The sum of the pseudo-header, as a sender leaves it whose NIC finishes checksums.
    pub(crate) fn of_header_alone(&self, length: usize) -> u16 {
        !self.sum(length).ones_complement().to_be()
    }

    /// Whether a receiver takes the packet: with its checksum, all sums to nothing.
    fn accepts(&self, packet: &[u8]) -> bool {
        self.sum(packet.len()).add_slice(packet).ones_complement() == 0
    }

    fn sum(&self, length: usize) -> Sum16BitWords {
        let length = u16::try_from(length).expect("a packet's length");
        let sum = Sum16BitWords::new()
            .add_2bytes([0, self.protocol])
            .add_2bytes(length.to_be_bytes());
        [self.from, self.to]
            .iter()
            .fold(sum, |sum, address| match address {
                IpAddr::V4(address) => sum.add_slice(&address.octets()),
                IpAddr::V6(address) => sum.add_slice(&address.octets()),
            })
    }
}

/// Asserts that a frame holds a whole TCP or UDP packet whose checksums are right.
pub(crate) fn assert_right(frame: &[u8]) {
    assert_eq!(
        is_right(frame),
        Some(true),
        "a receiver refuses the checksums of {frame:02x?}"
    );
}

/// Whether the checksums of a frame's TCP or UDP packet are right; `None` if it holds no whole one, or a datagram without.
pub(crate) fn is_right(frame: &[u8]) -> Option<bool> {
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    let (from, to, protocol, payload, header_is_right) = match packet.net.as_ref()? {
        NetSlice::Ipv4(ip) => {
            let header = ip.header();
            let (from, to) = (header.source_addr().into(), header.destination_addr().into());
            let sum = header.to_header().calc_header_checksum();
            (
                from,
                to,
                header.protocol().0,
                ip.payload(),
                header.header_checksum() == sum,
            )
        }
        NetSlice::Ipv6(ip) => {
            let header = ip.header();
            let (from, to) = (header.source_addr().into(), header.destination_addr().into());
            (from, to, ip.payload().ip_number.0, ip.payload(), true)
        }
        NetSlice::Arp(_) => return None,
    };
    if payload.fragmented || ![TCP, UDP].contains(&protocol) {
        return None;
    }
    if protocol == UDP && payload.payload.get(6..8) == Some(&[0, 0]) {
        return None;
    }
    let pseudo = Pseudo { from, to, protocol };
    Some(header_is_right && pseudo.accepts(payload.payload))
}
