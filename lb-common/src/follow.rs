//! Packets of known flows, and those that are nobody's: what nearly every packet needs, and all that it needs.

use crate::{
    address::{Address, V4, V6},
    flow::{self, Hit, State},
    hint::unlikely,
    layout::{PortFilter, Settings},
    manner::Forwarding,
    meter, one_way,
    packet::{Packet, Wire},
    parse::{self, Network, NotPlain, Parse, Part, Segment},
    process::{Exit, Outcome, Stage, conclude},
    reason::{OrRefuse as _, Reason, seldom},
    reopen, rewrite, route,
    tables::Tables,
    verdict::Verdict,
    verify,
    wire::{ACK, EthernetHeader, Ipv4Hdr, RST, SYN, TcpHeader},
};

/// The least that a frame with a TCP segment over IPv4 holds: asked once for all of its headers. Most networks pad shorter
/// ones to more.
const LEAST: usize = EthernetHeader::LEN + size_of::<Ipv4Hdr>() + size_of::<TcpHeader>();

/// Forwards a packet by its flow, or leaves it alone, without a call of a subprogram.
#[inline(always)]
pub fn follow<T: Tables>(packet: &mut Packet<'_>, tables: &T) -> Outcome {
    if packet.header::<[u8; LEAST]>(0).is_none() {
        return conclude(tables, Err(seldom(of_short(packet)).into()));
    }
    let followed = match parse::network(packet) {
        Ok(Network::V4) => forward::<V4, T>(packet, tables),
        Ok(Network::V6) => forward::<V6, T>(packet, tables),
        Err(reason) => Err(reason.into()),
    };
    conclude(tables, followed)
}

/// What a frame is that holds less than [`LEAST`]. What can be forwarded of those, small UDP datagrams over IPv4, is so by the
/// detour.
#[inline(always)]
fn of_short(packet: &Packet<'_>) -> NotPlain {
    let parsed = match parse::network(packet) {
        Ok(Network::V4) => V4::parse(packet),
        // Not even the header is there.
        Ok(Network::V6) => Err(Reason::Malformed.into()),
        Err(other) => Err(other),
    };
    parsed.err().unwrap_or(NotPlain::Unusual)
}

/// Forwards a packet of a known flow.
#[inline(always)]
fn forward<A, T: Tables>(packet: &mut Packet<'_>, tables: &T) -> Result<Verdict, Exit>
where
    A: Parse<Header: Wire>,
{
    let segment = A::parse(packet)?;
    forward_segment::<A, T, true>(packet, tables, &segment)
}

/// Forwards a packet by its flow, if any service or flow can want it. Not every stage that does has the
/// stack to wrap it as well.
#[inline(always)]
pub(crate) fn forward_segment<A, T: Tables, const WRAPS: bool>(
    packet: &mut Packet<'_>,
    tables: &T,
    segment: &Segment<A>,
) -> Result<Verdict, Exit>
where
    A: Parse<Header: Wire>,
{
    let settings = tables.settings().or_refuse(Reason::NotReady)?;
    let bits = wanted(&settings.ports, segment)?;
    verify::ask(tables, segment, bits)?;
    by_flow::<A, T, WRAPS>(packet, tables, settings, segment).map_err(|exit| leave(tables, segment, exit))
}

#[inline(always)]
fn by_flow<A, T: Tables, const WRAPS: bool>(
    packet: &mut Packet<'_>,
    tables: &T,
    settings: &Settings,
    segment: &Segment<A>,
) -> Result<Verdict, Exit>
where
    A: Parse<Header: Wire>,
{
    let Some(hit) = flow::find::<A, T>(tables, settings, &segment.tuple, segment.protocol)? else {
        return Err(Exit::To(Stage::Choose));
    };
    if unlikely(segment.flags & (SYN | RST) != 0) {
        connecting(tables, settings, segment, &hit)?;
    }
    if unlikely(!hit.way.is_plain()) {
        elsewhere(packet, tables, segment, &hit)?;
    }
    let forwarding = hit.way.forwarding();
    if unlikely(forwarding == Forwarding::Local) {
        return Err(seldom(Exit::To(Stage::Deliver)));
    }
    keep_tags(packet, tables, segment, &hit)?;
    if unlikely(!forwarding.sees_answers()) {
        return one_way::forward::<A, T, WRAPS>(packet, tables, settings, segment, &hit);
    }
    let route = route::of_packet(packet, tables, segment, &hit)?;
    let length = packet.len();
    route::check_length(tables, settings, segment, route.mtu, length)?;
    rewrite::full_nat(packet, tables, settings, segment, &route.to, &route.link)?;
    flow::count(tables, settings, &hit, (&*packet, segment), length);
    Ok(route.send(packet, tables, settings, length))
}

/// Sends packets of flows that ask for more than to be forwarded where that is done.
#[inline(always)]
fn elsewhere<A: Address, T: Tables>(
    packet: &Packet<'_>,
    tables: &T,
    segment: &Segment<A>,
    hit: &Hit<'_, A>,
) -> Result<(), Exit> {
    if hit.way.is_metered() {
        meter::ask(tables, hit.way.backend())?;
    }
    let numbers_differ = hit.way.is_spliced() && segment.flags & (ACK | RST) != 0;
    if numbers_differ && hit.way.forwarding() != Forwarding::Local {
        keep_tags(packet, tables, segment, hit)?;
        return Err(seldom(Exit::To(Stage::Splice)));
    }
    Ok(())
}

/// Refuses a packet that would leave by another interface with its tags, which are right on its own only.
#[inline(always)]
fn keep_tags<A: Address, T: Tables>(
    packet: &Packet<'_>,
    tables: &T,
    segment: &Segment<A>,
    hit: &Hit<'_, A>,
) -> Result<(), Reason> {
    if unlikely(segment.network != EthernetHeader::LEN)
        && route::leaves_by(tables, hit)? != packet.interface()
    {
        return Err(seldom(Reason::Vlan));
    }
    Ok(())
}

/// Where a packet goes on that is not forwarded yet, which then finds noted what it needs.
#[inline(always)]
pub(crate) fn leave<A: Address, T: Tables>(tables: &T, segment: &Segment<A>, exit: Exit) -> Exit {
    let goes_on = matches!(exit, Exit::To(Stage::Encapsulate | Stage::Meter));
    if segment.part == Part::LATER && !goes_on {
        // Nobody is told of a later fragment (RFC 1122 3.2.2), which opens nothing either.
        return match exit {
            Exit::To(_) => Reason::FragmentUnknown.into(),
            Exit::Refused(reason) => reason.into(),
        };
    }
    let Some(note) = tables.note() else {
        return Reason::NotReady.into();
    };
    let exit = match exit {
        Exit::Refused(Reason::TtlExceeded) => {
            note.mtu.store(0);
            Exit::To(Stage::Error)
        }
        Exit::Refused(Reason::TooBig) => Exit::To(Stage::Error),
        Exit::Refused(Reason::BackendDown) => Exit::To(Stage::Reset),
        other => other,
    };
    if let Exit::To(_) = exit {
        note.place.store(segment.place().to_word());
        note.cookie.store(0);
    }
    exit
}

/// What the [`PortFilter`] has for the destination of a packet that any service or flow can want, by its ports.
#[inline(always)]
fn wanted<A>(ports: &PortFilter, segment: &Segment<A>) -> Result<u8, Reason> {
    let bit = PortFilter::bit_of(segment.protocol);
    let bits = ports.destinations.of(segment.tuple.dst_port).load();
    if unlikely(bits & bit == 0) {
        let by_source = bits & PortFilter::BY_SOURCE != 0;
        if !by_source || ports.sources.of(segment.tuple.src_port).load() & bit == 0 {
            return Err(Reason::NotForService);
        }
    }
    Ok(bits)
}

/// Looks at a SYN or RST of a known flow: the flow's own stage follows where nothing is the matter.
#[inline(always)]
fn connecting<A: Address, T: Tables>(
    tables: &T,
    settings: &Settings,
    segment: &Segment<A>,
    hit: &Hit<'_, A>,
) -> Result<(), Exit> {
    let state = hit.control.state();
    let opens = segment.flags & (SYN | ACK) == SYN && !state.has(State::REPLY);
    let anew = opens && state.has(State::CLOSED);
    let unanswered = !state.has(State::ANSWERED) && !state.has(State::CLOSED);
    let again = opens && hit.entry.quiet(tables.now()) > settings.soonest_retry();
    let refused = state.has(State::REPLY) && segment.flags & RST != 0;
    if anew && hit.way.forwarding() == Forwarding::Translate {
        return Err(reopen::leave(tables, hit));
    }
    if anew || unanswered && (again || refused) {
        return Err(Exit::To(Stage::Retry));
    }
    Ok(())
}
