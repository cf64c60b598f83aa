//! Pings of virtual addresses.

use super::{Icmp, is_fragment};
use crate::{
    checksum::Sum,
    layout::ANSWER_ECHO,
    link::Link,
    packet::Packet,
    parse::Carried,
    rate,
    reason::Reason,
    service,
    tables::Tables,
    verdict::Verdict,
    wire::{EthernetHeader, IcmpHeader},
};

/// How many pings a worker answers in a second.
const PER_SECOND: u32 = 1000;

/// Sends a ping of a virtual address back. Others, and those that ask for more than an echo, are the host's.
#[inline(always)]
pub(super) fn answer<A: Icmp, T: Tables>(
    packet: &mut Packet<'_>,
    tables: &T,
    ip: &Carried<A>,
    header: &IcmpHeader,
) -> Result<Verdict, Reason> {
    let settings = tables.settings().ok_or(Reason::NotReady)?;
    let has_options = ip.offset != EthernetHeader::LEN.wrapping_add(A::HEADER_LEN);
    if settings.echo.load() != ANSWER_ECHO || header.code != 0 || has_options || is_fragment(ip) {
        return Err(Reason::NotTcpUdp);
    }
    if !ip.src.is_host() || !service::is_virtual(tables, settings, ip.dst) {
        return Err(Reason::NotTcpUdp);
    }
    let note = tables.note().ok_or(Reason::NotReady)?;
    if !rate::allows(settings, &note.echoes, tables.now(), PER_SECOND) {
        return Err(Reason::EchoLimited);
    }
    turn_round::<A>(packet, ip).ok_or(Reason::Malformed)?;
    Ok(Verdict::answer(Reason::EchoAnswered))
}

/// Makes a ping its answer. Sums do not change when addresses change places.
#[inline(always)]
fn turn_round<A: Icmp>(packet: &mut Packet<'_>, ip: &Carried<A>) -> Option<()> {
    let link = Link::of(packet)?;
    let header = packet.header_mut::<IcmpHeader>(ip.offset)?;
    let before = Sum::ZERO.add_bytes([header.kind, header.code]);
    header.kind = A::ECHO_REPLY;
    let update = before.replaced_by(Sum::ZERO.add_bytes([header.kind, header.code]));
    header.check = update.in_checksum(u16::from_ne_bytes(header.check)).to_ne_bytes();
    A::answer(packet.header_mut::<A::Header>(EthernetHeader::LEN)?);
    link.reversed().write(packet)
}
