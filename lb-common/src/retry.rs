//! Connections that their backend does not take: it keeps silent, or refuses. And those that begin anew.

use crate::{
    address::{V4, V6},
    flow::{self, Hit, State, Why},
    layout::{Note, Retries, Settings},
    packet::Packet,
    parse::{self, Parse, Place, Segment},
    process::{Exit, Outcome, Stage, conclude},
    reason::Reason,
    tables::Tables,
    wire::{ACK, RST, SYN},
};

/// Moves the flow of a SYN that nobody answered to another backend, and hides a backend's refusal for as long as that is
/// possible; ends a closed flow whose client begins another one; else sends the packet on its way.
#[inline(always)]
pub fn retry<T: Tables>(packet: &mut Packet<'_>, tables: &T) -> Outcome {
    let decided = match Place::noted(tables) {
        Ok(place) if place.is_v6 => decide::<V6, T>(packet, tables, place),
        Ok(place) => decide::<V4, T>(packet, tables, place),
        Err(reason) => Err(reason),
    };
    conclude(tables, Err(decided.map_or_else(Exit::Refused, Exit::To)))
}

/// Where the packet goes on.
#[inline(always)]
fn decide<A: Parse, T: Tables>(packet: &Packet<'_>, tables: &T, place: Place) -> Result<Stage, Reason> {
    let segment = &parse::noted::<A>(packet, place)?;
    let settings = tables.settings().ok_or(Reason::NotReady)?;
    let Some(hit) = flow::find::<A, T>(tables, settings, &segment.tuple, segment.protocol)? else {
        // It has ended since this packet was seen first.
        return Ok(Stage::Choose);
    };
    if segment.flags & (SYN | ACK) == SYN && hit.control.state().has(State::CLOSED) {
        // Where another CPU was faster, opening will tell.
        hit.end(tables, Why::Over);
        return Ok(Stage::Choose);
    }
    let way = hit.way;
    let (backend, attempts) = (way.backend(), way.attempts());
    if !hit.is_current() {
        return Err(Reason::FlowContended);
    }
    let record = tables.backend(backend).ok_or(Reason::NoBackend)?;
    let retries = Retries::from_word(record.retries.load());
    let may_move = attempts < retries.most;
    if segment.flags & RST != 0 && way.is_spliced() {
        // Its client would not send another SYN. What it gets is told where its numbers are known.
        count_refusal(tables, settings, backend);
        return Ok(Stage::Splice);
    }
    if segment.flags & RST != 0 {
        let hides = may_move && retries.hides_refusals;
        return refused(tables, settings, segment, &hit, hides);
    }
    if may_move {
        let note = tables.note().ok_or(Reason::NotReady)?;
        return moved(tables, settings, &hit, note);
    }
    // Now it is no longer quiet, and nothing keeps the packet from following its flow.
    hit.entry.seen.store(tables.now());
    Ok(Stage::Follow)
}

/// Counts a refusal. One that is hidden leaves the flow as it was: unanswered, so that the client's next SYN is moved.
#[inline(always)]
fn refused<A: Parse, T: Tables>(
    tables: &T,
    settings: &Settings,
    segment: &Segment<A>,
    hit: &Hit<'_, A>,
    hides: bool,
) -> Result<Stage, Reason> {
    count_refusal(tables, settings, hit.way.backend());
    if hides {
        return Err(Reason::RefusalHidden);
    }
    // Now it is answered, and nothing keeps the packet from following its flow.
    flow::track(tables, segment, hit);
    Ok(Stage::Follow)
}

#[inline(always)]
fn count_refusal<T: Tables>(tables: &T, settings: &Settings, backend: u32) {
    if let Some(counters) = tables.backend_counters(settings, backend) {
        counters.refused.add(1);
    }
}

/// Ends the flow, and has another backend chosen for the next one.
#[inline(always)]
fn moved<A: Parse, T: Tables>(
    tables: &T,
    settings: &Settings,
    hit: &Hit<'_, A>,
    note: &Note,
) -> Result<Stage, Reason> {
    let way = hit.way;
    let (backend, attempts) = (way.backend(), way.attempts());
    let cookie = if way.is_spliced() { hit.entry.ack.load() } else { 0 };
    if !hit.end(tables, Why::Moved) {
        return Err(Reason::FlowContended);
    }
    if let Some(counters) = tables.backend_counters(settings, backend) {
        counters.retried.add(1);
    }
    note.moves(backend, attempts.wrapping_add(1));
    note.cookie.store(cookie);
    Ok(Stage::Choose)
}
