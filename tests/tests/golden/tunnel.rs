//! What a tunnel puts around a frame, built by `etherparse`.

use std::net::IpAddr;

use etherparse::{
    EtherType, Ethernet2Header, IpDscp, IpEcn, IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header, UdpHeader,
};

use crate::{
    frame::Frame,
    world::{BACK_MAC, BACKEND_MAC, Family},
};

/// A tunnel to a backend.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tunnel {
    /// Family of the outer header.
    pub(crate) outer: Family,
    /// Destination port of the UDP header, if there is one.
    pub(crate) gue: Option<u16>,
}

/// What differs between flows, by their hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flavour {
    /// Flow label of an IPv6 header.
    label: Option<Ipv6FlowLabel>,
    /// Source port of a UDP header.
    port: Option<u16>,
}

impl Tunnel {
    /// Bytes that it adds to a frame.
    pub(crate) fn overhead(self) -> usize {
        let ip = match self.outer {
            Family::V4 => Ipv4Header::MIN_LEN,
            Family::V6 => Ipv6Header::LEN,
        };
        ip + self.gue.map_or(0, |_| UdpHeader::LEN)
    }

    /// What differs between flows in a frame that has left.
    pub(crate) fn flavour(self, left: &[u8]) -> Flavour {
        let ip = &left[Ethernet2Header::LEN..];
        let (label, udp) = match self.outer {
            Family::V4 => (None, &ip[Ipv4Header::MIN_LEN..]),
            Family::V6 => {
                let (header, rest) = Ipv6Header::from_slice(ip).expect("an IPv6 header");
                (Some(header.flow_label), rest)
            }
        };
        let port = self.gue.map(|_| u16::from_be_bytes([udp[0], udp[1]]));
        assert!(
            port.is_none_or(|port| port >= 0xc000),
            "{port:?} is a dynamic port"
        );
        Flavour { label, port }
    }

    /// A frame as it has to leave; `inner` is that frame as it travels.
    pub(crate) fn around(self, inner: &Frame, flavour: Flavour) -> Vec<u8> {
        let inner_bytes = inner.bytes();
        let packet = &inner_bytes[Ethernet2Header::LEN..];
        let packet_length = packet.len() - inner.trailer.len();
        let number = if inner.to.is_ipv4() {
            IpNumber::IPV4
        } else {
            IpNumber::IPV6
        };
        let (udp, number) = match (self.gue, flavour.port) {
            (Some(gue), Some(port)) => (datagram(port, gue, packet_length), IpNumber::UDP),
            _ => (Vec::new(), number),
        };
        let ip = self.ip(inner.class, number, udp.len() + packet_length, flavour);
        let ethernet = Ethernet2Header {
            source: BACK_MAC,
            destination: BACKEND_MAC,
            ether_type: match self.outer {
                Family::V4 => EtherType::IPV4,
                Family::V6 => EtherType::IPV6,
            },
        };
        [&ethernet.to_bytes(), ip.as_slice(), &udp, packet].concat()
    }

    fn ip(self, class: u8, number: IpNumber, length: usize, flavour: Flavour) -> Vec<u8> {
        let length = u16::try_from(length).expect("a packet's length");
        match (self.outer.source(), self.outer.backend().ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let mut header = Ipv4Header::new(length, 64, number, from.octets(), to.octets())
                    .expect("a packet's length");
                header.dont_fragment = true;
                header.dscp = IpDscp::try_new(class >> 2).expect("six bits");
                header.ecn = IpEcn::try_new(class & 3).expect("two bits");
                header.header_checksum = header.calc_header_checksum();
                header.to_bytes().to_vec()
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => Ipv6Header {
                traffic_class: class,
                flow_label: flavour.label.expect("a flow label"),
                payload_length: length,
                next_header: number,
                hop_limit: 64,
                source: from.octets(),
                destination: to.octets(),
            }
            .to_bytes()
            .to_vec(),
            mixed => panic!("two families in one header: {mixed:?}"),
        }
    }
}

fn datagram(from: u16, to: u16, carried: usize) -> Vec<u8> {
    let length = UdpHeader::LEN + carried;
    let header = UdpHeader {
        source_port: from,
        destination_port: to,
        length: length.try_into().expect("a packet's length"),
        checksum: 0,
    };
    header.to_bytes().to_vec()
}
