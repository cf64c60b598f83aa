//! A packet's way, from first byte to verdict.

use crate::{
    address::{Address, TCP, V4, V6},
    flow::{self, Flow, Hit, State},
    layout::{BackendCounters, PortFilter, Settings, mac_from_word},
    open::open,
    packet::{Packet, Wire},
    parse::{self, Network, Parse, Segment},
    reason::Reason,
    rewrite::{self, Link},
    service,
    tables::Tables,
    verdict::Verdict,
    wire::{ACK, EthernetHeader, SYN},
};

/// Decides on a packet, rewrites it where it is to be forwarded, and counts it.
#[inline(always)]
pub fn process<T: Tables>(packet: &mut Packet<'_>, tables: &T) -> Verdict {
    let forwarded = match parse::network(packet) {
        Ok(Network::V4) => forward::<V4, T>(packet, tables),
        Ok(Network::V6) => forward::<V6, T>(packet, tables),
        Err(reason) => Err(reason),
    };
    let verdict = forwarded.unwrap_or_else(Reason::verdict);
    count(tables, verdict);
    verdict
}

#[inline(always)]
fn forward<A, T: Tables>(packet: &mut Packet<'_>, tables: &T) -> Result<Verdict, Reason>
where
    A: Parse<Header: Wire>,
{
    let segment = A::parse(packet)?;
    if !wanted(tables, &segment)? {
        return Err(Reason::NotForService);
    }
    let settings = tables.settings().ok_or(Reason::NotReady)?;
    match flow::find::<A, T>(tables, settings, &segment.tuple, segment.protocol)? {
        Some(hit) if !reopens(&segment, &hit) => known(packet, tables, settings, &segment, &hit),
        Some(hit) => {
            forget(tables, &hit);
            unknown(packet, tables, settings, &segment)
        }
        None => unknown(packet, tables, settings, &segment),
    }
}

/// Whether any service or flow can want a packet to this port.
#[inline(always)]
fn wanted<A, T: Tables>(tables: &T, segment: &Segment<A>) -> Result<bool, Reason> {
    let bit = if segment.protocol == TCP { PortFilter::TCP } else { PortFilter::UDP };
    let ports = tables.ports().ok_or(Reason::NotReady)?;
    let port = usize::from(segment.tuple.dst_port.number());
    Ok(ports.destinations.get(port).is_some_and(|bits| bits.load() & bit != 0))
}

/// A packet of a flow that is known.
#[inline(always)]
fn known<A, T: Tables>(
    packet: &mut Packet<'_>,
    tables: &T,
    settings: &Settings,
    segment: &Segment<A>,
    hit: &Hit<'_, A>,
) -> Result<Verdict, Reason>
where
    A: Parse<Header: Wire>,
{
    let length = packet.len();
    if hit.control.state().has(State::REPLY) {
        let link = Link { dst: hit.flow.client_mac, src: hit.flow.own_mac };
        rewrite::full_nat(packet, settings, segment, &hit.flow.to(), &link)?;
        flow::track(tables, segment, hit);
        count_backend(tables, &hit.flow, |counters| {
            counters.packets_out.add(1);
            counters.bytes_out.add(length);
        });
        return Ok(leave(packet, hit.flow.interface));
    }
    learn(packet, tables, hit)?;
    let verdict = to_backend(packet, tables, settings, segment, &hit.flow)?;
    flow::track(tables, segment, hit);
    Ok(verdict)
}

/// A packet of no known flow.
#[inline(always)]
fn unknown<A, T: Tables>(
    packet: &mut Packet<'_>,
    tables: &T,
    settings: &Settings,
    segment: &Segment<A>,
) -> Result<Verdict, Reason>
where
    A: Parse<Header: Wire>,
{
    let service = service::find(tables, settings, &segment.tuple, segment.protocol).ok_or(Reason::NotForService)?;
    if segment.ttl <= 1 {
        return Err(Reason::TtlExceeded);
    }
    let flow = open(packet, tables, settings, segment, service)?;
    to_backend(packet, tables, settings, segment, &flow)
}

/// Sends a client's packet on to the flow's backend.
#[inline(always)]
fn to_backend<A, T: Tables>(
    packet: &mut Packet<'_>,
    tables: &T,
    settings: &Settings,
    segment: &Segment<A>,
    flow: &Flow<A>,
) -> Result<Verdict, Reason>
where
    A: Parse<Header: Wire>,
{
    let length = packet.len();
    let backend = tables.backend(u32::from(flow.backend)).ok_or(Reason::NoBackend)?;
    let hop = backend.hops.get((backend.hop.load() & 1) as usize).ok_or(Reason::NoNextHop)?;
    let peer = hop.peer.load();
    if peer == 0 {
        return Err(Reason::NoNextHop);
    }
    let link = Link { dst: mac_from_word(peer), src: mac_from_word(hop.own.load()) };
    rewrite::full_nat(packet, settings, segment, &flow.to(), &link)?;
    count_backend(tables, flow, |counters| {
        counters.packets_in.add(1);
        counters.bytes_in.add(length);
    });
    Ok(leave(packet, hop.interface.load()))
}

/// Whether a client begins anew with a tuple whose last flow is over.
#[inline(always)]
fn reopens<A: Address>(segment: &Segment<A>, hit: &Hit<'_, A>) -> bool {
    let state = hit.control.state();
    segment.flags & (SYN | ACK) == SYN && state.has(State::CLOSED) && !state.has(State::REPLY)
}

/// Frees both entries of a flow that is over.
#[inline(always)]
fn forget<A: Address, T: Tables>(tables: &T, hit: &Hit<'_, A>) {
    if let Some(partner) = hit.partner(tables) {
        // Where another CPU was faster, the entry is free or another flow's already.
        let _ours = partner.remove();
    }
    let _ours = hit.remove();
}

/// Replies go back to where the client's packets come from: notices when that has changed.
#[inline(always)]
fn learn<A: Address, T: Tables>(packet: &Packet<'_>, tables: &T, hit: &Hit<'_, A>) -> Result<(), Reason> {
    let frame = packet.header::<EthernetHeader>(0).ok_or(Reason::Malformed)?;
    let flow = &hit.flow;
    if flow.client_mac == frame.src && flow.own_mac == frame.dst && flow.interface == packet.interface() {
        return Ok(());
    }
    let moved = |flow: Flow<A>| Flow {
        client_mac: frame.src,
        own_mac: frame.dst,
        interface: packet.interface(),
        ..flow
    };
    if let Some(partner) = hit.partner(tables) {
        partner.replace(&moved(partner.flow));
    }
    hit.replace(&moved(hit.flow));
    Ok(())
}

#[inline(always)]
fn leave(packet: &Packet<'_>, interface: u32) -> Verdict {
    if interface == packet.interface() { Verdict::Tx } else { Verdict::Redirect(interface) }
}

#[inline(always)]
fn count_backend<A, T: Tables>(tables: &T, flow: &Flow<A>, count: impl FnOnce(&BackendCounters)) {
    if let Some(counters) = tables.backend_counters(u32::from(flow.backend)) {
        count(counters);
    }
}

#[inline(always)]
fn count<T: Tables>(tables: &T, verdict: Verdict) {
    let Some(counters) = tables.packet_counters() else { return };
    if let Some(counter) = counters.verdicts.get(verdict.index()) {
        counter.add(1);
    }
    if let Some(counter) = verdict.reason().and_then(|reason| counters.reasons.get(reason as usize)) {
        counter.add(1);
    }
}
