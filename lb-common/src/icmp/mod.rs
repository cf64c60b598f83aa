//! ICMP: errors about packets of flows reach who sent those, and pings of virtual addresses are answered.

mod echo;
mod quote;
mod translate;

use self::quote::Quote;
use crate::{
    address::{Address as _, TTL, Tuple, V4, V6},
    checksum::Sum,
    packet::{Packet, Wire},
    parse::{self, Carried, FRAGMENTED, Network, Parse},
    process::{Exit, Outcome, conclude},
    reason::Reason,
    tables::Tables,
    verdict::Verdict,
    wire::{EthernetHeader, IcmpHeader, Ipv4Hdr, Ipv6Hdr},
};

/// Forwards an ICMP error about a flow, answers a ping, or leaves the packet alone.
#[inline(always)]
pub fn icmp<T: Tables>(packet: &mut Packet<'_>, tables: &T) -> Outcome {
    let result = match parse::network(packet) {
        Ok(Network::V4) => handle::<V4, T>(packet, tables),
        Ok(Network::V6) => handle::<V6, T>(packet, tables),
        Err(_) => Err(Reason::NotTcpUdp),
    };
    conclude(tables, result.map_err(Exit::Refused))
}

/// What an ICMP message is to us.
pub(crate) enum Message {
    /// It quotes a packet that did not arrive.
    Error,
    /// It wants to come back.
    Echo,
    /// The host's own business, such as neighbour discovery.
    Other,
}

/// The key and protocol of what would answer the packet that an error quotes: of the flow that it is about.
#[inline(always)]
pub(crate) fn about<A: Icmp>(packet: &Packet<'_>, ip: &Carried<A>) -> Option<(Tuple<A>, u8)> {
    let header = packet.header::<IcmpHeader>(ip.offset)?;
    match A::message(header.kind) {
        Message::Error => {}
        Message::Echo | Message::Other => return None,
    }
    let quote = Quote::of(packet, ip).ok()?;
    Some((quote.tuple.reversed(), quote.protocol))
}

/// The family's part of ICMP.
pub(crate) trait Icmp: Parse<Header: Wire> {
    /// The type of an answer to a ping.
    const ECHO_REPLY: u8;

    /// What a type stands for.
    fn message(kind: u8) -> Message;

    /// Puts other addresses into a quoted IP header; its checksum before and after, 0 where there is none.
    fn quote(header: &mut Self::Header, from: (Self, Self), to: (Self, Self)) -> (u16, u16)
    where
        Self: Sized;

    /// Makes a header that of the answer to it.
    fn answer(header: &mut Self::Header);
}

#[inline(always)]
fn handle<A: Icmp, T: Tables>(packet: &mut Packet<'_>, tables: &T) -> Result<Verdict, Reason> {
    let ip = A::carried(packet, EthernetHeader::LEN)?;
    let header = *packet.header::<IcmpHeader>(ip.offset).ok_or(Reason::Malformed)?;
    if usize::from(ip.length) < IcmpHeader::LEN || !parse::is_within(packet, &ip) {
        return Err(Reason::Malformed);
    }
    match A::message(header.kind) {
        Message::Error => translate::error(packet, tables, &ip),
        Message::Echo => echo::answer(packet, tables, &ip, &header),
        Message::Other => Err(Reason::NotTcpUdp),
    }
}

impl Icmp for V4 {
    const ECHO_REPLY: u8 = 0;

    #[inline(always)]
    fn message(kind: u8) -> Message {
        match kind {
            // Destination unreachable, time exceeded, parameter problem (RFC 792).
            3 | 11 | 12 => Message::Error,
            8 => Message::Echo,
            _ => Message::Other,
        }
    }

    #[inline(always)]
    fn quote(header: &mut Ipv4Hdr, from: (Self, Self), to: (Self, Self)) -> (u16, u16) {
        let before = u16::from_ne_bytes(header.check);
        let update = from
            .0
            .sum()
            .add(from.1.sum())
            .replaced_by(to.0.sum().add(to.1.sum()));
        let after = update.in_checksum(before);
        header.check = after.to_ne_bytes();
        (header.src_addr, header.dst_addr) = (to.0.0, to.1.0);
        (before, after)
    }

    #[inline(always)]
    fn answer(header: &mut Ipv4Hdr) {
        let before = Sum::ZERO.add_bytes([header.ttl, header.proto]);
        header.ttl = TTL;
        let after = Sum::ZERO.add_bytes([header.ttl, header.proto]);
        let check = u16::from_ne_bytes(header.check);
        header.check = before.replaced_by(after).in_checksum(check).to_ne_bytes();
        core::mem::swap(&mut header.src_addr, &mut header.dst_addr);
    }
}

impl Icmp for V6 {
    const ECHO_REPLY: u8 = 129;

    #[inline(always)]
    fn message(kind: u8) -> Message {
        match kind {
            // Destination unreachable, packet too big, time exceeded, parameter problem (RFC 4443 3).
            1..=4 => Message::Error,
            128 => Message::Echo,
            _ => Message::Other,
        }
    }

    #[inline(always)]
    fn quote(header: &mut Ipv6Hdr, _: (Self, Self), to: (Self, Self)) -> (u16, u16) {
        (header.src_addr, header.dst_addr) = (to.0.octets(), to.1.octets());
        (0, 0)
    }

    #[inline(always)]
    fn answer(header: &mut Ipv6Hdr) {
        header.hop_limit = TTL;
        core::mem::swap(&mut header.src_addr, &mut header.dst_addr);
    }
}

/// Whether an IPv4 packet is a fragment.
#[inline(always)]
const fn is_fragment<A>(ip: &Carried<A>) -> bool {
    ip.fragmentation & FRAGMENTED != 0
}
