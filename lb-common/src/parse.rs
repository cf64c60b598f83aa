//! From bytes to a [`Segment`]: nothing is written here.

use crate::{
    address::{Address, Port, TCP, Tuple, UDP, V4, V6},
    packet::Packet,
    reason::Reason,
    wire::{
        ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_QINQ, ETHERTYPE_VLAN, EthernetHeader, Ipv4Hdr, Ipv6Hdr,
        TcpHeader, UdpHdr,
    },
};

/// A TCP segment or UDP datagram in its frame.
#[derive(Debug, Clone, Copy)]
pub struct Segment<A> {
    /// Addresses and ports.
    pub tuple: Tuple<A>,
    /// [`TCP`] or [`UDP`].
    pub protocol: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// TCP flags; 0 for UDP.
    pub flags: u8,
    /// TCP acknowledgement number, as it lies in memory; 0 for UDP.
    pub ack: u32,
    /// Where the TCP or UDP header begins in the frame.
    pub offset: usize,
    /// Length of that header and its data, as the IP header says.
    pub length: u16,
    /// The checksum field, as it lies in memory.
    pub check: u16,
}

/// What IP header a frame has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// What the Ethernet header says.
#[inline(always)]
pub fn network(packet: &Packet<'_>) -> Result<Network, Reason> {
    let header = packet.header::<EthernetHeader>(0).ok_or(Reason::Malformed)?;
    match header.ether_type {
        ETHERTYPE_IPV4 => Ok(Network::V4),
        ETHERTYPE_IPV6 => Ok(Network::V6),
        ETHERTYPE_VLAN | ETHERTYPE_QINQ => Err(Reason::Vlan),
        _ => Err(Reason::NotIp),
    }
}

/// The family's part of parsing.
pub trait Parse: Address {
    /// Parses the IP header and what it carries.
    fn parse(packet: &Packet<'_>) -> Result<Segment<Self>, Reason>
    where
        Self: Sized;
}

/// What an IP header says of its payload.
struct Carried<A> {
    src: A,
    dst: A,
    protocol: u8,
    ttl: u8,
    offset: usize,
    length: u16,
}

impl Parse for V4 {
    #[inline(always)]
    fn parse(packet: &Packet<'_>) -> Result<Segment<Self>, Reason> {
        /// Bytes per unit of IHL, and the least that it may say (RFC 791 3.1).
        const LEAST: u16 = 20;
        /// More Fragments, or an offset (RFC 791 3.1).
        const FRAGMENTED: u16 = 0x3fff;

        let header = packet
            .header::<Ipv4Hdr>(EthernetHeader::LEN)
            .ok_or(Reason::Malformed)?;
        let header_length = u16::from(header.vihl & 0x0f) << 2;
        let length = u16::from_be_bytes(header.tot_len)
            .checked_sub(header_length)
            .ok_or(Reason::Malformed)?;
        if header.vihl >> 4 != 4 || header_length < LEAST {
            return Err(Reason::Malformed);
        }
        if u16::from_be_bytes(header.frags) & FRAGMENTED != 0 {
            return Err(Reason::Fragment);
        }
        transport(
            packet,
            &Carried {
                src: Self(header.src_addr),
                dst: Self(header.dst_addr),
                protocol: header.proto,
                ttl: header.ttl,
                offset: EthernetHeader::LEN.wrapping_add(usize::from(header_length)),
                length,
            },
        )
    }
}

impl Parse for V6 {
    #[inline(always)]
    fn parse(packet: &Packet<'_>) -> Result<Segment<Self>, Reason> {
        const OFFSET: usize = EthernetHeader::LEN + Ipv6Hdr::LEN;
        /// Hop-by-hop, routing, fragment, authentication, destination options (RFC 8200 4, RFC 4302).
        const EXTENSIONS: [u8; 5] = [0, 43, 44, 51, 60];

        let header = packet
            .header::<Ipv6Hdr>(EthernetHeader::LEN)
            .ok_or(Reason::Malformed)?;
        let [first, ..] = header.vcf;
        if first >> 4 != 6 {
            return Err(Reason::Malformed);
        }
        let [hop_by_hop, routing, fragment, authentication, options] = EXTENSIONS;
        let next = header.next_hdr;
        if next == fragment {
            return Err(Reason::Fragment);
        }
        if next == hop_by_hop || next == routing || next == authentication || next == options {
            return Err(Reason::ExtensionHeader);
        }
        transport(
            packet,
            &Carried {
                src: Self::from_octets(header.src_addr),
                dst: Self::from_octets(header.dst_addr),
                protocol: next,
                ttl: header.hop_limit,
                offset: OFFSET,
                length: u16::from_be_bytes(header.payload_len),
            },
        )
    }
}

#[inline(always)]
fn transport<A: Address>(packet: &Packet<'_>, ip: &Carried<A>) -> Result<Segment<A>, Reason> {
    let (src_port, dst_port, flags, ack, least, check) = match ip.protocol {
        TCP => {
            let header = packet.header::<TcpHeader>(ip.offset).ok_or(Reason::Malformed)?;
            // Header length in bytes: the upper half of the byte counts words of four.
            let least = u16::from(header.data_offset & 0xf0) >> 2;
            if usize::from(least) < size_of::<TcpHeader>() {
                return Err(Reason::Malformed);
            }
            (
                header.src,
                header.dst,
                header.flags,
                u32::from_ne_bytes(header.ack),
                least,
                u16::from_ne_bytes(header.check),
            )
        }
        UDP => {
            let header = packet.header::<UdpHdr>(ip.offset).ok_or(Reason::Malformed)?;
            (
                header.src,
                header.dst,
                0,
                0,
                UDP_LEN,
                u16::from_ne_bytes(header.check),
            )
        }
        _ => return Err(Reason::NotTcpUdp),
    };
    // What IP says must hold the header, and the frame must hold what IP says.
    let end = (ip.offset as u64).wrapping_add(u64::from(ip.length));
    if ip.length < least || end > packet.len() {
        return Err(Reason::Malformed);
    }
    Ok(Segment {
        tuple: Tuple {
            src: ip.src,
            dst: ip.dst,
            src_port: Port(src_port),
            dst_port: Port(dst_port),
        },
        protocol: ip.protocol,
        ttl: ip.ttl,
        flags,
        ack,
        offset: ip.offset,
        length: ip.length,
        check,
    })
}

/// Length of a UDP header.
const UDP_LEN: u16 = 8;
