//! ICMP errors about packets that were forwarded here.
//!
//! Whoever reports an error has seen the packet as it left here, and so quotes it. The answer to what is quoted would be
//! a packet of the flow: its entry tells where the error goes, and what the packet was when its sender sent it.

use super::{Icmp, quote::Quote};
use crate::{
    address::{ICMPV6, TCP, Tuple},
    checksum::Sum,
    flow,
    manner::Forwarding,
    packet::Packet,
    parse::Carried,
    reason::Reason,
    route,
    tables::Tables,
    verdict::Verdict,
    wire::{EthernetHeader, IcmpHeader},
};

/// Forwards an error to who sent the packet that it is about. Errors about what is nobody's flow are the host's.
#[inline(always)]
pub(super) fn error<A: Icmp, T: Tables>(
    packet: &mut Packet<'_>,
    tables: &T,
    ip: &Carried<A>,
) -> Result<Verdict, Reason> {
    let quote = Quote::of(packet, ip)?;
    if quote.tuple.src != ip.dst {
        // Not to who sent what it quotes.
        return Err(Reason::NotTcpUdp);
    }
    let settings = tables.settings().ok_or(Reason::NotReady)?;
    let answer = quote.tuple.reversed();
    let hit = flow::find::<A, T>(tables, settings, &answer, quote.protocol)?.ok_or(Reason::NotTcpUdp)?;
    let way = hit.way;
    if way.forwarding() == Forwarding::Encapsulate {
        // The backend hears of it by the tunnel only, and errors do not travel there.
        return Err(Reason::NotTcpUdp);
    }
    let length = packet.len();
    if way.forwarding() == Forwarding::Local {
        let route = route::to_client(&hit)?;
        if route.reply {
            // What it quotes never left this host.
            return Err(Reason::NotTcpUdp);
        }
        rewrite(packet, ip, &quote, &route.to, (0, 0))?;
        if let Some(counters) = tables.backend_counters(settings, route.backend) {
            counters.count_in(length);
        }
        return Ok(Verdict::pass(Reason::Local));
    }
    let route = route::beside(tables, &hit)?;
    if ip.ttl <= 1 {
        return Err(Reason::TtlExceeded);
    }
    // A backend knows what it has sent by a number that is not the client's.
    let more = if way.is_spliced() && !route.reply {
        hit.entry.ack.load()
    } else {
        0
    };
    rewrite(packet, ip, &quote, &route.to, (more, 1))?;
    route.link.write(packet).ok_or(Reason::Malformed)?;
    Ok(route.send(packet, tables, settings, length))
}

/// Writes the quoted packet as its sender knows it, whose sequence number was `more` when it left here, and around it what
/// leads the error there, a TTL less by `hops`. The error seems to come from
/// who the quoted packet was sent to: a router on the other side may have no address on this one.
#[inline(always)]
fn rewrite<A: Icmp>(
    packet: &mut Packet<'_>,
    ip: &Carried<A>,
    quote: &Quote<A>,
    to: &Tuple<A>,
    (more, hops): (u32, u8),
) -> Result<(), Reason> {
    let (was, is) = (quote.tuple, to.reversed());
    let (mut old, mut new) = (sum(&was), sum(&is));
    if more != 0 {
        let number = packet
            .header_mut::<[u8; 4]>(quote.offset.wrapping_add(4))
            .ok_or(Reason::Malformed)?;
        old = old.add_u32(u32::from_ne_bytes(*number));
        *number = u32::from_be_bytes(*number).wrapping_sub(more).to_be_bytes();
        new = new.add_u32(u32::from_ne_bytes(*number));
    }
    if let Some((place, check)) = quote.check {
        let after = old.replaced_by(new).in_checksum(check);
        // A UDP checksum of 0 would mean that there is none.
        let after = if quote.protocol != TCP && after == 0 {
            u16::MAX
        } else {
            after
        };
        *packet.header_mut(place).ok_or(Reason::Malformed)? = after.to_ne_bytes();
        (old, new) = (old.add_u16(check), new.add_u16(after));
    }
    *packet.header_mut(quote.offset).ok_or(Reason::Malformed)? = is.ports().to_ne_bytes();
    let header = packet
        .header_mut::<A::Header>(quote.network)
        .ok_or(Reason::Malformed)?;
    let (before, after) = A::quote(header, (was.src, was.dst), (is.src, is.dst));
    (old, new) = (old.add_u16(before), new.add_u16(after));
    if A::ICMP == ICMPV6 {
        // Its checksum covers the addresses around it, too (RFC 4443 2.3).
        old = old.add(ip.src.sum()).add(ip.dst.sum());
        new = new.add(to.address_sum());
    }
    let header = packet
        .header_mut::<IcmpHeader>(ip.offset)
        .ok_or(Reason::Malformed)?;
    let check = u16::from_ne_bytes(header.check);
    header.check = old.replaced_by(new).in_checksum(check).to_ne_bytes();
    let header = packet
        .header_mut::<A::Header>(EthernetHeader::LEN)
        .ok_or(Reason::Malformed)?;
    A::translate(header, (ip.src, ip.dst), (to.src, to.dst), hops);
    Ok(())
}

#[inline(always)]
fn sum<A: Icmp>(tuple: &Tuple<A>) -> Sum {
    tuple.address_sum().add(tuple.port_sum())
}
