//! Opening a flow to the backend that was chosen: source address, source port, two entries.

use crate::{
    address::{Address, AddressCell, Port, Tuple, V4, V6},
    flow::{self, Client, Flow, Forwarding, State},
    hash,
    layout::{Backend, Settings, Span},
    packet::Packet,
    parse::{self, Network, Parse, Segment},
    process::{Exit, Outcome, Stage, conclude},
    reason::Reason,
    tables::Tables,
    wire::EthernetHeader,
};

/// How many source ports are tried before a flow is refused.
pub(crate) const PORT_ATTEMPTS: u32 = 8;

/// How far the tries are apart: a prime, so that neighbouring clients' tries meet late.
pub(crate) const PORT_STEP: u32 = 4211;

/// Seed of the hash that places a client in the port pool; not that of the choice, lest the two correlate.
const PORT_SEED: u64 = 0x1d8e_4e27_c47d_124f;

/// Opens a packet's flow, after which its way goes on by it; else says what becomes of the packet.
#[inline(always)]
pub fn begin<T: Tables>(packet: &mut Packet<'_>, tables: &T) -> Outcome {
    let opened = match parse::network(packet) {
        Ok(Network::V4) => translate::<V4, T>(packet, tables),
        Ok(Network::V6) => translate::<V6, T>(packet, tables),
        Err(reason) => Err(reason),
    };
    let next = opened.map_or_else(Exit::Refused, |()| Exit::To(Stage::Follow));
    conclude(tables, Err(next))
}

#[inline(always)]
fn translate<A: Parse, T: Tables>(packet: &Packet<'_>, tables: &T) -> Result<(), Reason> {
    let segment = &A::parse(packet)?;
    let settings = tables.settings().ok_or(Reason::NotReady)?;
    let backend = tables.note().ok_or(Reason::NotReady)?.backend.load();
    let to = translation(tables, settings, segment, backend)?;
    open(packet, tables, segment, backend, Forwarding::Translate, to)
}

/// Opens a flow whose packets leave with `to`.
#[inline(always)]
pub(crate) fn open<A: Parse, T: Tables>(
    packet: &Packet<'_>,
    tables: &T,
    segment: &Segment<A>,
    backend: u32,
    forwarding: Forwarding,
    to: Tuple<A>,
) -> Result<(), Reason> {
    let settings = tables.settings().ok_or(Reason::NotReady)?;
    let frame = packet.header::<EthernetHeader>(0).ok_or(Reason::Malformed)?;
    let now = tables.now();
    let client = flow::claim::<A, T>(tables, &segment.tuple, segment.protocol, now)?;
    let reply = match flow::claim::<A, T>(tables, &to.reversed(), segment.protocol, now) {
        Ok(reply) => reply,
        Err(reason) => {
            client.release::<A, T>(tables);
            return Err(reason);
        }
    };
    let protocol = segment.protocol;
    let flow = Flow {
        key: segment.tuple,
        to,
        protocol,
        forwarding,
        backend,
        client: Client {
            interface: packet.interface(),
            mac: frame.src,
            own_mac: frame.dst,
        },
        partner: reply.index,
    };
    reply.publish(
        tables,
        &flow.reply(client.index),
        State::READY.with(State::REPLY),
        now,
    );
    client.publish(tables, &flow, State::READY, now);
    if let Some(counters) = tables.backend_counters(settings, backend) {
        counters.flows_opened.add(1);
    }
    Ok(())
}

/// What the flow's packets leave with: the backend's address and port, and a source address and port that no
/// other flow to it has. That no two flows share a source port is the same as that no two entries share a key.
#[inline(always)]
fn translation<A: Address, T: Tables>(
    tables: &T,
    settings: &Settings,
    segment: &Segment<A>,
    backend: u32,
) -> Result<Tuple<A>, Reason> {
    let backend = tables.backend(backend).ok_or(Reason::NoBackend)?;
    let hash = client_hash(segment, settings.seed.load());
    let src = source(tables, backend, hash)?;
    let dst = A::from_mapped(AddressCell::<V6>::load(&backend.address));
    let dst_port = Port(backend.port.load().to_ne_bytes());
    // The client's own port moves us through the pool (RFC 6056 3.3.3: an offset by hash plus a counter, and
    // the client counts for us). A client that reuses a port meets the same backend with the same source port,
    // so that its sequence numbers and timestamps go on rising there (RFC 6191).
    let first = (hash::low(hash) & 0xffff).wrapping_add(u32::from(segment.tuple.src_port.number()));
    // First a port that no flow has; where there is none, that of one that is over but lingers.
    for lingering in [false, true] {
        let mut position = first;
        for _ in 0..PORT_ATTEMPTS {
            let src_port = port(settings, position).ok_or(Reason::NoSourcePort)?;
            let to = Tuple {
                src,
                dst,
                src_port,
                dst_port,
            };
            if flow::is_free(tables, settings, &to.reversed(), segment.protocol, lingering)? {
                return Ok(to);
            }
            position = position.wrapping_add(PORT_STEP);
        }
    }
    Err(Reason::NoSourcePort)
}

/// The port at a position of the pool.
#[inline(always)]
pub(crate) fn port(settings: &Settings, position: u32) -> Option<Port> {
    let offset = position.checked_rem(u32::from(settings.pool_count.load()))?;
    let number = u32::from(settings.pool_first.load()).wrapping_add(offset);
    Some(Port::new((number & 0xffff) as u16))
}

/// A hash of the client's address and the virtual one, without the client's port.
#[inline(always)]
fn client_hash<A: Address>(segment: &Segment<A>, seed: u64) -> u64 {
    Tuple {
        src_port: Port::default(),
        ..segment.tuple
    }
    .hash(segment.protocol, seed ^ PORT_SEED)
}

/// One of the backend's source addresses, always the same for the same client.
#[inline(always)]
fn source<A: Address, T: Tables>(tables: &T, backend: &Backend, hash: u64) -> Result<A, Reason> {
    let sources = Span::from_word(backend.sources.load());
    let offset = hash::high(hash)
        .checked_rem(sources.count)
        .ok_or(Reason::NoSource)?;
    let source = tables
        .source(sources.first.wrapping_add(offset))
        .ok_or(Reason::NoSource)?;
    Ok(A::from_mapped(AddressCell::<V6>::load(&source.address)))
}
