//! Packets of flows whose answers do not come by here: to their backend as they are, in another frame or within another
//! packet.

use crate::{
    address::Address,
    encapsulate::{self, Outside},
    flow::{self, Hit},
    hop,
    layout::{Backend, Settings},
    manner::{Forwarding, Manner},
    packet::{Packet, Wire},
    parse::Segment,
    process::{Exit, Stage},
    reason::{OrRefuse as _, Reason, seldom},
    rewrite, route,
    tables::Tables,
    verdict::Verdict,
    wire::SYN,
};

/// Sends a client's packet to its flow's backend, with new MAC addresses; or within another one, which it has done elsewhere
/// unless this stage `WRAPS`.
#[inline(always)]
pub(crate) fn forward<A, T: Tables, const WRAPS: bool>(
    packet: &mut Packet<'_>,
    tables: &T,
    settings: &Settings,
    segment: &Segment<A>,
    hit: &Hit<'_, A>,
) -> Result<Verdict, Exit>
where
    A: Address<Header: Wire>,
{
    let outside = hit.entry.to_addresses();
    if !hit.is_current() {
        return Err(seldom(Reason::FlowContended).into());
    }
    flow::track(tables, segment, hit);
    let backend = hit.way.backend();
    let record = tables.backend(backend).or_refuse(Reason::NoBackend)?;
    let hop = hop::of_flow(record)?;
    let length = packet.len();
    let is_wrapped = hit.way.forwarding() == Forwarding::Encapsulate;
    if !is_wrapped {
        route::check_length(tables, settings, segment, hop.mtu.load(), length)?;
    }
    rewrite::finish(packet, tables, settings, segment)?;
    flow::count(tables, settings, hit, (&*packet, segment), length);
    if !is_wrapped {
        hop.link().write(packet).or_refuse(Reason::Malformed)?;
    } else if segment.ttl <= 1 {
        return Err(seldom(Reason::TtlExceeded).into());
    } else if WRAPS && is_plain(segment, record) {
        let header = encapsulate::header(packet)?;
        let outside = Outside::of::<A>(header, outside, hit.control.tag(), None);
        outside.check_length(tables, hop)?;
        outside.wrap::<A, T>(packet, tables, hop)?;
    } else {
        return Err(hand_over(tables, segment, hit, backend));
    }
    let ways = (packet.interface(), hop.interface.load());
    Ok(route::send(tables, settings, (backend, false), length, ways))
}

/// Whether a packet travels within another of its own family, with nothing in between, and opens no connection: that is
/// done here, and all else where there is room for it.
#[inline(always)]
fn is_plain<A: Address>(segment: &Segment<A>, record: &Backend) -> bool {
    let plain = const { Manner::tunnel(A::IS_V6, None) };
    segment.flags & SYN == 0 && record.manner.load() == plain.0
}

/// Leaves to [`Stage::Encapsulate`] what it needs to know.
#[inline(always)]
fn hand_over<A: Address, T: Tables>(
    tables: &T,
    segment: &Segment<A>,
    hit: &Hit<'_, A>,
    backend: u32,
) -> Exit {
    let Some(note) = tables.note() else {
        return Reason::NotReady.into();
    };
    note.backend.store(backend);
    note.hash.store(hit.control.tag());
    note.opens.store(u32::from(segment.flags & SYN));
    Exit::To(Stage::Encapsulate)
}
