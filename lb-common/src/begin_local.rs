//! Opening a flow to a backend that runs on this host.

use crate::{
    address::{Address, Port, Tuple, V4, V6},
    begin::{PORT_ATTEMPTS, PORT_STEP, after_opening, open, port},
    flow,
    layout::Settings,
    manner::Forwarding,
    packet::Packet,
    parse::{self, Parse, Place},
    process::{Exit, Outcome, Stage, conclude},
    reason::Reason,
    tables::Tables,
};

/// Opens a packet's flow to the backend that was chosen, after which its way goes on by it; else says what becomes of the
/// packet.
#[inline(always)]
pub fn begin_local<T: Tables>(packet: &mut Packet<'_>, tables: &T) -> Outcome {
    let opened = match Place::noted(tables) {
        Ok(place) if place.is_v6 => begin::<V6, T>(packet, tables, place),
        Ok(place) => begin::<V4, T>(packet, tables, place),
        Err(reason) => Err(reason.into()),
    };
    conclude(
        tables,
        Err(after_opening(tables, opened.map(|()| Stage::Deliver))),
    )
}

#[inline(always)]
fn begin<A: Parse, T: Tables>(packet: &Packet<'_>, tables: &T, place: Place) -> Result<(), Exit> {
    let (key, protocol) = parse::noted_key::<A>(packet, place)?;
    let settings = tables.settings().ok_or(Reason::NotReady)?;
    let backend = tables.note().ok_or(Reason::NotReady)?.backend.load();
    let to = translation(tables, settings, (&key, protocol), backend)?;
    open(packet, tables, (key, protocol), Forwarding::Local, to)
}

/// What the flow's packets reach the backend with: its address and port, and the client's own, for our stack takes a
/// packet from outside that has one of its own addresses as source for forged.
///
/// The client's port, too, unless the client speaks with the backend by it already, through another virtual address.
#[inline(always)]
fn translation<A: Address, T: Tables>(
    tables: &T,
    settings: &Settings,
    (key, protocol): (&Tuple<A>, u8),
    backend: u32,
) -> Result<Tuple<A>, Reason> {
    let record = tables.backend(backend).ok_or(Reason::NoBackend)?;
    let mut to = Tuple {
        dst: A::stored(&record.address),
        dst_port: Port(record.port.load().to_ne_bytes()),
        ..*key
    };
    let mut position = u32::from(key.src_port.number());
    for _ in 0..PORT_ATTEMPTS {
        if flow::is_free(tables, settings, &to.reversed(), protocol, true)? {
            return Ok(to);
        }
        to.src_port = port(settings, position).ok_or(Reason::NoSourcePort)?;
        position = position.wrapping_add(PORT_STEP);
    }
    Err(Reason::NoSourcePort)
}
