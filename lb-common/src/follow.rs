//! Packets of known flows, and those that are nobody's: what nearly every packet needs, and all that it needs.

use crate::{
    address::{Address, TCP, Tuple, V4, V6},
    flow::{self, Client, Hit, State, Way},
    hop,
    layout::{Backend, PortFilter, Settings, mac_from_word},
    link::Link,
    manner::Forwarding,
    meter,
    packet::{Packet, Wire},
    parse::{self, Network, Parse, Part, Segment},
    process::{Exit, Outcome, Stage, conclude},
    reason::{OrRefuse as _, Reason, seldom},
    rewrite,
    tables::Tables,
    verdict::Verdict,
    verify,
    wire::{ACK, EthernetHeader, RST, SYN},
};

/// Forwards a packet by its flow, or leaves it alone, without a call of a subprogram.
#[inline(always)]
pub fn follow<T: Tables>(packet: &mut Packet<'_>, tables: &T) -> Outcome {
    let followed = match parse::network(packet) {
        Ok(Network::V4) => forward::<V4, T>(packet, tables),
        Ok(Network::V6) => forward::<V6, T>(packet, tables),
        Err(reason) => Err(reason.into()),
    };
    conclude(tables, followed)
}

/// Forwards a packet of a known flow.
#[inline(always)]
fn forward<A, T: Tables>(packet: &mut Packet<'_>, tables: &T) -> Result<Verdict, Exit>
where
    A: Parse<Header: Wire>,
{
    let segment = A::parse(packet)?;
    forward_segment(packet, tables, &segment)
}

/// Forwards a packet by its flow, if any service or flow can want it.
#[inline(always)]
pub(crate) fn forward_segment<A, T: Tables>(
    packet: &mut Packet<'_>,
    tables: &T,
    segment: &Segment<A>,
) -> Result<Verdict, Exit>
where
    A: Parse<Header: Wire>,
{
    let bits = wanted(tables, segment)?;
    verify::ask(tables, segment, bits)?;
    by_flow(packet, tables, segment).map_err(|exit| leave(tables, segment, exit))
}

#[inline(always)]
fn by_flow<A, T: Tables>(packet: &mut Packet<'_>, tables: &T, segment: &Segment<A>) -> Result<Verdict, Exit>
where
    A: Parse<Header: Wire>,
{
    let settings = tables.settings().or_refuse(Reason::NotReady)?;
    let Some(hit) = flow::find::<A, T>(tables, settings, &segment.tuple, segment.protocol)? else {
        return Err(Exit::To(Stage::Choose));
    };
    if segment.flags & (SYN | RST) != 0 {
        connecting(tables, settings, segment, &hit)?;
    }
    let way = hit.entry.way();
    if way.is_metered() {
        meter::ask(tables, way.backend())?;
    }
    let forwarding = way.forwarding();
    if forwarding == Forwarding::Local {
        return Err(seldom(Exit::To(Stage::Deliver)));
    }
    if segment.network != EthernetHeader::LEN && leaves_by(tables, &hit, way)? != packet.interface() {
        // Its tags are right on its own interface only.
        return Err(seldom(Reason::Vlan).into());
    }
    if way.is_spliced() && segment.flags & (ACK | RST) != 0 {
        return Err(seldom(Exit::To(Stage::Splice)));
    }
    let route = route(packet, tables, segment, &hit, way)?;
    let length = packet.len();
    if forwarding == Forwarding::Encapsulate {
        rewrite::finish(packet, tables, settings, segment)?;
        let exit = hand_over(tables, segment, &hit, route.backend);
        flow::count(tables, settings, &hit, (&*packet, segment), length);
        return Err(exit);
    }
    check_length(tables, settings, segment, route.mtu, length)?;
    if forwarding.sees_answers() {
        rewrite::full_nat(packet, tables, settings, segment, &route.to, &route.link)?;
    } else {
        rewrite::finish(packet, tables, settings, segment)?;
        route.link.write(packet).or_refuse(Reason::Malformed)?;
    }
    count_traffic(tables, settings, &route, length);
    flow::count(tables, settings, &hit, (&*packet, segment), length);
    Ok(route.verdict(packet))
}

/// Refuses a frame of that length whose packet is longer than its way takes, and notes what that is; 0: any.
#[inline(always)]
pub(crate) fn check_length<A: Address, T: Tables>(
    tables: &T,
    settings: &Settings,
    segment: &Segment<A>,
    mtu: u32,
    length: u64,
) -> Result<(), Reason> {
    // What a sender left to its NIC may be several packets yet: where they are told apart later, so are their lengths.
    if mtu != 0
        && length.wrapping_sub(segment.network as u64) > u64::from(mtu)
        && !(tables.keeps_partial_checksum(settings) && rewrite::is_unfinished(segment))
    {
        tables.note().or_refuse(Reason::NotReady)?.mtu.store(mtu);
        return Err(seldom(Reason::TooBig));
    }
    Ok(())
}

/// Where a packet goes on that is not forwarded yet, which then finds noted what it needs.
#[inline(always)]
pub(crate) fn leave<A, T: Tables>(tables: &T, segment: &Segment<A>, exit: Exit) -> Exit {
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

/// The interface that a flow's packets leave by.
#[inline(always)]
fn leaves_by<A: Address, T: Tables>(tables: &T, hit: &Hit<'_, A>, way: Way) -> Result<u32, Reason> {
    if hit.control.state().has(State::REPLY) {
        return Ok(hit.entry.interface());
    }
    Ok(to_backend(tables, hit.entry.to(), way.backend())?.interface)
}

/// Where a packet goes.
pub(crate) struct Route<A> {
    /// Addresses and ports to leave with.
    pub(crate) to: Tuple<A>,
    /// MAC addresses to leave with.
    pub(crate) link: Link,
    /// Interface to leave by.
    interface: u32,
    /// The longest IP packet that may go there; 0: any.
    pub(crate) mtu: u32,
    /// The flow's backend.
    backend: u32,
    /// Whether it comes from the backend.
    pub(crate) reply: bool,
}

impl<A> Route<A> {
    /// What becomes of the packet.
    #[inline(always)]
    pub(crate) fn verdict(&self, packet: &Packet<'_>) -> Verdict {
        Verdict::out_of(self.interface, packet.interface())
    }
}

/// What the [`PortFilter`] has for the destination of a packet that any service or flow can want, by its ports.
#[inline(always)]
fn wanted<A, T: Tables>(tables: &T, segment: &Segment<A>) -> Result<u8, Reason> {
    let bit = if segment.protocol == TCP {
        PortFilter::TCP
    } else {
        PortFilter::UDP
    };
    let ports = tables.ports().or_refuse(Reason::NotReady)?;
    let bits = ports.destinations.of(segment.tuple.dst_port).load();
    let of_either = if bits & (bit | PortFilter::BY_SOURCE) == PortFilter::BY_SOURCE {
        ports.sources.of(segment.tuple.src_port).load()
    } else {
        bits
    };
    if of_either & bit == 0 {
        return Err(Reason::NotForService);
    }
    Ok(bits)
}

/// The route of a packet, from its flow's entry; notes there that it came.
#[inline(always)]
pub(crate) fn route<A: Address, T: Tables>(
    packet: &Packet<'_>,
    tables: &T,
    segment: &Segment<A>,
    hit: &Hit<'_, A>,
    way: Way,
) -> Result<Route<A>, Reason> {
    let route = to_client(hit, way)?;
    flow::track(tables, segment, hit);
    if route.reply {
        return Ok(route);
    }
    if way.forwarding().sees_answers() {
        learn(packet, tables, hit, way)?;
    }
    to_backend(tables, route.to, route.backend)
}

/// The route of what is about a flow without being a packet of it.
#[inline(always)]
pub(crate) fn route_beside<A: Address, T: Tables>(tables: &T, hit: &Hit<'_, A>) -> Result<Route<A>, Reason> {
    let route = to_client(hit, hit.entry.way())?;
    if route.reply {
        return Ok(route);
    }
    to_backend(tables, route.to, route.backend)
}

/// The route of a backend's packet; of a client's, all but where it goes.
#[inline(always)]
pub(crate) fn to_client<A: Address>(hit: &Hit<'_, A>, way: Way) -> Result<Route<A>, Reason> {
    let route = Route {
        to: hit.entry.to(),
        link: way.link_to_client(),
        interface: hit.entry.interface(),
        mtu: 0,
        backend: way.backend(),
        reply: hit.control.state().has(State::REPLY),
    };
    if hit.is_current() {
        Ok(route)
    } else {
        Err(seldom(Reason::FlowContended))
    }
}

/// The route of a client's packet.
#[inline(always)]
fn to_backend<A: Address, T: Tables>(tables: &T, to: Tuple<A>, backend: u32) -> Result<Route<A>, Reason> {
    let record = tables.backend(backend).or_refuse(Reason::NoBackend)?;
    let word = record.hop.load();
    if word & Backend::ENDS != 0 {
        return Err(seldom(Reason::BackendDown));
    }
    let (hop, link) = hop::at(record, word)?;
    Ok(Route {
        to,
        link,
        interface: hop.interface.load(),
        mtu: hop.mtu.load(),
        backend,
        reply: false,
    })
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
    if anew || unanswered && (again || refused) {
        return Err(Exit::To(Stage::Retry));
    }
    Ok(())
}

/// Replies go back to where the client's packets come from: notices when that has changed.
#[inline(always)]
fn learn<A: Address, T: Tables>(
    packet: &Packet<'_>,
    tables: &T,
    hit: &Hit<'_, A>,
    way: Way,
) -> Result<(), Reason> {
    let link = Link::of(packet).or_refuse(Reason::Malformed)?;
    let interface = packet.interface();
    if !way.leads_back(link) || hit.entry.interface() != interface {
        let (mac, own_mac) = (mac_from_word(link.src), mac_from_word(link.dst));
        hit.follow(
            tables,
            &Client {
                interface,
                mac,
                own_mac,
            },
        );
    }
    Ok(())
}

#[inline(always)]
pub(crate) fn count_traffic<A, T: Tables>(tables: &T, settings: &Settings, route: &Route<A>, length: u64) {
    let Some(counters) = tables.backend_counters(settings, route.backend) else {
        return;
    };
    if route.reply {
        counters.count_out(length);
    } else {
        counters.count_in(length);
    }
}
