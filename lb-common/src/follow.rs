//! Packets of known flows, and those that are nobody's: what nearly every packet needs, and all that it needs.

use crate::{
    address::{Address, Port, TCP, Tuple, V4, V6},
    flow::{self, Client, Hit, State},
    layout::{PortFilter, Settings, mac_from_word},
    link::Link,
    manner::Forwarding,
    packet::{Packet, Wire},
    parse::{self, Network, Parse, Segment},
    process::{Exit, Outcome, Stage, conclude},
    reason::Reason,
    rewrite,
    shared::Shared,
    tables::Tables,
    verdict::Verdict,
    wire::{ACK, SYN},
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
    if !wanted(tables, &segment)? {
        return Err(Reason::NotForService.into());
    }
    let settings = tables.settings().ok_or(Reason::NotReady)?;
    let Some(hit) = flow::find::<A, T>(tables, settings, &segment.tuple, segment.protocol)? else {
        return Err(Exit::To(Stage::Choose));
    };
    if reopens(&segment, &hit) {
        // Where another CPU was faster, opening will tell.
        hit.end(tables);
        return Err(Exit::To(Stage::Choose));
    }
    let forwarding = hit.entry.forwarding();
    if forwarding == Forwarding::Local {
        return Err(Exit::To(Stage::Deliver));
    }
    let route = route(packet, tables, &segment, &hit)?;
    let length = packet.len();
    match forwarding {
        Forwarding::Translate => {
            rewrite::full_nat(packet, tables, settings, &segment, &route.to, &route.link)?;
        }
        Forwarding::Direct | Forwarding::Encapsulate | Forwarding::Local => {
            rewrite::direct(packet, tables, settings, &segment, &route.link)?;
        }
    }
    count_traffic(tables, settings, &route, length);
    Ok(if route.interface == packet.interface() {
        Verdict::Tx
    } else {
        Verdict::Redirect(route.interface)
    })
}

/// Where a packet goes.
struct Route<A> {
    /// Addresses and ports to leave with.
    to: Tuple<A>,
    /// MAC addresses to leave with.
    link: Link,
    /// Interface to leave by.
    interface: u32,
    /// The flow's backend.
    backend: u32,
    /// Whether it comes from the backend.
    reply: bool,
}

/// Whether any service or flow can want a packet of these ports.
#[inline(always)]
fn wanted<A, T: Tables>(tables: &T, segment: &Segment<A>) -> Result<bool, Reason> {
    let bit = if segment.protocol == TCP {
        PortFilter::TCP
    } else {
        PortFilter::UDP
    };
    let ports = tables.ports().ok_or(Reason::NotReady)?;
    let of = |table: &[Shared<u8>; 65536], port: Port| {
        table
            .get(usize::from(port.number()))
            .map_or(0, Shared::<u8>::load)
    };
    let bits = of(&ports.destinations, segment.tuple.dst_port);
    if bits & (bit | PortFilter::BY_SOURCE) != PortFilter::BY_SOURCE {
        return Ok(bits & bit != 0);
    }
    Ok(of(&ports.sources, segment.tuple.src_port) & bit != 0)
}

/// The route of a packet, from its flow's entry; notes there that it came.
#[inline(always)]
fn route<A: Address, T: Tables>(
    packet: &Packet<'_>,
    tables: &T,
    segment: &Segment<A>,
    hit: &Hit<'_, A>,
) -> Result<Route<A>, Reason> {
    let (to, backend) = (hit.entry.to(), hit.entry.backend());
    let (link, interface) = (hit.entry.link_to_client(), hit.entry.interface());
    if !hit.is_current() {
        return Err(Reason::FlowContended);
    }
    flow::track(tables, segment, hit);
    if hit.control.state().has(State::REPLY) {
        return Ok(Route {
            to,
            link,
            interface,
            backend,
            reply: true,
        });
    }
    if hit.entry.forwarding().sees_answers() {
        learn(packet, tables, hit)?;
    }
    to_backend(tables, to, backend)
}

/// The route of a client's packet.
#[inline(always)]
fn to_backend<A: Address, T: Tables>(tables: &T, to: Tuple<A>, backend: u32) -> Result<Route<A>, Reason> {
    let record = tables.backend(backend).ok_or(Reason::NoBackend)?;
    let hop = record
        .hops
        .get((record.hop.load() & 1) as usize)
        .ok_or(Reason::NoNextHop)?;
    let peer = hop.peer.load();
    if peer == 0 {
        return Err(Reason::NoNextHop);
    }
    let link = Link {
        dst: peer,
        src: hop.own.load(),
    };
    Ok(Route {
        to,
        link,
        interface: hop.interface.load(),
        backend,
        reply: false,
    })
}

/// Whether a client begins anew with a tuple whose last flow is over.
#[inline(always)]
fn reopens<A: Address>(segment: &Segment<A>, hit: &Hit<'_, A>) -> bool {
    let state = hit.control.state();
    segment.flags & (SYN | ACK) == SYN && state.has(State::CLOSED) && !state.has(State::REPLY)
}

/// Replies go back to where the client's packets come from: notices when that has changed.
#[inline(always)]
fn learn<A: Address, T: Tables>(packet: &Packet<'_>, tables: &T, hit: &Hit<'_, A>) -> Result<(), Reason> {
    let link = Link::of(packet).ok_or(Reason::Malformed)?;
    let interface = packet.interface();
    if !hit.entry.leads_to(interface, link.src, link.dst) {
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
fn count_traffic<A, T: Tables>(tables: &T, settings: &Settings, route: &Route<A>, length: u64) {
    let Some(counters) = tables.backend_counters(settings, route.backend) else {
        return;
    };
    let (packets, bytes) = if route.reply {
        (&counters.packets_out, &counters.bytes_out)
    } else {
        (&counters.packets_in, &counters.bytes_in)
    };
    packets.add(1);
    bytes.add(length);
}
