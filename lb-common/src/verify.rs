//! Refusing clients' packets that were damaged on their way, for services that ask for it.

use crate::{
    address::{Address, TCP, V4, V6},
    hint::likely,
    layout::{Note, PortFilter},
    packet::Packet,
    parse::{self, Parse, Part, Place, Segment},
    process::{Exit, Outcome, Stage, conclude},
    reason::{OrRefuse as _, Reason, seldom},
    rewrite, service, sum,
    tables::Tables,
    wire::UdpHdr,
};

/// Sums a client's packet, after which its way begins anew; or drops it. The first one of a flow comes by twice.
#[inline(always)]
pub fn verify<T: Tables>(packet: &mut Packet<'_>, tables: &T) -> Outcome {
    let verified = match Place::noted(tables) {
        Ok(place) if place.is_v6 => judge::<V6, T>(packet, tables, place),
        Ok(place) => judge::<V4, T>(packet, tables, place),
        Err(reason) => Err(reason),
    };
    let next = verified.map_or_else(Exit::Refused, |()| Exit::To(Stage::Follow));
    conclude(tables, Err(next))
}

/// Lets a packet go on, whose destination port has these bits in the [`PortFilter`], that was verified or need not be; sends
/// it there first if it was not.
#[inline(always)]
pub(crate) fn ask<A: Address, T: Tables>(tables: &T, segment: &Segment<A>, bits: u8) -> Result<(), Exit> {
    // What a checksum covers is in a datagram's other fragments too.
    if likely(bits & PortFilter::VERIFY == 0) || segment.part != Part::WHOLE {
        return Ok(());
    }
    let note = tables.note().or_refuse(Reason::NotReady)?;
    if Note::take(&note.verified) {
        return Ok(());
    }
    note.place.store(segment.place().to_word());
    Err(seldom(Exit::To(Stage::Verify)))
}

/// Notes that a packet may go on, unless its service asks for right checksums and it has others.
#[inline(always)]
fn judge<A: Parse, T: Tables>(packet: &Packet<'_>, tables: &T, place: Place) -> Result<(), Reason> {
    let segment = &parse::noted::<A>(packet, place)?;
    let settings = tables.settings().ok_or(Reason::NotReady)?;
    let note = tables.note().ok_or(Reason::NotReady)?;
    let service = service::find(tables, settings, &segment.tuple, segment.protocol);
    let asks = service
        .and_then(|row| tables.service(row))
        .is_some_and(|service| service.verifies.load() != 0);
    if asks && !(has_right_header(packet, tables, segment) && has_right_payload(packet, tables, segment)) {
        return Err(Reason::BadChecksum);
    }
    note.verified.store(1);
    Ok(())
}

/// Whether the IP header is as it was sent. That of IPv6 has no checksum.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "no header of IPv4 is longer than 60 bytes"
)]
fn has_right_header<A: Address, T: Tables>(packet: &Packet<'_>, tables: &T, segment: &Segment<A>) -> bool {
    let length = segment.offset.wrapping_sub(segment.network) as u16;
    A::IS_V6 || sum::bytes(packet, tables, segment.network, length).is_some_and(|sum| sum.fold() == RIGHT)
}

/// Whether the segment or datagram is as it was sent. One that its sender left to a NIC to sum has not been on a wire, and
/// one that is too long to be summed here is taken for right.
#[inline(always)]
fn has_right_payload<A: Address, T: Tables>(packet: &Packet<'_>, tables: &T, segment: &Segment<A>) -> bool {
    if segment.protocol != TCP && segment.check == 0 {
        // There is none (RFC 768), as IPv6 does not allow (RFC 8200 8.1).
        return !A::IS_V6;
    }
    if rewrite::is_unfinished(segment) {
        return true;
    }
    let length = covered(packet, segment);
    let pseudo_header = segment.tuple.address_sum().add_protocol(segment.protocol, length);
    sum::bytes(packet, tables, segment.offset, length)
        .is_none_or(|sum| sum.add(pseudo_header).fold() == RIGHT)
}

/// How many bytes the checksum covers: of a datagram those that are UDP's, behind which IP may carry others.
#[inline(always)]
fn covered<A>(packet: &Packet<'_>, segment: &Segment<A>) -> u16 {
    match packet.header::<UdpHdr>(segment.offset) {
        Some(header) if segment.protocol != TCP => u16::from_be_bytes(header.len),
        _ => segment.length,
    }
}

/// What words come to with a checksum that is right for them among them (RFC 1071 1).
const RIGHT: u16 = u16::MAX;
