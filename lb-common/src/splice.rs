//! Flows that a SYN cookie has opened. The client takes the cookie for the backend's initial sequence number, which is
//! another one: each end's numbers are made those that the other end counts by.
//!
//! The client has had a SYN-ACK when the backend's comes. It gets one byte instead that stands in the SYN's place, and that
//! it has had, too: for that it tells the client the backend's window, and has it acknowledge at once (RFC 9293 3.10.7.4).
//! The acknowledgement opens the connection on the backend's side. So one frame does what would take two, of which XDP can
//! send only one; whatever is lost, the backend sends its SYN-ACK again and the client asks for the window again; and
//! nothing need be remembered but the difference.

use crate::{
    address::{V4, V6},
    answer::Own,
    checksum::Sum,
    cookie,
    flow::{self, Hit, State},
    follow::leave,
    layout::Settings,
    packet::{Packet, Wire},
    parse::{self, Parse, Place, Segment},
    process::{Exit, Outcome, Stage, conclude},
    reason::Reason,
    rewrite::{self, is_unfinished},
    route,
    tables::Tables,
    verdict::Verdict,
    wire::{ACK, RST, SYN, TcpHeader},
};

/// Forwards a segment of a spliced flow.
#[inline(always)]
pub fn splice<T: Tables>(packet: &mut Packet<'_>, tables: &T) -> Outcome {
    let forwarded = match Place::noted(tables) {
        Ok(place) if place.is_v6 => forward::<V6, T>(packet, tables, place),
        Ok(place) => forward::<V4, T>(packet, tables, place),
        Err(reason) => Err(reason.into()),
    };
    conclude(tables, forwarded)
}

/// What is added to a segment's numbers.
#[derive(Debug, Clone, Copy, Default)]
struct Numbers {
    /// To its sequence number.
    seq: u32,
    /// To its acknowledgement number, if it has one.
    ack: u32,
}

#[inline(always)]
fn forward<A: Parse<Header: Wire>, T: Tables>(
    packet: &mut Packet<'_>,
    tables: &T,
    place: Place,
) -> Result<Verdict, Exit> {
    let segment = parse::noted::<A>(packet, place)?;
    let settings = tables.settings().ok_or(Reason::NotReady)?;
    let Some(hit) = flow::find::<A, T>(tables, settings, &segment.tuple, segment.protocol)? else {
        // It has ended since this packet was seen first.
        return Err(Exit::To(Stage::Choose));
    };
    if !hit.way.is_spliced() {
        return Err(Reason::FlowContended.into());
    }
    let state = hit.control.state();
    if state.has(State::REPLY) {
        return from_backend(packet, tables, settings, &segment, &hit);
    }
    if !state.has(State::ANSWERED) {
        // The backend has not answered yet: whatever the client says means its SYN.
        let again = cookie::take(packet, tables, &segment)?.map(|_| Stage::Follow);
        return Err(again.map_or(Reason::BeforeAnswer.into(), Exit::To));
    }
    let numbers = Numbers {
        seq: 0,
        ack: 0_u32.wrapping_sub(hit.entry.ack.load()),
    };
    send(packet, tables, settings, &segment, &hit, numbers).map_err(|exit| leave(tables, &segment, exit))
}

#[inline(always)]
fn from_backend<A: Parse<Header: Wire>, T: Tables>(
    packet: &mut Packet<'_>,
    tables: &T,
    settings: &Settings,
    segment: &Segment<A>,
    hit: &Hit<'_, A>,
) -> Result<Verdict, Exit> {
    let cookie = hit.entry.ack.load();
    let client = hit.partner(tables).ok_or(Reason::FlowContended)?;
    let header = packet
        .header::<TcpHeader>(segment.offset)
        .ok_or(Reason::Malformed)?;
    let (number, ack) = (u32::from_be_bytes(header.seq), u32::from_be_bytes(header.ack));
    let (window, answered) = (header.window, hit.control.state().has(State::ANSWERED));
    let mut seq = client.entry.ack.load();
    if segment.flags & SYN != 0 {
        seq = cookie.wrapping_sub(number);
        if !answered {
            // Before the state that says that it is there.
            client.entry.ack.store(seq);
        }
        let reminder = Own {
            seq: number,
            ack,
            flags: ACK,
            window,
            behind: [0],
            finished: cookie::is_finished(tables, settings, segment),
        };
        cookie::become_own(packet, tables, segment, reminder)?;
    } else if !answered && segment.flags & RST != 0 {
        // A refusal has no number of its own; the client heeds the one that it expects.
        seq = cookie.wrapping_add(1).wrapping_sub(number);
    } else if !answered {
        return Err(Reason::BeforeAnswer.into());
    }
    let segment = parse::noted::<A>(packet, Place::noted(tables)?)?;
    send(packet, tables, settings, &segment, hit, Numbers { seq, ack: 0 })
        .map_err(|exit| leave(tables, &segment, exit))
}

/// Sends a segment on with its numbers changed. Nothing is written before it is sure to go.
#[inline(always)]
fn send<A: Parse<Header: Wire>, T: Tables>(
    packet: &mut Packet<'_>,
    tables: &T,
    settings: &Settings,
    segment: &Segment<A>,
    hit: &Hit<'_, A>,
    numbers: Numbers,
) -> Result<Verdict, Exit> {
    // Where other entries have the acknowledgement number, this one has something else: tracking finds it there already,
    // and leaves it.
    let tracked = Segment {
        ack: hit.entry.ack.load(),
        ..*segment
    };
    let route = route::of_packet(packet, tables, &tracked, hit)?;
    let length = packet.len();
    route::check_length(tables, settings, segment, route.mtu, length)?;
    if segment.ttl <= 1 {
        return Err(Reason::TtlExceeded.into());
    }
    let segment = &numbers.add_to(packet, segment)?;
    rewrite::full_nat(packet, tables, settings, segment, &route.to, &route.link)?;
    flow::count(tables, settings, hit, (&*packet, segment), length);
    Ok(route.send(packet, tables, settings, length))
}

impl Numbers {
    /// Changes a segment's numbers, and its checksum with them; the segment as it is then.
    #[inline(always)]
    fn add_to<A: Parse>(self, packet: &mut Packet<'_>, segment: &Segment<A>) -> Result<Segment<A>, Reason> {
        let header = packet
            .header_mut::<TcpHeader>(segment.offset)
            .ok_or(Reason::Malformed)?;
        let old = Sum::ZERO
            .add_u32(u32::from_ne_bytes(header.seq))
            .add_u32(u32::from_ne_bytes(header.ack));
        header.seq = u32::from_be_bytes(header.seq)
            .wrapping_add(self.seq)
            .to_be_bytes();
        if segment.flags & ACK != 0 {
            header.ack = u32::from_be_bytes(header.ack)
                .wrapping_add(self.ack)
                .to_be_bytes();
        }
        // A checksum that is not finished covers the pseudo-header alone.
        if is_unfinished(segment) {
            return Ok(*segment);
        }
        let new = Sum::ZERO
            .add_u32(u32::from_ne_bytes(header.seq))
            .add_u32(u32::from_ne_bytes(header.ack));
        let check = old.replaced_by(new).in_checksum(segment.check);
        header.check = check.to_ne_bytes();
        Ok(Segment { check, ..*segment })
    }
}
