//! Making room for a new flow where the flow table is full.

use crate::{
    address::{V4, V6},
    begin, flow,
    packet::Packet,
    parse::{Parse, Place},
    process::{Exit, Outcome, Stage, conclude},
    reason::Reason,
    tables::Tables,
};

/// Evicts a flow, if there is one that may go, from where the packet's own found no place, and has that tried again.
///
/// A stage of its own, since what ends a flow, and logs it, does not fit the stack on top of what opens one.
#[inline(always)]
pub fn make_room<T: Tables>(_: &mut Packet<'_>, tables: &T) -> Outcome {
    let made = match Place::noted(tables) {
        Ok(place) if place.is_v6 => evict::<V6, T>(tables),
        Ok(_) => evict::<V4, T>(tables),
        Err(reason) => Err(reason),
    };
    conclude(
        tables,
        Err(begin::after_opening(tables, made.map_err(Exit::Refused))),
    )
}

/// Where the packet goes on.
#[inline(always)]
fn evict<A: Parse, T: Tables>(tables: &T) -> Result<Stage, Reason> {
    if !flow::make_room::<A, T>(tables, tables.now()) {
        return Err(Reason::FlowTableFull);
    }
    let backend = tables.note().ok_or(Reason::NotReady)?.backend.load();
    let record = tables.backend(backend).ok_or(Reason::NoBackend)?;
    Ok(begin::stage::<A>(record))
}
