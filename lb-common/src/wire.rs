//! Headers as they stand on the wire: alignment 1, every bit pattern valid.

pub use network_types::{
    ip::{Ipv4Hdr, Ipv6Hdr},
    udp::UdpHdr,
};

use crate::address::Mac;

/// `EtherType` of IPv4.
pub const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
/// `EtherType` of IPv6.
pub const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
/// `EtherType` of an 802.1Q tag.
pub const ETHERTYPE_VLAN: [u8; 2] = [0x81, 0x00];
/// `EtherType` of an 802.1ad (outer) tag.
pub const ETHERTYPE_QINQ: [u8; 2] = [0x88, 0xa8];

/// TCP flag FIN (RFC 9293 3.1).
pub const FIN: u8 = 0x01;
/// TCP flag SYN.
pub const SYN: u8 = 0x02;
/// TCP flag RST.
pub const RST: u8 = 0x04;
/// TCP flag ACK.
pub const ACK: u8 = 0x10;

/// Ethernet II header. (`network-types` has one with a `u16` in it, which packet bytes are not aligned for.)
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct EthernetHeader {
    /// Destination.
    pub dst: Mac,
    /// Source.
    pub src: Mac,
    /// What follows.
    pub ether_type: [u8; 2],
}

impl EthernetHeader {
    /// Length in bytes.
    pub const LEN: usize = size_of::<Self>();
}

/// An Ethernet header and an IPv4 header behind it, to be written: in words, not in fields, each of which is a store.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct FramedV4 {
    /// Destination and source, as [`Link`](crate::link::Link) has them.
    pub link: [u8; 12],
    /// `EtherType`, version, header length, DSCP and ECN.
    pub kind: [u8; 4],
    /// Total length, identification, flags and fragment offset, TTL, protocol.
    pub rest: [u8; 8],
    /// Header checksum.
    pub check: [u8; 2],
    /// Source and destination.
    pub addresses: [u8; 8],
}

/// The same with an IPv6 header.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct FramedV6 {
    /// Destination and source, as [`Link`](crate::link::Link) has them.
    pub link: [u8; 12],
    /// What follows.
    pub ether_type: [u8; 2],
    /// Version, DSCP and ECN, flow label.
    pub first: [u8; 4],
    /// Payload length, next header, hop limit.
    pub rest: [u8; 4],
    /// Source.
    pub src: [u8; 16],
    /// Destination.
    pub dst: [u8; 16],
}

/// TCP header without options (RFC 9293 3.1), flags as one byte.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct TcpHeader {
    /// Source port.
    pub src: [u8; 2],
    /// Destination port.
    pub dst: [u8; 2],
    /// Sequence number.
    pub seq: [u8; 4],
    /// Acknowledgement number.
    pub ack: [u8; 4],
    /// Header length in 32-bit words, in the upper half.
    pub data_offset: u8,
    /// Flags: [`FIN`], [`SYN`], [`RST`], [`ACK`] and others.
    pub flags: u8,
    /// Window.
    pub window: [u8; 2],
    /// Checksum over pseudo-header, header and data.
    pub check: [u8; 2],
    /// Urgent pointer.
    pub urgent: [u8; 2],
}

/// ICMP header (RFC 792, RFC 4443 2.1).
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct IcmpHeader {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// Checksum over all of the message, for `ICMPv6` over a pseudo-header too.
    pub check: [u8; 2],
    /// What the type makes of it.
    pub rest: [u8; 4],
}

impl IcmpHeader {
    /// Length in bytes.
    pub const LEN: usize = size_of::<Self>();
}

const _: () = assert!(IcmpHeader::LEN == 8 && align_of::<IcmpHeader>() == 1);
const _: () = assert!(EthernetHeader::LEN == 14 && align_of::<EthernetHeader>() == 1);
const _: () = assert!(size_of::<FramedV4>() == 34 && align_of::<FramedV4>() == 1);
const _: () = assert!(size_of::<FramedV6>() == 54 && align_of::<FramedV6>() == 1);
const _: () = assert!(size_of::<TcpHeader>() == 20 && align_of::<TcpHeader>() == 1);
