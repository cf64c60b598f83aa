//! Cutting a merged TCP frame into those that it was merged from, or would have been cut into by a NIC.
//!
//! A packet socket hands frames to the egress device uncut, which knows how to cut them. It does not where the packet
//! travels within another: there each segment needs headers of its own around it.

use lb_common::{address::TCP, checksum::Sum};

/// Length of an Ethernet header.
const LINK: usize = 14;

/// Bits of a TCP header's flags.
const FIN: u8 = 1;
const PSH: u8 = 1 << 3;
const CWR: u8 = 1 << 7;

/// A merged frame, and where its parts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Merged<'f> {
    headers: &'f [u8],
    data: &'f [u8],
    /// Where the TCP header begins.
    transport: usize,
    /// Data bytes of each segment.
    size: usize,
}

impl<'f> Merged<'f> {
    /// A frame whose segments have `size` data bytes each; `None` if it is not TCP in plain IPv4 or IPv6.
    pub(super) fn of(frame: &'f [u8], size: usize) -> Option<Self> {
        let transport = match frame.get(LINK - 2..=LINK)? {
            [0x08, 0x00, version] => LINK + usize::from(version & 0xf) * 4,
            [0x86, 0xdd, _] => LINK + 40,
            _ => return None,
        };
        let protocol = if is_v4(frame) { LINK + 9 } else { LINK + 6 };
        let headers = transport + usize::from(frame.get(transport + 12)? >> 4) * 4;
        let is_tcp = *frame.get(protocol)? == TCP && headers >= transport + 20;
        let (headers, data) = frame.split_at_checked(headers)?;
        (is_tcp && size > 0).then_some(Self {
            headers,
            data,
            transport,
            size,
        })
    }

    /// The segments, one after the other, as whole frames with finished checksums.
    pub(super) fn segments(self) -> impl Iterator<Item = Vec<u8>> {
        let numbered = (0..).zip(self.data.chunks(self.size));
        numbered.map(move |(number, data)| self.segment(number, data))
    }

    fn segment(&self, number: u16, data: &[u8]) -> Vec<u8> {
        let mut frame = [self.headers, data].concat();
        let begin = usize::from(number) * self.size;
        let tcp = &mut frame[self.transport..];
        let sequence = field::<4>(tcp, 4).map_or(0, u32::from_be_bytes);
        let sequence = sequence.wrapping_add(u32::try_from(begin).unwrap_or_default());
        put(tcp, 4, &sequence.to_be_bytes());
        if begin + data.len() < self.data.len() {
            tcp[13] &= !(FIN | PSH);
        }
        if number > 0 {
            tcp[13] &= !CWR;
        }
        self.finish(&mut frame, number);
        frame
    }

    /// Writes lengths, the packet's number and checksums.
    fn finish(&self, frame: &mut [u8], number: u16) {
        let carried = u16::try_from(frame.len() - self.transport).unwrap_or_default();
        let addresses = if is_v4(frame) {
            let length = u16::try_from(frame.len() - LINK).unwrap_or_default();
            put(frame, LINK + 2, &length.to_be_bytes());
            let identification = field::<2>(frame, LINK + 4).map_or(0, u16::from_be_bytes);
            put(
                frame,
                LINK + 4,
                &identification.wrapping_add(number).to_be_bytes(),
            );
            put(frame, LINK + 10, &[0, 0]);
            let check = Sum::ZERO.add_slice(&frame[LINK..self.transport]).checksum();
            put(frame, LINK + 10, &check.to_ne_bytes());
            LINK + 12..LINK + 20
        } else {
            put(frame, LINK + 4, &carried.to_be_bytes());
            LINK + 8..LINK + 40
        };
        put(frame, self.transport + 16, &[0, 0]);
        let check = Sum::ZERO
            .add_slice(&frame[addresses])
            .add_protocol(TCP, carried)
            .add_slice(&frame[self.transport..])
            .checksum();
        put(frame, self.transport + 16, &check.to_ne_bytes());
    }
}

fn is_v4(frame: &[u8]) -> bool {
    frame.get(LINK - 2) == Some(&0x08)
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use etherparse::{PacketBuilder, SlicedPacket, TransportSlice};

    use super::*;

    const SIZE: usize = 1000;

    /// A frame with 2,500 bytes of data, unfinished as a merged one is.
    fn merged(is_v4: bool) -> Vec<u8> {
        let link = PacketBuilder::ethernet2([1; 6], [2; 6]);
        let ip = if is_v4 {
            link.ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        } else {
            link.ipv6([1; 16], [2; 16], 64)
        };
        let data: Vec<u8> = (0..=u8::MAX).cycle().take(2500).collect();
        let mut frame = Vec::new();
        let tcp = ip.tcp(1025, 80, u32::MAX - 500, 4096).ack(7).psh().fin().cwr();
        tcp.write(&mut frame, &data).expect("a frame");
        frame
    }

    #[test]
    fn segments_are_those_that_a_sender_would_have_sent() {
        for is_v4 in [true, false] {
            let frame = merged(is_v4);
            let segments: Vec<_> = Merged::of(&frame, SIZE).expect("TCP").segments().collect();
            assert_eq!(segments.len(), 3);
            let mut data: Vec<u8> = Vec::new();
            for (number, segment) in segments.iter().enumerate() {
                let packet = SlicedPacket::from_ethernet(segment).expect("a packet");
                let Some(TransportSlice::Tcp(tcp)) = &packet.transport else {
                    panic!("no TCP: {packet:?}");
                };
                let offset = u32::try_from(number * SIZE).expect("a small number");
                assert_eq!(tcp.sequence_number(), (u32::MAX - 500).wrapping_add(offset));
                assert_eq!([tcp.fin(), tcp.psh()], [number == 2; 2]);
                assert_eq!((tcp.cwr(), tcp.ack()), (number == 0, true));
                data.extend(tcp.payload());
                assert_eq!(tcp.checksum(), expected_checksum(&packet, tcp));
            }
            assert_eq!(data, frame[frame.len() - 2500..]);
        }
    }

    fn expected_checksum(packet: &SlicedPacket<'_>, tcp: &etherparse::TcpSlice<'_>) -> u16 {
        match packet.net.as_ref().expect("IP") {
            etherparse::NetSlice::Ipv4(ip) => {
                let header = ip.header();
                assert_eq!(
                    header.to_header().calc_header_checksum(),
                    header.header_checksum()
                );
                tcp.calc_checksum_ipv4(header.source(), header.destination())
            }
            etherparse::NetSlice::Ipv6(ip) => {
                tcp.calc_checksum_ipv6(ip.header().source(), ip.header().destination())
            }
            other @ etherparse::NetSlice::Arp(_) => panic!("not IP: {other:?}"),
        }
        .expect("a checksum")
    }

    #[test]
    fn what_is_not_tcp_is_left_alone() {
        let frame = merged(true);
        assert_eq!(Merged::of(&frame, 0), None);
        assert_eq!(Merged::of(&frame[..40], SIZE), None);
        let mut datagram = frame.clone();
        datagram[LINK + 9] = 17;
        assert_eq!(Merged::of(&datagram, SIZE), None);
        let mut tagged = frame;
        tagged[LINK - 2] = 0x81;
        assert_eq!(Merged::of(&tagged, SIZE), None);
    }
}
