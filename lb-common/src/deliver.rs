//! Packets to backends that run on this host: translated, and left to its own stack. Their answers leave by [`egress`].
//!
//! [`egress`]: crate::egress()

use crate::{
    address::{V4, V6},
    flow::{self, State},
    layout::Backend,
    manner::Forwarding,
    packet::{Packet, Wire},
    parse::{self, Parse, Place},
    process::{Exit, Outcome, Stage, conclude},
    reason::Reason,
    rewrite,
    tables::Tables,
    verdict::Verdict,
};

/// Translates a packet of a flow whose backend runs on this host.
#[inline(always)]
pub fn deliver<T: Tables>(packet: &mut Packet<'_>, tables: &T) -> Outcome {
    let delivered = match Place::noted(tables) {
        Ok(place) if place.is_v6 => translate::<V6, T>(packet, tables, place),
        Ok(place) => translate::<V4, T>(packet, tables, place),
        Err(reason) => Err(reason.into()),
    };
    conclude(tables, delivered)
}

#[inline(always)]
fn translate<A, T: Tables>(packet: &mut Packet<'_>, tables: &T, place: Place) -> Result<Verdict, Exit>
where
    A: Parse<Header: Wire>,
{
    let segment = parse::noted::<A>(packet, place)?;
    let settings = tables.settings().ok_or(Reason::NotReady)?;
    let hit = flow::find::<A, T>(tables, settings, &segment.tuple, segment.protocol)?
        .ok_or(Reason::FlowContended)?;
    let (to, way) = (hit.entry.to(), hit.way);
    let (local, backend) = (way.forwarding() == Forwarding::Local, way.backend());
    if !local || !hit.is_current() {
        return Err(Reason::FlowContended.into());
    }
    if hit.control.state().has(State::REPLY) {
        // Answers leave here: one that comes in is forged, which our stack knows how to treat.
        return Err(Reason::NotForService.into());
    }
    let record = tables.backend(backend).ok_or(Reason::NoBackend)?;
    if record.hop.load() & Backend::ENDS != 0 {
        return Err(Exit::To(Stage::Reset));
    }
    flow::track(tables, &segment, &hit);
    let length = packet.len();
    rewrite::in_place(
        packet,
        tables,
        || tables.keeps_partial_checksum(settings),
        &segment,
        &to,
    )?;
    if let Some(counters) = tables.backend_counters(settings, backend) {
        counters.count_in(length);
    }
    flow::count(tables, settings, &hit, (&*packet, &segment), length);
    Ok(Verdict::pass(Reason::Local))
}
