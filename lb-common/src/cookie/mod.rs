//! SYN cookies (RFC 4987 3.6): who floods a service with SYNs gets answers, and none of them is remembered.
//!
//! The answer's sequence number is a cookie, by which the balancer knows again what it has answered. A client that
//! acknowledges it has received it, and so is where its packets say that it is: its segment becomes the SYN that it stands
//! for, and goes on as any client's. The answer's window is 0, so that the client says nothing before there is a backend to
//! hear it, and it has no option but the size of segments: whatever else a client and a backend might agree on, the
//! balancer cannot promise. What becomes of such flows is [`splice`](crate::splice())'s part.

mod opening;

pub(crate) use opening::Opening;

use crate::{
    address::{TCP, V4, V6},
    answer::Own,
    layout::{Service, Settings, Span},
    link::Link,
    mss,
    packet::{Packet, Wire},
    parse::{self, Parse, Place, Segment},
    process::{Exit, Outcome, Stage, conclude},
    reason::Reason,
    rewrite::is_unfinished,
    tables::Tables,
    verdict::Verdict,
    wire::{ACK, EthernetHeader, RST, SYN, TcpHeader},
};

/// The longest IP packet that clients are asked for: Ethernet's. Where the way to a backend takes less, they are told.
const MOST: usize = 1500;

/// Answers a SYN with a cookie, or takes the acknowledgement of a cookie for the SYN that was answered. What is neither is
/// reset.
#[inline(always)]
pub fn cookie<T: Tables>(packet: &mut Packet<'_>, tables: &T) -> Outcome {
    let answered = match Place::noted(tables) {
        Ok(place) if place.is_v6 => give_or_take::<V6, T>(packet, tables, place),
        Ok(place) => give_or_take::<V4, T>(packet, tables, place),
        Err(reason) => Err(reason.into()),
    };
    conclude(tables, answered)
}

/// Whether a segment that opens a flow is to be answered with a cookie. (Answers have no tags.)
#[inline(always)]
pub(crate) fn is_due<A>(service: &Service, segment: &Segment<A>) -> bool {
    let Some(most) = service.cookies.load().checked_sub(1) else {
        return false;
    };
    service.half_open.load() >= u64::from(most)
        && segment.network == EthernetHeader::LEN
        // Where there is no backend, nobody is promised one.
        && Span::from_word(service.choices.load()).count != 0
}

/// Whether a segment of no flow may be the acknowledgement of a cookie.
#[inline(always)]
pub(crate) fn may_prove<A>(service: &Service, segment: &Segment<A>) -> bool {
    service.cookies.load() != 0
        && segment.flags & (SYN | ACK | RST) == ACK
        && segment.network == EthernetHeader::LEN
}

#[inline(always)]
fn give_or_take<A: Parse<Header: Wire>, T: Tables>(
    packet: &mut Packet<'_>,
    tables: &T,
    place: Place,
) -> Result<Verdict, Exit> {
    let segment = parse::noted::<A>(packet, place)?;
    if segment.flags & SYN != 0 {
        return Ok(give(packet, tables, &segment)?);
    }
    let Some(cookie) = take(packet, tables, &segment)? else {
        return Err(Exit::To(Stage::Reset));
    };
    tables.note().ok_or(Reason::NotReady)?.cookie.store(cookie);
    Err(Exit::To(Stage::Choose))
}

/// Answers a SYN.
#[inline(always)]
fn give<A: Parse<Header: Wire>, T: Tables>(
    packet: &mut Packet<'_>,
    tables: &T,
    segment: &Segment<A>,
) -> Result<Verdict, Reason> {
    /// Where a SYN does not say (RFC 9293 3.7.1).
    const UNSAID: u16 = 536;

    let settings = tables.settings().ok_or(Reason::NotReady)?;
    let back = Link::of(packet).ok_or(Reason::Malformed)?.reversed();
    let header = packet
        .header::<TcpHeader>(segment.offset)
        .ok_or(Reason::Malformed)?;
    let opening = Opening {
        tuple: segment.tuple,
        number: u32::from_be_bytes(header.seq),
    };
    let size = mss::asked(packet, segment, settings.zero.load() as usize).unwrap_or(UNSAID);
    let answer = Own {
        seq: opening.cookie(settings, tables.now(), size),
        ack: opening.number.wrapping_add(1),
        flags: SYN | ACK,
        window: [0; 2],
        behind: mss::option(full_size::<A>()),
        finished: true,
    };
    if !answer.put(packet, tables, back, &segment.tuple.reversed())? {
        return Err(Reason::NoHeadroom);
    }
    Ok(Verdict::answer(Reason::SynCookie))
}

/// The data that fits the longest IP packet.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "less than an Ethernet frame")]
const fn full_size<A: Parse>() -> u16 {
    const { (MOST - A::HEADER_LEN - size_of::<TcpHeader>()) as u16 }
}

/// Makes a segment that acknowledges a cookie the SYN that was answered with it, and notes where its headers are now; the
/// cookie. A client that asks whether it may send by now does so with the number before its next one, which has arrived
/// already (RFC 9293 3.8.6.1).
#[inline(always)]
pub(crate) fn take<A: Parse<Header: Wire>, T: Tables>(
    packet: &mut Packet<'_>,
    tables: &T,
    segment: &Segment<A>,
) -> Result<Option<u32>, Reason> {
    let (settings, now) = (tables.settings().ok_or(Reason::NotReady)?, tables.now());
    let header = packet
        .header::<TcpHeader>(segment.offset)
        .ok_or(Reason::Malformed)?;
    let (next, window) = (u32::from_be_bytes(header.seq), header.window);
    let cookie = u32::from_be_bytes(header.ack).wrapping_sub(1);
    let mut opening = Opening {
        tuple: segment.tuple,
        number: next.wrapping_sub(1),
    };
    let mut size = opening.proven(settings, now, cookie);
    if size.is_none() {
        opening.number = next;
        size = opening.proven(settings, now, cookie);
    }
    let Some(size) = size else {
        return Ok(None);
    };
    let syn = Own {
        seq: opening.number,
        ack: 0,
        flags: SYN,
        window,
        behind: mss::option(size),
        finished: is_finished(tables, settings, segment),
    };
    become_own(packet, tables, segment, syn)?;
    Ok(Some(cookie))
}

/// Whether a segment in the place of this one has to have a finished checksum: not where its sender has left that to whoever
/// sends the frame on, who knows of it.
#[inline(always)]
pub(crate) fn is_finished<A: Parse, T: Tables>(
    tables: &T,
    settings: &Settings,
    segment: &Segment<A>,
) -> bool {
    !is_unfinished(segment) || !tables.keeps_partial_checksum(settings)
}

/// Makes a frame a segment of our own in the place of its own one, and notes where its headers are now.
#[inline(always)]
pub(crate) fn become_own<A: Parse<Header: Wire>, T: Tables, const BEHIND: usize>(
    packet: &mut Packet<'_>,
    tables: &T,
    segment: &Segment<A>,
    own: Own<BEHIND>,
) -> Result<(), Reason> {
    if segment.network != EthernetHeader::LEN {
        return Err(Reason::Vlan);
    }
    let link = Link::of(packet).ok_or(Reason::Malformed)?;
    if !own.put(packet, tables, link, &segment.tuple)? {
        return Err(Reason::NoHeadroom);
    }
    let place = Place {
        network: EthernetHeader::LEN,
        offset: EthernetHeader::LEN.wrapping_add(A::HEADER_LEN),
        protocol: TCP,
        is_v6: A::IS_V6,
    };
    tables
        .note()
        .ok_or(Reason::NotReady)?
        .place
        .store(place.to_word());
    Ok(())
}
