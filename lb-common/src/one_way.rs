//! Packets of flows whose answers do not come by here: to their backend as they are, in another frame or within another
//! packet.

use crate::{
    address::Address,
    flow::{self, Hit, Way},
    hop,
    layout::Settings,
    manner::Forwarding,
    packet::Packet,
    parse::Segment,
    process::{Exit, Stage},
    reason::{OrRefuse as _, Reason, seldom},
    rewrite, route,
    tables::Tables,
    verdict::Verdict,
    wire::SYN,
};

/// Sends a client's packet to its flow's backend, with new MAC addresses; or has it wrapped.
#[inline(always)]
pub(crate) fn forward<A: Address, T: Tables>(
    packet: &mut Packet<'_>,
    tables: &T,
    settings: &Settings,
    segment: &Segment<A>,
    hit: &Hit<'_, A>,
    way: Way,
) -> Result<Verdict, Exit> {
    if !hit.is_current() {
        return Err(seldom(Reason::FlowContended).into());
    }
    flow::track(tables, segment, hit);
    let backend = way.backend();
    let record = tables.backend(backend).or_refuse(Reason::NoBackend)?;
    let (hop, link) = hop::of_flow(record)?;
    let length = packet.len();
    let is_wrapped = way.forwarding() == Forwarding::Encapsulate;
    if !is_wrapped {
        route::check_length(tables, settings, segment, hop.mtu.load(), length)?;
    }
    rewrite::finish(packet, tables, settings, segment)?;
    if is_wrapped {
        let exit = hand_over(tables, segment, hit, backend);
        flow::count(tables, settings, hit, (&*packet, segment), length);
        return Err(exit);
    }
    link.write(packet).or_refuse(Reason::Malformed)?;
    flow::count(tables, settings, hit, (&*packet, segment), length);
    let ways = (packet.interface(), hop.interface.load());
    Ok(route::send(tables, settings, (backend, false), length, ways))
}

/// Leaves to [`Stage::Encapsulate`] what it needs to know.
#[inline(always)]
fn hand_over<A: Address, T: Tables>(
    tables: &T,
    segment: &Segment<A>,
    hit: &Hit<'_, A>,
    backend: u32,
) -> Exit {
    if segment.ttl <= 1 {
        return Reason::TtlExceeded.into();
    }
    let Some(note) = tables.note() else {
        return Reason::NotReady.into();
    };
    note.backend.store(backend);
    note.hash.store(hit.control.tag());
    note.opens.store(u32::from(segment.flags & SYN));
    Exit::To(Stage::Encapsulate)
}
