//! Opening a flow to the backend that was chosen: source address, source port, an entry for each direction.

use crate::{
    address::{Address, Port, Tuple, V4, V6},
    flow::{self, Claim, Client, Flow, NO_PARTNER, State},
    hash,
    layout::{Backend, Note, Settings},
    link::Link,
    manner::{Forwarding, Manner},
    packet::Packet,
    parse::{self, Parse, Place},
    process::{Exit, Outcome, Stage, conclude},
    quota,
    reason::Reason,
    room, source,
    tables::Tables,
};

/// How many source ports are tried before a flow is refused.
pub(crate) const PORT_ATTEMPTS: u32 = 8;

/// How far the tries are apart: a prime, so that neighbouring clients' tries meet late.
pub(crate) const PORT_STEP: u32 = 4211;

/// Seed of the hash that places a client in the port pool; not that of the choice, lest the two correlate.
const PORT_SEED: u64 = 0x1d8e_4e27_c47d_124f;

/// Opens the flow of an IPv4 packet, after which its way goes on by it; else says what becomes of the packet.
#[inline(always)]
pub fn begin_v4<T: Tables>(packet: &mut Packet<'_>, tables: &T) -> Outcome {
    begin::<V4, T>(packet, tables)
}

/// The same for an IPv6 packet.
#[inline(always)]
pub fn begin_v6<T: Tables>(packet: &mut Packet<'_>, tables: &T) -> Outcome {
    begin::<V6, T>(packet, tables)
}

/// The stage that opens flows to a backend.
#[inline(always)]
pub(crate) fn stage<A: Address>(backend: &Backend) -> Stage {
    if backend.local.load() != 0 {
        Stage::BeginLocal
    } else if A::IS_V6 {
        Stage::BeginV6
    } else {
        Stage::BeginV4
    }
}

#[inline(always)]
fn begin<A: Parse, T: Tables>(packet: &Packet<'_>, tables: &T) -> Outcome {
    let opened = translate::<A, T>(packet, tables).map(|()| Stage::Follow);
    conclude(tables, Err(after_opening(tables, opened)))
}

/// Where a packet goes on whose flow is open, or is to be; or what becomes of it, whose flow then counts no more.
#[inline(always)]
pub(crate) fn after_opening<T: Tables>(tables: &T, opened: Result<Stage, Exit>) -> Exit {
    match opened {
        Ok(next) => Exit::To(next),
        // It comes back and is opened then.
        Err(exit @ Exit::To(Stage::MakeRoom)) => exit,
        Err(exit) => {
            quota::give_back(tables);
            exit
        }
    }
}

#[inline(always)]
fn translate<A: Parse, T: Tables>(packet: &Packet<'_>, tables: &T) -> Result<(), Exit> {
    let (key, protocol) = parse::noted_key::<A>(packet, Place::noted(tables)?)?;
    let settings = tables.settings().ok_or(Reason::NotReady)?;
    let backend = tables.note().ok_or(Reason::NotReady)?.backend.load();
    let record = tables.backend(backend).ok_or(Reason::NoBackend)?;
    let manner = Manner(record.manner.load());
    let forwarding = manner.forwarding();
    let to = if forwarding.sees_answers() {
        translation(tables, settings, (&key, protocol), record, manner)?
    } else {
        key
    };
    open(packet, tables, (key, protocol), forwarding, to)
}

/// Opens a flow to the backend that was chosen; its packets leave with `to`, if its answers come by here.
#[inline(always)]
pub(crate) fn open<A: Parse, T: Tables>(
    packet: &Packet<'_>,
    tables: &T,
    (key, protocol): (Tuple<A>, u8),
    forwarding: Forwarding,
    to: Tuple<A>,
) -> Result<(), Exit> {
    let settings = tables.settings().ok_or(Reason::NotReady)?;
    let note = tables.note().ok_or(Reason::NotReady)?;
    let record = tables.backend(note.backend.load()).ok_or(Reason::NoBackend)?;
    let link = Link::of(packet).ok_or(Reason::Malformed)?;
    let now = tables.now();
    let client =
        flow::claim::<A, T>(tables, settings, &key, protocol).map_err(|reason| unclaimed(note, reason))?;
    let (reply, to) = if forwarding.sees_answers() {
        match flow::claim::<A, T>(tables, settings, &to.reversed(), protocol) {
            Ok(reply) => (reply, to),
            Err(reason) => {
                client.release::<A, T>(tables);
                return Err(unclaimed(note, reason));
            }
        }
    } else {
        // Not before the claim: the verifier would follow that once more for each way to here.
        match outside(tables, settings, (&key, protocol), record) {
            Ok(to) => (Claim { index: NO_PARTNER }, to),
            Err(reason) => {
                client.release::<A, T>(tables);
                return Err(reason.into());
            }
        }
    };
    let from = Client {
        interface: packet.interface(),
        link,
    };
    let flow = noted(note, from, (key, to), (protocol, forwarding), reply.index);
    publish(tables, settings, record, &flow, client, now)
}

/// The flow that a packet from `client` opens, as far as it is noted.
#[inline(always)]
pub(crate) fn noted<A: Address>(
    note: &Note,
    client: Client,
    (key, to): (Tuple<A>, Tuple<A>),
    (protocol, forwarding): (u8, Forwarding),
    partner: u32,
) -> Flow<A> {
    Flow {
        key,
        to,
        protocol,
        forwarding,
        backend: note.backend.load(),
        client,
        partner,
        attempts: (note.attempts.load() & 0xff) as u8,
        counted: quota::counted(note),
        metered: note.meters.load() != 0,
        cookie: note.cookie.load(),
    }
}

/// Publishes a flow in the entries that are claimed for it, which its packets then go by; and counts it.
#[inline(always)]
pub(crate) fn publish<A: Address, T: Tables>(
    tables: &T,
    settings: &Settings,
    record: &Backend,
    flow: &Flow<A>,
    client: Claim,
    now: u32,
) -> Result<(), Exit> {
    // Where there is none, there is no entry to publish either.
    let reply = Claim { index: flow.partner };
    if room::enter(tables, record).is_err() {
        // Another CPU took the last place: who has room is asked anew.
        client.release::<A, T>(tables);
        reply.release::<A, T>(tables);
        return Err(Exit::To(Stage::Choose));
    }
    flow::begin::<A, T>(tables, settings, (client.index, reply.index), now);
    reply.publish(
        tables,
        &flow.reply(client.index),
        State::READY.with(State::REPLY),
        now,
    );
    client.publish(tables, flow, State::READY, now);
    if let Some(counters) = tables.backend_counters(settings, flow.backend) {
        counters.flows_opened.add(1);
    }
    Ok(())
}

/// What the packets of a flow leave with whose answers do not come by here: what they carry; or, where they travel within
/// others of their family, the addresses outside.
#[inline(always)]
fn outside<A: Address, T: Tables>(
    tables: &T,
    settings: &Settings,
    (key, protocol): (&Tuple<A>, u8),
    record: &Backend,
) -> Result<Tuple<A>, Reason> {
    let manner = Manner(record.manner.load());
    if manner.forwarding() != Forwarding::Encapsulate || manner.outer_is_v6() != A::IS_V6 {
        return Ok(*key);
    }
    let hash = flow::tag(settings, key, protocol);
    Ok(Tuple {
        src: source::pick(tables, record, hash)?,
        dst: A::stored(&record.address),
        ..*key
    })
}

/// Where a packet goes on whose flow got no entry: where none is free, room is made, once for each direction's.
#[inline(always)]
fn unclaimed(note: &Note, reason: Reason) -> Exit {
    let rooms = note.rooms.load();
    if reason != Reason::FlowTableFull || rooms == 2 {
        return reason.into();
    }
    note.rooms.store(rooms.wrapping_add(1));
    Exit::To(Stage::MakeRoom)
}

/// What the flow's packets leave with: the backend's address and port, and a source address and port that no
/// other flow to it has, or else the client's own. That no two flows share a source port is the same as that no two entries share a key.
#[inline(always)]
fn translation<A: Address, T: Tables>(
    tables: &T,
    settings: &Settings,
    (key, protocol): (&Tuple<A>, u8),
    backend: &Backend,
    manner: Manner,
) -> Result<Tuple<A>, Reason> {
    let hash = client_hash(key, settings.seed.load());
    let src = source(tables, (key, hash), backend, manner)?;
    let dst = A::stored(&backend.address);
    let dst_port = Port(backend.port.load().to_ne_bytes());
    // The client's own port moves us through the pool (RFC 6056 3.3.3: an offset by hash plus a counter, and
    // the client counts for us). A client that reuses a port meets the same backend with the same source port,
    // so that its sequence numbers and timestamps go on rising there (RFC 6191).
    let first = (hash::low(hash) & 0xffff).wrapping_add(u32::from(key.src_port.number()));
    // First a port that no flow has; where there is none, that of one that is over but lingers.
    for lingering in [false, true] {
        let mut position = first;
        for _ in 0..PORT_ATTEMPTS {
            let src_port = if manner.keeps_client() {
                key.src_port
            } else {
                port(settings, position).ok_or(Reason::NoSourcePort)?
            };
            let to = Tuple {
                src,
                dst,
                src_port,
                dst_port,
            };
            if flow::is_free(tables, settings, &to.reversed(), protocol, lingering)? {
                return Ok(to);
            }
            if manner.keeps_client() {
                break;
            }
            position = position.wrapping_add(PORT_STEP);
        }
    }
    Err(if manner.keeps_client() {
        Reason::ClientPortTaken
    } else {
        Reason::NoSourcePort
    })
}

/// The address that a client's packets leave with, by a hash of the client.
#[inline(always)]
pub(crate) fn source<A: Address, T: Tables>(
    tables: &T,
    (key, hash): (&Tuple<A>, u64),
    backend: &Backend,
    manner: Manner,
) -> Result<A, Reason> {
    if manner.keeps_client() {
        Ok(key.src)
    } else {
        source::pick(tables, backend, hash::high(hash))
    }
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
pub(crate) fn client_hash<A: Address>(key: &Tuple<A>, seed: u64) -> u64 {
    Tuple {
        src_port: Port::default(),
        ..*key
    }
    .hash(seed ^ PORT_SEED)
}
