//! RST to a client whose segment cannot be delivered, so that it need not wait for a time-out.

use super::frame::{set_length, turn_round};
use crate::{
    address::{TCP, Tuple, V4, V6},
    checksum::Sum,
    flow,
    link::Link,
    packet::{Packet, Wire},
    parse::{self, Network, Parse, Segment},
    process::{Exit, Outcome, Stage, conclude},
    reason::Reason,
    tables::Tables,
    verdict::Verdict,
    wire::{ACK, EthernetHeader, FIN, RST, SYN, TcpHeader},
};

/// Length of a TCP header without options.
const LENGTH: u16 = 20;

/// Ends a client's flow, if it has one, and answers its segment with RST. What may as well begin anew goes to another
/// backend: a datagram, or a SYN.
#[inline(always)]
pub fn reset<T: Tables>(packet: &mut Packet<'_>, tables: &T) -> Outcome {
    let answered = match parse::noted_network(packet, tables) {
        Ok(Network::V4) => answer::<V4, T>(packet, tables),
        Ok(Network::V6) => answer::<V6, T>(packet, tables),
        Err(reason) => Err(reason.into()),
    };
    conclude(tables, answered)
}

#[inline(always)]
fn answer<A: Parse<Header: Wire>, T: Tables>(packet: &mut Packet<'_>, tables: &T) -> Result<Verdict, Exit> {
    let segment = parse::noted::<A, T>(packet, tables)?;
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
    let came = Link::of(packet).ok_or(Reason::Malformed)?;
    let header = to(packet, &segment)?;
    let offset = EthernetHeader::LEN.wrapping_add(A::HEADER_LEN);
    if !set_length(packet, tables, offset.wrapping_add(usize::from(LENGTH))) {
        return Err(reason.into());
    }
    turn_round(packet, came, (segment.tuple.src, segment.tuple.dst), TCP, LENGTH)?;
    *packet.header_mut::<TcpHeader>(offset).ok_or(Reason::Malformed)? = header;
    Ok(Verdict::Answer(reason))
}

/// Ends the segment's flow; the reason that it is reset for.
#[inline(always)]
fn end<A: Parse, T: Tables>(tables: &T, segment: &Segment<A>) -> Result<Reason, Reason> {
    let settings = tables.settings().ok_or(Reason::NotReady)?;
    let Some(hit) = flow::find::<A, T>(tables, settings, &segment.tuple, segment.protocol)? else {
        return Ok(Reason::NoFlow);
    };
    // Where another CPU was faster, the flow is over as well.
    hit.end(tables);
    Ok(Reason::BackendDown)
}

/// The RST to a segment, as RFC 9293 3.10.7.1 has it for a closed connection: with the sequence number that its sender
/// expects next, if it said which, or else with an acknowledgement of all that it sent.
#[inline(always)]
fn to<A: Parse>(packet: &Packet<'_>, segment: &Segment<A>) -> Result<TcpHeader, Reason> {
    let came = packet
        .header::<TcpHeader>(segment.offset)
        .ok_or(Reason::Malformed)?;
    let (seq, ack, flags) = if came.flags & ACK != 0 {
        (came.ack, [0; 4], RST)
    } else {
        let header = u16::from(came.data_offset & 0xf0) >> 2;
        let data = u32::from(segment.length.wrapping_sub(header));
        // SYN and FIN take a sequence number each.
        let flags = u32::from(came.flags & SYN != 0).wrapping_add(u32::from(came.flags & FIN != 0));
        let next = u32::from_be_bytes(came.seq)
            .wrapping_add(data)
            .wrapping_add(flags);
        ([0; 4], next.to_be_bytes(), RST | ACK)
    };
    let mut header = TcpHeader {
        src: came.dst,
        dst: came.src,
        seq,
        ack,
        data_offset: 5 << 4,
        flags,
        window: [0; 2],
        check: [0; 2],
        urgent: [0; 2],
    };
    header.check = checksum(&header, &segment.tuple).to_ne_bytes();
    Ok(header)
}

/// The checksum of a header without data; the addresses count the same in either direction.
#[inline(always)]
fn checksum<A: Parse>(header: &TcpHeader, tuple: &Tuple<A>) -> u16 {
    tuple
        .address_sum()
        .add_protocol(TCP, LENGTH)
        .add(tuple.port_sum())
        .add(Sum::ZERO.add_u32(u32::from_ne_bytes(header.seq)))
        .add(Sum::ZERO.add_u32(u32::from_ne_bytes(header.ack)))
        .add_bytes([header.data_offset, header.flags])
        .checksum()
}
