//! Ending a flow before its time: it leaves the table, and both its ends are told at once.
//!
//! Each entry knows the last acknowledgement number that came from its end, which is the sequence number that this end
//! expects next: all that a RST needs to be believed. While segments are on their way an end may be ahead of that; then
//! it speaks itself, and what it says is answered with RST as that of any connection that is not known.

use std::net::SocketAddr;

use lb_common::{
    Address, V4, V6,
    address::TCP,
    flow::{self, Bucket, ENTRIES, Entry, Hit, State, Why},
    layout,
    manner::Forwarding,
    memory::{Memory, Worker},
};

use super::{
    Clock, FlowId, Killed, Names,
    read::{Found, Reader, ends, first_of_v6},
    segment::{Say, Shot, Way, segment},
};

/// A flow that was ended, and what is to be sent to its ends.
#[derive(Debug)]
pub struct Kill {
    /// What to say of it.
    pub killed: Killed,
    /// To the client, if it is to be told.
    pub to_client: Option<Shot>,
    /// To the backend.
    pub to_backend: Option<Shot>,
}

/// A flow cannot be ended.
#[derive(Debug, thiserror::Error)]
pub enum KillError {
    /// It is not in the table.
    #[error(
        "there is no flow {0}: it may be over, or have another id since its client's way changed; `ballast flow list` \
             shows those there are"
    )]
    NoFlow(FlowId),
    /// The engine has no clock.
    #[error("cannot read the flow table's clock: {0}")]
    Clock(String),
}

/// Ends a flow, counted as worker `worker` of the tables.
pub fn kill(
    memory: &Memory<'_>,
    worker: u32,
    clock: Clock,
    names: &Names,
    id: FlowId,
) -> Result<Kill, KillError> {
    let reader = Reader { memory, clock, names };
    let tables = Worker::new(*memory, worker as usize, clock.now);
    let base = first_of_v6(memory);
    let killed = match id.position.checked_sub(base) {
        None => one::<V4>(&reader, &tables, memory.buckets_v4, id.position, id),
        Some(position) => one::<V6>(&reader, &tables, memory.buckets_v6, position, id),
    };
    killed.ok_or(KillError::NoFlow(id))
}

/// Ends the flow whose client's entry stands at a position of its family's table.
fn one<A: Address>(
    reader: &Reader<'_>,
    tables: &Worker<'_>,
    buckets: &[Bucket<A>],
    position: u64,
    id: FlowId,
) -> Option<Kill> {
    let index = u32::try_from(position).ok()?;
    let bucket = buckets.get(index as usize / ENTRIES)?;
    let entry = bucket.0.get(index as usize % ENTRIES)?;
    let found = reader.read(entry, index)?;
    if found.control.generation() != id.generation {
        return None;
    }
    let hit = Hit::at(entry, index);
    if hit.control != found.control {
        return None;
    }
    let expected = Expected {
        by_client: expected(entry),
        by_backend: hit.partner(tables).map(|reply| expected(reply.entry)),
    };
    let mut kill = Kill {
        killed: Killed {
            flow: reader.document(id.position, &found),
            client_reset: false,
            backend_reset: false,
        },
        to_client: None,
        to_backend: None,
    };
    // The client's answer to a backend that is asked who it speaks to passes by the flow.
    let ended = if found.flow.forwarding.sees_answers() {
        hit.end(tables, Why::Killed)
    } else {
        flow::log(tables, &hit, Why::Killed);
        hit.is_current()
    };
    if !ended {
        return None;
    }
    if found.flow.protocol == TCP && !found.control.state().has(State::CLOSED) {
        kill.to_client = to_client(&found, expected);
        kill.to_backend = to_backend(reader, &found, expected);
    }
    Some(kill)
}

/// The sequence numbers that the ends expect next: 0 of one that has acknowledged nothing yet.
#[derive(Debug, Clone, Copy)]
struct Expected {
    by_client: u32,
    /// None where answers are not seen.
    by_backend: Option<u32>,
}

/// The sequence number that the sender of an entry's packets expects next.
fn expected<A: Address>(entry: &Entry<A>) -> u32 {
    u32::from_be_bytes(entry.ack.load().to_ne_bytes())
}

fn to_client<A: Address>(found: &Found<A>, expected: Expected) -> Option<Shot> {
    let client = found.flow.client;
    let way = Way::Out {
        interface: client.interface,
        to: client.link.src(),
        from: client.link.dst(),
    };
    let (client, virtual_address) = ends(&found.flow.key);
    let say = Say::Reset {
        seq: expected.by_client,
        ack: expected.by_backend.unwrap_or_default(),
    };
    segment(way, virtual_address, client, say)
}

fn to_backend<A: Address>(reader: &Reader<'_>, found: &Found<A>, expected: Expected) -> Option<Shot> {
    let (from, to) = ends(&found.flow.to);
    let record = reader.memory.backends.get(found.flow.backend as usize)?;
    match found.flow.forwarding {
        Forwarding::Translate => reset_backend(way_to(record)?, from, to, expected),
        Forwarding::Local => reset_backend(Way::Here, from, to, expected),
        Forwarding::Direct => segment(way_to(record)?, from, to, Say::Challenge),
        // It hears of it from its client, which is reset.
        Forwarding::Encapsulate => None,
    }
}

/// None for a backend that has said nothing yet.
fn reset_backend(way: Way, from: SocketAddr, to: SocketAddr, expected: Expected) -> Option<Shot> {
    let seq = expected.by_backend.filter(|seq| *seq != 0)?;
    let ack = expected.by_client;
    segment(way, from, to, Say::Reset { seq, ack })
}

/// The way to a backend that is not on this host.
fn way_to(record: &layout::Backend) -> Option<Way> {
    let word = record.hop.load();
    let hop = &record.hops[(word & layout::Backend::HOP) as usize];
    (word & layout::Backend::KNOWN != 0).then(|| Way::Out {
        interface: hop.interface.load(),
        to: hop.link().dst(),
        from: hop.link().src(),
    })
}
