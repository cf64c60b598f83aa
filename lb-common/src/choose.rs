//! Choosing a backend for a new flow.

use crate::{
    address::{TCP, V4, V6},
    choice,
    manner::Forwarding,
    packet::Packet,
    parse::{self, Network, Parse},
    process::{Exit, Outcome, Stage, conclude},
    reason::Reason,
    service,
    tables::Tables,
    wire::{ACK, RST, SYN},
};

/// Finds the service that a packet is for, and chooses a backend for the flow that it opens; else says what becomes of
/// the packet.
///
/// Each stage parses the packet again, which is cheap beside opening a flow.
#[inline(always)]
pub fn choose<T: Tables>(packet: &mut Packet<'_>, tables: &T) -> Outcome {
    let chosen = match parse::network(packet) {
        Ok(Network::V4) => backend::<V4, T>(packet, tables),
        Ok(Network::V6) => backend::<V6, T>(packet, tables),
        Err(reason) => Err(reason),
    };
    let next = chosen.map_or_else(Exit::Refused, Exit::To);
    conclude(tables, Err(next))
}

/// Notes the backend; where the packet goes on.
#[inline(always)]
fn backend<A: Parse, T: Tables>(packet: &Packet<'_>, tables: &T) -> Result<Stage, Reason> {
    let segment = &A::parse(packet)?;
    let settings = tables.settings().ok_or(Reason::NotReady)?;
    let service =
        service::find(tables, settings, &segment.tuple, segment.protocol).ok_or(Reason::NotForService)?;
    let service = tables.service(service).ok_or(Reason::NotReady)?;
    // Where the backend alone keeps a connection, it goes on without the entry that another balancer had for it.
    let resumes = !Forwarding::from_word(service.forwarding.load()).sees_answers();
    if segment.protocol == TCP && segment.flags & (SYN | ACK | RST) != SYN && !resumes {
        return Ok(Stage::Reset);
    }
    let backend = choice::pick(tables, service, &segment.tuple, segment.protocol)?;
    tables.note().ok_or(Reason::NotReady)?.backend.store(backend);
    let record = tables.backend(backend).ok_or(Reason::NoBackend)?;
    Ok(match record.local.load() {
        0 => Stage::Begin,
        _ => Stage::BeginLocal,
    })
}
