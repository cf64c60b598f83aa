//! Changing a packet: everything is checked before the first byte is written.

use crate::{
    address::{Address, TCP, Tuple},
    hint::{likely, unlikely},
    layout::Settings,
    link::Link,
    opaque,
    packet::Packet,
    parse::{Part, Segment},
    reason::{OrRefuse as _, Reason, seldom},
    sum,
    tables::Tables,
    wire::{TcpHeader, UdpHdr},
};

/// Full NAT: new addresses and ports, checksums that are right for them, a TTL less by one, new MAC addresses.
#[inline(always)]
pub fn full_nat<A: Address, T: Tables>(
    packet: &mut Packet<'_>,
    tables: &T,
    settings: &Settings,
    segment: &Segment<A>,
    to: &Tuple<A>,
    link: &Link,
) -> Result<(), Reason>
where
    A::Header: crate::packet::Wire,
{
    if unlikely(segment.ttl <= 1) {
        return Err(seldom(Reason::TtlExceeded));
    }
    let stay = || tables.keeps_partial_checksum(settings);
    translate(packet, tables, stay, segment, to, 1)?;
    link.write(packet).or_refuse(Reason::Malformed)
}

/// New addresses and ports for a packet that ends or begins on this host, checksums that are right for them, and nothing
/// else: it is on no way that TTL and MAC addresses are for. Checksums that their sender left unfinished `stay` so where
/// whoever sends the packet on still knows of it.
#[inline(always)]
pub fn in_place<A: Address, T: Tables>(
    packet: &mut Packet<'_>,
    tables: &T,
    stay: impl Fn() -> bool,
    segment: &Segment<A>,
    to: &Tuple<A>,
) -> Result<(), Reason>
where
    A::Header: crate::packet::Wire,
{
    translate(packet, tables, stay, segment, to, 0)
}

/// New addresses and ports, checksums that are right for them, a TTL less by `hops`.
#[inline(always)]
fn translate<A: Address, T: Tables>(
    packet: &mut Packet<'_>,
    tables: &T,
    stay: impl Fn() -> bool,
    segment: &Segment<A>,
    to: &Tuple<A>,
    hops: u8,
) -> Result<(), Reason>
where
    A::Header: crate::packet::Wire,
{
    let check = checksum(packet, tables, stay, segment, to)?;
    // The last header first: where it fits, those before it do too.
    let (src, dst) = (to.src_port.0, to.dst_port.0);
    if unlikely(segment.part == Part::LATER) {
        // Neither ports nor checksum are in this fragment.
    } else if likely(segment.protocol == TCP) {
        let header = packet
            .header_mut::<TcpHeader>(segment.offset)
            .or_refuse(Reason::Malformed)?;
        (header.src, header.dst, header.check) = (src, dst, check.to_ne_bytes());
        // Else LLVM writes both protocols' checksums by one store, to a place that it computes.
        opaque::apart();
    } else {
        let header = packet
            .header_mut::<UdpHdr>(segment.offset)
            .or_refuse(Reason::Malformed)?;
        (header.src, header.dst, header.check) = (src, dst, check.to_ne_bytes());
    }
    let header = packet
        .header_mut::<A::Header>(segment.network)
        .or_refuse(Reason::Malformed)?;
    A::translate(
        header,
        (segment.tuple.src, segment.tuple.dst),
        (to.src, to.dst),
        hops,
    );
    Ok(())
}

/// Finishes the checksum of a packet that leaves with its addresses and ports, if its sender has not.
#[inline(always)]
pub fn finish<A: Address, T: Tables>(
    packet: &mut Packet<'_>,
    tables: &T,
    settings: &Settings,
    segment: &Segment<A>,
) -> Result<(), Reason> {
    if !is_unfinished(segment) {
        return Ok(());
    }
    opaque::seldom();
    if tables.keeps_partial_checksum(settings) {
        return Ok(());
    }
    let check = checksum(packet, tables, || false, segment, &segment.tuple)?;
    let offset = segment
        .offset
        .wrapping_add(if segment.protocol == TCP { 16 } else { 6 });
    *packet
        .header_mut::<[u8; 2]>(offset)
        .or_refuse(Reason::Malformed)? = check.to_ne_bytes();
    Ok(())
}

/// Whether a sender has left the checksum to its NIC, which then finds the pseudo-header's sum in the field. A finished
/// checksum has that value once in 65,536 packets, and is right again after it was finished anew. A fragment's is always finished: whoever
/// fragments has to.
#[inline(always)]
pub(crate) fn is_unfinished<A: Address>(segment: &Segment<A>) -> bool {
    let pseudo_header = segment
        .tuple
        .address_sum()
        .add_protocol(segment.protocol, segment.length);
    segment.part == Part::WHOLE && pseudo_header.folds_to(segment.check)
}

/// The transport checksum that the packet will leave with.
#[inline(always)]
fn checksum<A: Address, T: Tables>(
    packet: &Packet<'_>,
    tables: &T,
    stay: impl Fn() -> bool,
    segment: &Segment<A>,
    to: &Tuple<A>,
) -> Result<u16, Reason> {
    let (old, new) = (segment.tuple.address_sum(), to.address_sum());
    if unlikely(segment.protocol != TCP) && segment.check == 0 {
        // UDP over IPv4 without a checksum (RFC 768): there is nothing to keep right.
        return Ok(0);
    }
    if likely(!is_unfinished(segment)) {
        let update = old
            .add(segment.tuple.port_sum())
            .replaced_by(new.add(to.port_sum()));
        return Ok(never_zero(segment.protocol, update.in_checksum(segment.check)));
    }
    let pseudo_header = new.add_protocol(segment.protocol, segment.length);
    if stay() {
        return Ok(pseudo_header.fold());
    }
    // The bytes are summed as they stand, old ports and the field's own content included.
    let content =
        sum::bytes(packet, tables, segment.offset, segment.length).or_refuse(Reason::ChecksumTooLong)?;
    let stale = segment.tuple.port_sum().add_u16(segment.check);
    let sum = stale
        .replaced_by(to.port_sum())
        .in_sum(content.add(pseudo_header));
    Ok(never_zero(segment.protocol, sum.checksum()))
}

/// A computed UDP checksum of 0 is sent as all ones: 0 would mean that there is none (RFC 768).
#[inline(always)]
fn never_zero(protocol: u8, check: u16) -> u16 {
    if unlikely(protocol != TCP) && unlikely(check == 0) {
        seldom(u16::MAX)
    } else {
        check
    }
}
