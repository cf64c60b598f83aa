//! Segments that neither end has sent, for either end to believe.

use std::net::{IpAddr, SocketAddr};

use etherparse::{PacketBuilder, PacketBuilderStep, TcpHeader};
use lb_common::Mac;

/// Hops that a segment may take.
const TTL: u8 = 64;

/// A packet to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shot {
    /// A whole frame, out of an interface.
    Frame {
        /// Its number.
        interface: u32,
        /// From Ethernet header to end.
        bytes: Vec<u8>,
    },
    /// An IP packet to this host itself.
    Own {
        /// The host's address that it is for.
        to: IpAddr,
        /// From IP header to end.
        bytes: Vec<u8>,
    },
}

/// Where a segment goes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    /// Out of an interface, from the second MAC address to the first.
    Out { interface: u32, to: Mac, from: Mac },
    /// To this host.
    Here,
}

/// What a segment says.
#[derive(Debug, Clone, Copy)]
pub(super) enum Say {
    /// That the connection is over. Its receiver believes it for the sequence number, which is the one that it expects next
    /// (RFC 9293 3.5.2); if it has yet to hear anything, for the acknowledgement of its SYN.
    Reset { seq: u32, ack: u32 },
    /// That another one begins, which the receiver answers with what it has received of this one (RFC 5961 4.2).
    Challenge,
}

/// A segment from one end to the other.
pub(super) fn segment(way: Way, from: SocketAddr, to: SocketAddr, say: Say) -> Option<Shot> {
    let ports = (from.port(), to.port());
    let mut bytes = Vec::new();
    let tcp = match say {
        Say::Reset { seq, ack } => {
            let mut header = TcpHeader::new(ports.0, ports.1, seq, 0);
            header.rst = true;
            header.ack = true;
            header.acknowledgment_number = ack;
            header
        }
        Say::Challenge => {
            let mut header = TcpHeader::new(ports.0, ports.1, 0, 1024);
            header.syn = true;
            header
        }
    };
    match way {
        Way::Out {
            interface,
            to: to_mac,
            from: from_mac,
        } => {
            let frame = PacketBuilder::ethernet2(from_mac, to_mac);
            let packet = match (from.ip(), to.ip()) {
                (IpAddr::V4(from), IpAddr::V4(to)) => frame.ipv4(from.octets(), to.octets(), TTL),
                (IpAddr::V6(from), IpAddr::V6(to)) => frame.ipv6(from.octets(), to.octets(), TTL),
                _ => return None,
            };
            write(packet, tcp, &mut bytes)?;
            Some(Shot::Frame { interface, bytes })
        }
        Way::Here => {
            let packet = match (from.ip(), to.ip()) {
                (IpAddr::V4(from), IpAddr::V4(to)) => PacketBuilder::ipv4(from.octets(), to.octets(), TTL),
                (IpAddr::V6(from), IpAddr::V6(to)) => PacketBuilder::ipv6(from.octets(), to.octets(), TTL),
                _ => return None,
            };
            write(packet, tcp, &mut bytes)?;
            Some(Shot::Own { to: to.ip(), bytes })
        }
    }
}

fn write(
    packet: PacketBuilderStep<etherparse::IpHeaders>,
    tcp: TcpHeader,
    bytes: &mut Vec<u8>,
) -> Option<()> {
    // It could only fail for more data than a packet holds.
    packet.tcp_header(tcp).write(bytes, &[]).ok()
}
