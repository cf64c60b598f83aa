//! The packet that an ICMP error quotes: its IP header, and at least eight bytes more (RFC 792).

use crate::{
    address::{TCP, Tuple, UDP},
    packet::Packet,
    parse::{Carried, Parse},
    reason::Reason,
    wire::IcmpHeader,
};

/// A quoted packet of TCP or UDP.
pub(super) struct Quote<A> {
    /// Addresses and ports.
    pub(super) tuple: Tuple<A>,
    /// TCP or UDP.
    pub(super) protocol: u8,
    /// Where its IP header begins in the frame.
    pub(super) network: usize,
    /// Where its TCP or UDP header begins in the frame.
    pub(super) offset: usize,
    /// Where its TCP or UDP checksum stands in the frame, and what it is, if it is quoted.
    pub(super) check: Option<(usize, u16)>,
}

impl<A: Parse> Quote<A> {
    /// What the error in an IP packet quotes.
    #[inline(always)]
    pub(super) fn of(packet: &Packet<'_>, error: &Carried<A>) -> Result<Self, Reason> {
        let network = error.offset.wrapping_add(IcmpHeader::LEN);
        let ip = A::carried(packet, network)?;
        if ip.protocol != TCP && ip.protocol != UDP || ip.fragmentation & 0x1fff != 0 {
            return Err(Reason::NotTcpUdp);
        }
        let end = error.offset.wrapping_add(usize::from(error.length));
        if ip.offset.wrapping_add(8) > end {
            return Err(Reason::Malformed);
        }
        let ports = *packet.header::<[u8; 4]>(ip.offset).ok_or(Reason::Malformed)?;
        Ok(Self {
            tuple: Tuple::new(ip.src, ip.dst, u32::from_ne_bytes(ports)),
            protocol: ip.protocol,
            network,
            offset: ip.offset,
            check: check(packet, &ip, end),
        })
    }
}

/// The transport checksum, if it stands before the end of what is quoted and is one.
#[inline(always)]
fn check<A>(packet: &Packet<'_>, ip: &Carried<A>, end: usize) -> Option<(usize, u16)> {
    let place = ip.offset.wrapping_add(if ip.protocol == TCP { 16 } else { 6 });
    if place.wrapping_add(2) > end {
        return None;
    }
    let check = u16::from_ne_bytes(*packet.header::<[u8; 2]>(place)?);
    (ip.protocol == TCP || check != 0).then_some((place, check))
}
