//! Counting the packets of single sources, for services that limit them.

use crate::{
    address::{V4, V6},
    layout::Note,
    packet::Packet,
    parse::{self, Parse, Place},
    process::{Exit, Outcome, Stage, conclude},
    quota,
    reason::{OrRefuse as _, Reason, seldom},
    tables::Tables,
};

/// Counts a packet of a known flow among those of its source, after which its way begins anew; or drops it.
#[inline(always)]
pub fn meter<T: Tables>(packet: &mut Packet<'_>, tables: &T) -> Outcome {
    let counted = match Place::noted(tables) {
        Ok(place) if place.is_v6 => count::<V6, T>(packet, tables, place),
        Ok(place) => count::<V4, T>(packet, tables, place),
        Err(reason) => Err(reason),
    };
    let next = counted.map_or_else(Exit::Refused, |()| Exit::To(Stage::Follow));
    conclude(tables, Err(next))
}

#[inline(always)]
fn count<A: Parse, T: Tables>(packet: &Packet<'_>, tables: &T, place: Place) -> Result<(), Reason> {
    let source = parse::noted_source::<A>(packet, place)?;
    let settings = tables.settings().ok_or(Reason::NotReady)?;
    let note = tables.note().ok_or(Reason::NotReady)?;
    let record = tables.backend(note.backend.load()).ok_or(Reason::NoBackend)?;
    let number = record.service.load();
    let row = u32::from(number).wrapping_sub(1);
    let service = tables.service(row).ok_or(Reason::NotReady)?;
    quota::send(tables, settings, (number, service), quota::site(source))?;
    note.metered.store(1);
    Ok(())
}

/// Lets a packet of a flow to a backend go on that has been counted; sends it there first if it has not.
#[inline(always)]
pub(crate) fn ask<T: Tables>(tables: &T, backend: u32) -> Result<(), Exit> {
    let note = tables.note().or_refuse(Reason::NotReady)?;
    if Note::take(&note.metered) {
        return Ok(());
    }
    note.backend.store(backend);
    Err(seldom(Exit::To(Stage::Meter)))
}
