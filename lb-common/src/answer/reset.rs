//! RST to a client whose segment cannot be delivered, so that it need not wait for a time-out.

use super::frame::Own;
use crate::{
    address::{TCP, V4, V6},
    flow::{self, Why},
    link::Link,
    packet::{Packet, Wire},
    parse::{self, Parse, Place, Segment},
    process::{Exit, Outcome, Stage, conclude},
    reason::Reason,
    tables::Tables,
    verdict::Verdict,
    wire::{ACK, EthernetHeader, FIN, RST, SYN, TcpHeader},
};

/// Ends a client's flow, if it has one, and answers its segment with RST. What may as well begin anew goes to another
/// backend: a datagram, or a SYN.
#[inline(always)]
pub fn reset<T: Tables>(packet: &mut Packet<'_>, tables: &T) -> Outcome {
    let answered = match Place::noted(tables) {
        Ok(place) if place.is_v6 => answer::<V6, T>(packet, tables, place),
        Ok(place) => answer::<V4, T>(packet, tables, place),
        Err(reason) => Err(reason.into()),
    };
    conclude(tables, answered)
}

#[inline(always)]
fn answer<A: Parse<Header: Wire>, T: Tables>(
    packet: &mut Packet<'_>,
    tables: &T,
    place: Place,
) -> Result<Verdict, Exit> {
    let segment = parse::noted::<A>(packet, place)?;
    let reason = end::<A, T>(tables, &segment)?;
    if segment.protocol != TCP || segment.flags & (SYN | ACK | RST) == SYN {
        return Err(Exit::To(Stage::Choose));
    }
    if segment.flags & RST != 0 {
        return Err(reason.into());
    }
    if segment.network != EthernetHeader::LEN {
        // Answers have no tags.
        return Err(reason.into());
    }
    let back = Link::of(packet).ok_or(Reason::Malformed)?.reversed();
    let answer = to(packet, &segment)?;
    if !answer.put(packet, tables, back, &segment.tuple.reversed())? {
        return Err(reason.into());
    }
    Ok(Verdict::answer(reason))
}

/// Ends the segment's flow; the reason that it is reset for.
#[inline(always)]
fn end<A: Parse, T: Tables>(tables: &T, segment: &Segment<A>) -> Result<Reason, Reason> {
    let settings = tables.settings().ok_or(Reason::NotReady)?;
    let Some(hit) = flow::find::<A, T>(tables, settings, &segment.tuple, segment.protocol)? else {
        return Ok(Reason::NoFlow);
    };
    // Where another CPU was faster, the flow is over as well.
    hit.end(tables, Why::BackendEnds);
    Ok(Reason::BackendDown)
}

/// The RST to a segment, as RFC 9293 3.10.7.1 has it for a closed connection: with the sequence number that its sender
/// expects next, if it said which, or else with an acknowledgement of all that it sent.
#[inline(always)]
fn to<A: Parse>(packet: &Packet<'_>, segment: &Segment<A>) -> Result<Own<0>, Reason> {
    let came = packet
        .header::<TcpHeader>(segment.offset)
        .ok_or(Reason::Malformed)?;
    let (seq, ack, flags) = if came.flags & ACK != 0 {
        (u32::from_be_bytes(came.ack), 0, RST)
    } else {
        let header = u16::from(came.data_offset & 0xf0) >> 2;
        let data = u32::from(segment.length.wrapping_sub(header));
        // SYN and FIN take a sequence number each.
        let flags = u32::from(came.flags & SYN != 0).wrapping_add(u32::from(came.flags & FIN != 0));
        let next = u32::from_be_bytes(came.seq)
            .wrapping_add(data)
            .wrapping_add(flags);
        (0, next, RST | ACK)
    };
    Ok(Own {
        seq,
        ack,
        flags,
        window: [0; 2],
        behind: [],
        finished: true,
    })
}
