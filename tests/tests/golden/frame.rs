//! Frames as values, made into bytes by `etherparse`.

use std::net::{IpAddr, SocketAddr};

use etherparse::{
    EtherType, Ethernet2Header, IpDscp, IpEcn, IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header, TcpHeader,
    UdpHeader, checksum::Sum16BitWords,
};
use lb_common::{
    Mac,
    address::{ICMP, ICMPV6, TCP, UDP},
    wire::{ACK, FIN, RST, SYN},
};

use crate::{
    oracle::Pseudo,
    world::{BACK, CLIENT_MAC, FRONT, FRONT_MAC, Family},
};

/// Of each segment, unless it says another one.
const SEQUENCE_NUMBER: u32 = 0x1122_3344;
/// Of each segment that has ACK, unless it says another one.
const ACKNOWLEDGEMENT_NUMBER: u32 = 0x5566_7788;

/// A TCP or UDP packet in a frame, and the interface that it comes in or goes out by.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) interface: u32,
    pub(crate) from_mac: Mac,
    pub(crate) to_mac: Mac,
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) ttl: u8,
    /// DSCP and ECN, as they stand in one byte.
    pub(crate) class: u8,
    /// Of IPv6.
    pub(crate) flow_label: u32,
    /// IPv4 options: up to ten words of four bytes.
    pub(crate) options: Vec<u8>,
    pub(crate) protocol: u8,
    /// TCP flags.
    pub(crate) flags: u8,
    /// TCP sequence number.
    pub(crate) seq: u32,
    /// TCP acknowledgement number, where there is ACK.
    pub(crate) ack: u32,
    /// TCP window.
    pub(crate) window: u16,
    /// TCP options, whole words.
    pub(crate) tcp_options: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    pub(crate) check: Check,
    /// What follows after the end of the IP packet: Ethernet's padding.
    pub(crate) trailer: Vec<u8>,
}

/// What stands in the TCP or UDP checksum field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// The checksum.
    Right,
    /// The sum of the pseudo-header alone, as a sender leaves it that has its NIC finish it.
    Partial,
    /// 0: none (UDP over IPv4).
    Absent,
    /// The checksum, and this added to it: the packet was damaged on its way.
    Off(u16),
}

impl Frame {
    /// A client's packet to the family's virtual address.
    pub(crate) fn to_service(family: Family, protocol: u8) -> Self {
        Self {
            interface: FRONT,
            from_mac: CLIENT_MAC,
            to_mac: FRONT_MAC,
            from: family.client(),
            to: family.virtual_address(),
            ttl: 64,
            class: 0,
            flow_label: 0xa_5a5a,
            options: Vec::new(),
            protocol,
            flags: 0,
            seq: SEQUENCE_NUMBER,
            ack: ACKNOWLEDGEMENT_NUMBER,
            window: 0x7fff,
            tcp_options: Vec::new(),
            payload: b"payload".to_vec(),
            check: Check::Right,
            trailer: Vec::new(),
        }
    }

    /// A client's SYN.
    pub(crate) fn syn(family: Family) -> Self {
        Self {
            flags: SYN,
            payload: Vec::new(),
            ..Self::to_service(family, TCP)
        }
    }

    /// A client's datagram.
    pub(crate) fn datagram(family: Family) -> Self {
        Self::to_service(family, UDP)
    }

    /// The same with other TCP flags and other data.
    pub(crate) fn with(&self, flags: u8, payload: &[u8]) -> Self {
        Self {
            flags,
            payload: payload.to_vec(),
            ..self.clone()
        }
    }

    /// What answers to it, over a network that takes two hops: from its destination, by the same way.
    pub(crate) fn answer(&self, flags: u8, payload: &[u8]) -> Self {
        Self {
            interface: BACK,
            from_mac: self.to_mac,
            to_mac: self.from_mac,
            from: self.to,
            to: self.from,
            ttl: 62,
            options: Vec::new(),
            class: 0,
            tcp_options: Vec::new(),
            flags,
            payload: payload.to_vec(),
            check: Check::Right,
            ..self.clone()
        }
    }

    /// The same from another client, known by its port.
    pub(crate) fn sent_from(&self, port: u16) -> Self {
        let mut frame = self.clone();
        frame.from.set_port(port);
        frame
    }

    /// The same to another port.
    pub(crate) fn sent_to(&self, port: u16) -> Self {
        let mut frame = self.clone();
        frame.to.set_port(port);
        frame
    }

    /// Where the TCP or UDP header begins.
    pub(crate) fn transport_offset(&self) -> usize {
        let header = if self.to.is_ipv4() { 20 } else { 40 };
        Ethernet2Header::LEN + header + self.options.len()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.whole(&self.transport())
    }

    /// With the headers before a TCP or UDP header and its data.
    fn whole(&self, transport: &[u8]) -> Vec<u8> {
        let mut bytes = self.ethernet().to_bytes().to_vec();
        let length = u16::try_from(transport.len()).expect("a packet's length");
        match (self.from.ip(), self.to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let number = IpNumber(self.protocol);
                let mut header = Ipv4Header::new(length, self.ttl, number, from.octets(), to.octets())
                    .expect("a packet's length");
                header.dscp = IpDscp::try_new(self.class >> 2).expect("six bits");
                header.ecn = IpEcn::try_new(self.class & 3).expect("two bits");
                header.options = self.options.as_slice().try_into().expect("whole words");
                header
                    .set_payload_len(transport.len())
                    .expect("a packet's length");
                header.header_checksum = header.calc_header_checksum();
                bytes.extend_from_slice(&header.to_bytes());
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let header = Ipv6Header {
                    traffic_class: self.class,
                    flow_label: Ipv6FlowLabel::try_new(self.flow_label).expect("20 bits"),
                    payload_length: length,
                    next_header: IpNumber(self.protocol),
                    hop_limit: self.ttl,
                    source: from.octets(),
                    destination: to.octets(),
                };
                bytes.extend_from_slice(&header.to_bytes());
            }
            mixed => panic!("two families in one packet: {mixed:?}"),
        }
        bytes.extend_from_slice(transport);
        bytes.extend_from_slice(&self.trailer);
        bytes
    }

    /// Its headers, with an ICMP message behind them.
    pub(crate) fn icmp(&self, (kind, code): (u8, u8), rest: [u8; 4], data: &[u8]) -> Vec<u8> {
        let protocol = if self.to.is_ipv4() { ICMP } else { ICMPV6 };
        let mut message = [&[kind, code, 0, 0][..], &rest, data].concat();
        let check = if self.to.is_ipv4() {
            Sum16BitWords::new().add_slice(&message).ones_complement().to_be()
        } else {
            let (from, to) = (self.from.ip(), self.to.ip());
            Pseudo { from, to, protocol }.checksum(&message)
        };
        message[2..4].copy_from_slice(&check.to_be_bytes());
        Self {
            protocol,
            ..self.clone()
        }
        .whole(&message)
    }

    /// Its IP packet, of which an error quotes so many bytes.
    pub(crate) fn quote(&self, length: usize) -> Vec<u8> {
        let packet = &self.bytes()[Ethernet2Header::LEN..];
        packet[..length.min(packet.len())].to_vec()
    }

    fn ethernet(&self) -> Ethernet2Header {
        Ethernet2Header {
            source: self.from_mac,
            destination: self.to_mac,
            ether_type: if self.to.is_ipv4() {
                EtherType::IPV4
            } else {
                EtherType::IPV6
            },
        }
    }

    /// Header and data.
    fn transport(&self) -> Vec<u8> {
        let (header, field) = if self.protocol == TCP {
            (self.tcp(), 16)
        } else {
            (self.udp(), 6)
        };
        self.with_checksum([header, self.payload.clone()].concat(), field)
    }

    /// With the checksum in its field.
    fn with_checksum(&self, mut bytes: Vec<u8>, field: usize) -> Vec<u8> {
        let sum = Pseudo {
            from: self.from.ip(),
            to: self.to.ip(),
            protocol: self.protocol,
        };
        let check = match self.check {
            Check::Right => sum.checksum(&bytes),
            Check::Absent => 0,
            Check::Partial => sum.of_header_alone(bytes.len()),
            // One's-complement addition: a carry out of the top comes in again below.
            Check::Off(by) => {
                let (check, carry) = sum.checksum(&bytes).overflowing_add(by);
                check + u16::from(carry)
            }
        };
        bytes[field..field + 2].copy_from_slice(&check.to_be_bytes());
        bytes
    }

    /// This answer as the RST that RFC 9293 3.10.7.1 has for `segment`.
    pub(crate) fn reset_of(&self, segment: &Self) -> Vec<u8> {
        let mut header = TcpHeader::new(self.from.port(), self.to.port(), 0, 0);
        header.rst = true;
        if segment.flags & ACK == 0 {
            header.ack = true;
            let flags = (segment.flags & (SYN | FIN)).count_ones();
            let data = u32::try_from(segment.payload.len()).expect("a packet's length");
            header.acknowledgment_number = segment.seq + data + flags;
        } else {
            header.sequence_number = segment.ack;
        }
        self.whole(&self.with_checksum(header.to_bytes().to_vec(), 16))
    }

    fn tcp(&self) -> Vec<u8> {
        let mut header = TcpHeader::new(self.from.port(), self.to.port(), self.seq, self.window);
        header.syn = self.flags & SYN != 0;
        header.ack = self.flags & ACK != 0;
        header.fin = self.flags & FIN != 0;
        header.rst = self.flags & RST != 0;
        header.acknowledgment_number = if header.ack { self.ack } else { 0 };
        header
            .set_options_raw(&self.tcp_options)
            .expect("up to ten words");
        header.to_bytes().to_vec()
    }

    fn udp(&self) -> Vec<u8> {
        let length = UdpHeader::LEN + self.payload.len();
        let header = UdpHeader {
            source_port: self.from.port(),
            destination_port: self.to.port(),
            length: length.try_into().expect("a packet's length"),
            checksum: 0,
        };
        header.to_bytes().to_vec()
    }
}
