//! Frames of a connection that is asked for and given up.

use std::net::{IpAddr, SocketAddr};

use etherparse::{
    IpHeaders, IpNumber, Ipv4Header, Ipv6Header, NetSlice, PacketBuilder, PacketBuilderStep, SlicedPacket,
    TransportSlice,
};
use socket2::SockFilter;

use crate::{config::types::Encapsulation, next_hop::NextHop};

/// Room for what answers may take.
const WINDOW: u16 = 1024;
/// As that of most hosts.
const TTL: u8 = 64;
/// Like GUE's source ports of the packet path: any.
const GUE_SOURCE: u16 = 49_152;

/// A segment of ours: it opens the connection, or ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Our address, and a port that no socket has.
    pub from: SocketAddr,
    /// The address that is asked, of the same family.
    pub to: SocketAddr,
    /// Its sequence number.
    pub sequence: u32,
    /// Whether it ends the connection.
    pub ends: bool,
}

/// What comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The connection would be taken.
    Taken,
    /// It would not.
    Refused,
}

impl Segment {
    /// The frame to send, as the packet path would: with the backend's MAC address, and perhaps within a tunnel.
    pub(super) fn frame(&self, way: &NextHop, tunnel: Option<(SocketAddr, Encapsulation)>) -> Vec<u8> {
        let link = PacketBuilder::ethernet2(way.own_mac, way.peer_mac);
        let Some((backend, encapsulation)) = tunnel else {
            return self.written(link.ip(headers(self.from.ip(), self.to.ip())));
        };
        let packet = self.written(PacketBuilder::ip(headers(self.from.ip(), self.to.ip())));
        let inner = if self.to.is_ipv4() {
            IpNumber::IPV4
        } else {
            IpNumber::IPV6
        };
        let outer = link.ip(headers(way.source, backend.ip()));
        let mut frame = Vec::with_capacity(128);
        // It is short, and memory takes all of it.
        let _always = match encapsulation {
            Encapsulation::Ipip => outer.write_to_vec(&mut frame, inner, &packet).is_ok(),
            Encapsulation::Gue { port } => outer
                .udp(GUE_SOURCE, port.get())
                .write_to_vec(&mut frame, &packet)
                .is_ok(),
        };
        frame
    }

    fn written(&self, network: PacketBuilderStep<IpHeaders>) -> Vec<u8> {
        let segment = network.tcp(self.from.port(), self.to.port(), self.sequence, WINDOW);
        let segment = if self.ends { segment.rst() } else { segment.syn() };
        let mut bytes = Vec::with_capacity(128);
        let _always = segment.write_to_vec(&mut bytes, &[]).is_ok();
        bytes
    }
}

/// Between two addresses of one family.
fn headers(from: IpAddr, to: IpAddr) -> IpHeaders {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let header = Ipv4Header {
                time_to_live: TTL,
                source: from.octets(),
                destination: to.octets(),
                dont_fragment: true,
                ..Ipv4Header::default()
            };
            IpHeaders::Ipv4(header, etherparse::Ipv4Extensions::default())
        }
        (from, to) => {
            let octets = |address: IpAddr| match address {
                IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
                IpAddr::V6(address) => address.octets(),
            };
            let header = Ipv6Header {
                hop_limit: TTL,
                source: octets(from),
                destination: octets(to),
                ..Ipv6Header::default()
            };
            IpHeaders::Ipv6(header, etherparse::Ipv6Extensions::default())
        }
    }
}

/// What a frame answers to the segment that opens a connection; `None`: it is about something else.
#[must_use]
pub fn answer(frame: &[u8], opening: &Segment) -> Option<Answer> {
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    let (from, to): (IpAddr, IpAddr) = match packet.net? {
        NetSlice::Ipv4(packet) => {
            let header = packet.header();
            (header.source_addr().into(), header.destination_addr().into())
        }
        NetSlice::Ipv6(packet) => {
            let header = packet.header();
            (header.source_addr().into(), header.destination_addr().into())
        }
        NetSlice::Arp(_) => return None,
    };
    let Some(TransportSlice::Tcp(segment)) = packet.transport else {
        return None;
    };
    let from = SocketAddr::new(from, segment.source_port());
    let to = SocketAddr::new(to, segment.destination_port());
    let is_ours = (from, to) == (opening.to, opening.from);
    let acknowledges = segment.ack() && segment.acknowledgment_number() == opening.sequence.wrapping_add(1);
    match (is_ours && acknowledges, segment.rst(), segment.syn()) {
        (true, true, _) => Some(Answer::Refused),
        (true, false, true) => Some(Answer::Taken),
        _ => None,
    }
}

/// Lets nothing past but TCP segments to our port: everything else that comes in by the interface is not for us, and is
/// much.
pub(super) fn filter(own: SocketAddr) -> [SockFilter; 9] {
    const ETHERTYPE: u32 = 12;
    let (ethertype, protocol) = match own {
        SocketAddr::V4(_) => (0x0800, 14 + 9),
        SocketAddr::V6(_) => (0x86dd, 14 + 6),
    };
    let (load_half, load_byte) = (
        libc::BPF_LD | libc::BPF_H | libc::BPF_ABS,
        libc::BPF_LD | libc::BPF_B | libc::BPF_ABS,
    );
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let port = match own {
        // Behind a header whose length its first byte has.
        SocketAddr::V4(_) => [
            instruction(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH, 0, 14),
            instruction(libc::BPF_LD | libc::BPF_H | libc::BPF_IND, 0, 14 + 2),
        ],
        SocketAddr::V6(_) => [
            instruction(libc::BPF_LDX | libc::BPF_W | libc::BPF_IMM, 0, 0),
            instruction(load_half, 0, 14 + 40 + 2),
        ],
    };
    let [first, second] = port;
    [
        instruction(load_half, 0, ETHERTYPE),
        instruction(equal, 6, ethertype),
        instruction(load_byte, 0, protocol),
        instruction(equal, 4, u32::from(IpNumber::TCP.0)),
        first,
        second,
        instruction(equal, 1, u32::from(own.port())),
        instruction(libc::BPF_RET | libc::BPF_K, 0, u32::MAX),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0),
    ]
}

/// One instruction; where it compares and finds no match, so many are passed over.
fn instruction(code: u32, unless: u8, operand: u32) -> SockFilter {
    SockFilter::new(u16::try_from(code).unwrap_or_default(), 0, unless, operand)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;

    fn way(source: &str) -> NextHop {
        NextHop {
            ifindex: 3,
            interface: "eth1".into(),
            source: source.parse().unwrap(),
            own_mac: [2, 0, 0, 0, 0, 1],
            peer_mac: [2, 0, 0, 0, 0, 2],
            mtu: 1500,
            gateway: None,
        }
    }

    fn opening(from: &str, to: &str) -> Segment {
        Segment {
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            sequence: u32::MAX,
            ends: false,
        }
    }

    const BOTH: [(&str, &str); 2] = [
        ("10.0.0.5:61000", "10.0.0.100:80"),
        ("[fd00::5]:61000", "[fd00::100]:80"),
    ];

    /// What the other end says to a segment: with these flags, and an acknowledgement.
    fn reply(
        opening: &Segment,
        acknowledged: u32,
        flags: impl Fn(PacketBuilderStep<etherparse::TcpHeader>) -> PacketBuilderStep<etherparse::TcpHeader>,
    ) -> Vec<u8> {
        let segment = PacketBuilder::ethernet2([2; 6], [4; 6])
            .ip(headers(opening.to.ip(), opening.from.ip()))
            .tcp(opening.to.port(), opening.from.port(), 7, 100);
        let mut frame = Vec::new();
        flags(segment).ack(acknowledged).write(&mut frame, &[]).unwrap();
        frame
    }

    #[test]
    fn a_syn_is_sent_as_the_packet_path_would() {
        for (from, to) in BOTH {
            let segment = opening(from, to);
            let way = way(&segment.from.ip().to_string());
            let frame = segment.frame(&way, None);
            let packet = SlicedPacket::from_ethernet(&frame).unwrap();
            let Some(TransportSlice::Tcp(tcp)) = packet.transport else {
                panic!("{frame:x?}")
            };
            assert!(tcp.syn() && !tcp.ack() && tcp.destination_port() == 80);
            assert_eq!(frame[..6], way.peer_mac);

            let gue = Encapsulation::Gue {
                port: NonZeroU16::new(6080).unwrap(),
            };
            for (encapsulation, header) in [(Encapsulation::Ipip, 0), (gue, 8)] {
                let backend = SocketAddr::new(segment.to.ip(), 80);
                let wrapped = segment.frame(&way, Some((backend, encapsulation)));
                let network = if segment.to.is_ipv4() { 20 } else { 40 };
                assert_eq!(wrapped[14 + network + header..], frame[14..], "{encapsulation:?}");
            }
        }
    }

    #[test]
    fn answers_are_told_from_everything_else() {
        for (from, to) in BOTH {
            let opening = opening(from, to);
            let heard = |frame: &[u8]| answer(frame, &opening);
            assert_eq!(
                heard(&reply(&opening, 0, PacketBuilderStep::syn)),
                Some(Answer::Taken)
            );
            assert_eq!(
                heard(&reply(&opening, 0, PacketBuilderStep::rst)),
                Some(Answer::Refused)
            );
            assert_eq!(heard(&reply(&opening, 0, |s| s)), None, "a stray");
            assert_eq!(
                heard(&reply(&opening, 1, PacketBuilderStep::syn)),
                None,
                "of another connection"
            );
            let other = Segment {
                to: SocketAddr::new(opening.to.ip(), 81),
                ..opening
            };
            assert_eq!(heard(&reply(&other, 0, PacketBuilderStep::syn)), None);
            let whole = reply(&opening, 0, PacketBuilderStep::syn);
            assert!((0..whole.len()).all(|end| heard(&whole[..end]).is_none()));
        }
    }
}
