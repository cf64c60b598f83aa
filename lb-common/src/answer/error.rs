//! ICMP errors: a packet's sender is told why it does not arrive.

use super::frame::{set_length, turn_round};
use crate::{
    address::{ICMPV6, V4, V6},
    checksum::Sum,
    layout::Note,
    link::Link,
    packet::{Packet, Wire},
    parse::{self, Parse, Place, Segment},
    process::{Exit, Outcome, conclude},
    rate,
    reason::Reason,
    sum,
    tables::Tables,
    verdict::Verdict,
    wire::{EthernetHeader, IcmpHeader},
};

/// How many errors a worker sends in a second.
const PER_SECOND: u32 = 1000;

/// The most of a packet that an error quotes: all headers and options that matter, and little more, so that errors are of
/// no use to who sends packets from addresses that are not his.
const MOST_QUOTED: u64 = 128;

/// Answers a packet that is too long, or whose TTL is at its end, with the ICMP error that says so.
#[inline(always)]
pub fn error<T: Tables>(packet: &mut Packet<'_>, tables: &T) -> Outcome {
    let answered = match Place::noted(tables) {
        Ok(place) if place.is_v6 => answer::<V6, T>(packet, tables, place),
        Ok(place) => answer::<V4, T>(packet, tables, place),
        Err(reason) => Err(reason),
    };
    conclude(tables, answered.map_err(Exit::Refused))
}

/// The family's part of errors.
trait Errors: Parse<Header: Wire> {
    /// Type and code of "time exceeded in transit".
    const TIME_EXCEEDED: (u8, u8);

    /// Type, code and last word of "too long for this MTU".
    fn too_big(mtu: u32) -> (u8, u8, [u8; 4]);

    /// Whether routers may not fragment the packet that begins at `network`.
    fn forbids_fragments(packet: &Packet<'_>, network: usize) -> Result<bool, Reason>;
}

#[inline(always)]
fn answer<A: Errors, T: Tables>(
    packet: &mut Packet<'_>,
    tables: &T,
    place: Place,
) -> Result<Verdict, Reason> {
    let segment = parse::noted::<A>(packet, place)?;
    let settings = tables.settings().ok_or(Reason::NotReady)?;
    let note = tables.note().ok_or(Reason::NotReady)?;
    let reason = if note.mtu.load() == 0 {
        Reason::TtlExceeded
    } else {
        Reason::TooBig
    };
    if !may_be_told(packet, &segment, reason)?
        || !rate::allows(settings, &note.errors, tables.now(), PER_SECOND)
    {
        return Err(reason);
    }
    let came = Link::of(packet).ok_or(Reason::Malformed)?;
    let quoted = make_room(packet, tables, &segment).ok_or(reason)?;
    let length = quoted.wrapping_add(8);
    let parties = (segment.tuple.src, segment.tuple.dst);
    turn_round::<A>(packet, came, parties, A::ICMP, length)?;
    write::<A, T>(packet, tables, note, &segment, quoted)?;
    Ok(Verdict::answer(reason))
}

/// Whether the sender of a packet is one that may be told (RFC 1122 3.2.2, RFC 4443 2.4).
#[inline(always)]
fn may_be_told<A: Errors>(packet: &Packet<'_>, segment: &Segment<A>, reason: Reason) -> Result<bool, Reason> {
    let [first, ..] = packet.header::<EthernetHeader>(0).ok_or(Reason::Malformed)?.dst;
    let to_many = first & 1 != 0;
    // Errors have no tags.
    let tagged = segment.network != EthernetHeader::LEN;
    let useful = reason == Reason::TtlExceeded || A::forbids_fragments(packet, segment.network)?;
    Ok(!to_many && !tagged && useful && segment.tuple.src.is_host() && segment.tuple.dst.is_host())
}

/// Makes room for the headers of an error before a packet's IP header, and cuts its end off; how much is left to quote.
#[inline(always)]
fn make_room<A: Errors, T: Tables>(packet: &mut Packet<'_>, tables: &T, segment: &Segment<A>) -> Option<u16> {
    let end = (segment.offset as u64).wrapping_add(u64::from(segment.length));
    let quoted = end.wrapping_sub(segment.network as u64).min(MOST_QUOTED);
    let headers = i32::try_from(A::HEADER_LEN.wrapping_add(IcmpHeader::LEN)).ok()?;
    let fits = set_length(packet, tables, EthernetHeader::LEN.wrapping_add(quoted as usize))
        && tables.resize(packet, headers.wrapping_neg(), 0);
    fits.then_some((quoted & 0xff) as u16)
}

/// Writes the ICMP header, whose checksum covers what is quoted.
#[inline(always)]
fn write<A: Errors, T: Tables>(
    packet: &mut Packet<'_>,
    tables: &T,
    note: &Note,
    segment: &Segment<A>,
    quoted: u16,
) -> Result<(), Reason> {
    let offset = EthernetHeader::LEN.wrapping_add(A::HEADER_LEN);
    let (kind, code, rest) = match note.mtu.load() {
        0 => (A::TIME_EXCEEDED.0, A::TIME_EXCEEDED.1, [0; 4]),
        mtu => A::too_big(mtu),
    };
    let content = sum::bytes(packet, tables, offset.wrapping_add(IcmpHeader::LEN), quoted);
    let content = content.ok_or(Reason::Malformed)?;
    let pseudo = if A::ICMP == ICMPV6 {
        let length = quoted.wrapping_add(8);
        segment.tuple.address_sum().add_protocol(ICMPV6, length)
    } else {
        Sum::ZERO
    };
    let sum = content
        .add(pseudo)
        .add_bytes([kind, code])
        .add_u32(u32::from_ne_bytes(rest));
    let check = sum.checksum().to_ne_bytes();
    *packet.header_mut::<IcmpHeader>(offset).ok_or(Reason::Malformed)? = IcmpHeader {
        kind,
        code,
        check,
        rest,
    };
    Ok(())
}

impl Errors for V4 {
    const TIME_EXCEEDED: (u8, u8) = (11, 0);

    #[inline(always)]
    fn too_big(mtu: u32) -> (u8, u8, [u8; 4]) {
        // Destination unreachable, fragmentation needed; the MTU in the last two bytes (RFC 1191 4).
        (3, 4, (mtu & 0xffff).to_be_bytes())
    }

    #[inline(always)]
    fn forbids_fragments(packet: &Packet<'_>, network: usize) -> Result<bool, Reason> {
        /// Don't Fragment (RFC 791 3.1).
        const DONT_FRAGMENT: u16 = 0x4000;

        Ok(Self::carried(packet, network)?.fragmentation & DONT_FRAGMENT != 0)
    }
}

impl Errors for V6 {
    const TIME_EXCEEDED: (u8, u8) = (3, 0);

    #[inline(always)]
    fn too_big(mtu: u32) -> (u8, u8, [u8; 4]) {
        (2, 0, mtu.to_be_bytes())
    }

    #[inline(always)]
    fn forbids_fragments(_: &Packet<'_>, _: usize) -> Result<bool, Reason> {
        Ok(true)
    }
}
