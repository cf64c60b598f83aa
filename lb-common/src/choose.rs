//! Choosing a backend for a new flow.

use crate::{
    access,
    address::{Address, TCP, Tuple, V4, V6},
    begin, choice, cookie,
    layout::{Backend, Note},
    manner::Forwarding,
    packet::Packet,
    parse::{self, Parse, Place, Segment},
    process::{Exit, Outcome, Stage, conclude},
    quota,
    reason::Reason,
    reopen,
    room::has_room,
    service,
    tables::Tables,
    wire::{ACK, FIN, RST, SYN},
};

/// Finds the service that a packet is for, and chooses a backend for the flow that it opens; else says what becomes of
/// the packet.
///
/// Each stage parses the packet again, which is cheap beside opening a flow; where its headers are is noted.
#[inline(always)]
pub fn choose<T: Tables>(packet: &mut Packet<'_>, tables: &T) -> Outcome {
    let chosen = tables.note().ok_or(Reason::NotReady).and_then(|note| {
        let chosen = if Place::in_note(note).is_v6 {
            backend::<V6, T>(packet, tables, note)
        } else {
            backend::<V4, T>(packet, tables, note)
        };
        reopen::instead(note, chosen)
    });
    let next = chosen.map_or_else(Exit::Refused, Exit::To);
    conclude(tables, Err(next))
}

/// Notes the backend; where the packet goes on.
#[inline(always)]
fn backend<A: Parse, T: Tables>(packet: &Packet<'_>, tables: &T, note: &Note) -> Result<Stage, Reason> {
    let segment = &parse::noted::<A>(packet, Place::in_note(note))?;
    let settings = tables.settings().ok_or(Reason::NotReady)?;
    // Whatever becomes of this flow, the next one is not moved.
    let avoided = note.take_avoided();
    let service =
        service::find(tables, settings, &segment.tuple, segment.protocol).ok_or(Reason::NotForService)?;
    if is_impossible(segment) {
        return Err(Reason::Impossible);
    }
    let service = tables.service(service).ok_or(Reason::NotReady)?;
    for list in [&settings.denied, &service.denied] {
        access::ask(tables, settings, list, segment.tuple.src)?;
    }
    // Where the backend alone keeps a connection, it goes on without the entry that another balancer had for it, if
    // that would choose the same backend.
    let resumes =
        !Forwarding::from_word(service.forwarding.load()).sees_answers() && !choice::takes_turns(service);
    if segment.protocol == TCP && segment.flags & (SYN | ACK | RST) != SYN && !resumes {
        // A RST is not answered (RFC 9293 3.10.7.1).
        return if segment.flags & RST != 0 {
            Err(Reason::NoFlow)
        } else if cookie::may_prove(service, segment) {
            Ok(Stage::Cookie)
        } else {
            Ok(Stage::Reset)
        };
    }
    if !has_room(&service.active, &service.maxconn) {
        return Err(Reason::ServiceFull);
    }
    let proven = note.cookie.load() != 0;
    let backend = match avoided {
        None if !proven && cookie::is_due(service, segment) => return Ok(Stage::Cookie),
        None => choice::pick(tables, service, &segment.tuple)?,
        Some(avoided) => choice::pick_another(tables, service, &segment.tuple, avoided)?,
    };
    note.backend.store(backend);
    note.rooms.store(0);
    let record = tables.backend(backend).ok_or(Reason::NoBackend)?;
    if record.hop.load() & Backend::ENDS != 0 {
        // Its flows end: this one would begin and end for as long as stages may follow each other.
        return Err(Reason::NoBackend);
    }
    let stage = begin::stage::<A>(record);
    if proven && stage == Stage::BeginLocal {
        // The host's own stack is in between, and gives cookies of its own.
        return Err(Reason::NoBackend);
    }
    // Last of all: what is counted here is uncounted only by who opens the flow.
    let service = (record.service.load(), service);
    let site = quota::site(segment.tuple.src);
    quota::enter(tables, settings, note, service, site, avoided.is_some())?;
    Ok(stage)
}

/// Whether no honest sender sends this: to itself (LAND), or a segment that begins and ends a connection, or says nothing.
/// Of a known flow such segments are the backend's to judge.
#[inline(always)]
fn is_impossible<A: Address>(segment: &Segment<A>) -> bool {
    let Tuple { src, dst, .. } = segment.tuple;
    let to_itself = src == dst && segment.tuple.src_port == segment.tuple.dst_port;
    let flags = segment.flags & (SYN | FIN | RST);
    let contradicts_itself = flags & SYN != 0 && flags != SYN;
    let says_nothing = segment.protocol == TCP && segment.flags & (SYN | FIN | RST | ACK) == 0;
    to_itself || contradicts_itself || says_nothing
}
