//! A flow table on the heap, and flows that are known by a number.

use crate::{
    address::{Address, Port, TCP, Tuple, V4},
    flow::{self, Bucket, Claim, Client, Flow, Hit, State},
    layout::Settings,
    link::Link,
    manner::Forwarding,
    memory::{Heap, Memory, Sizes, Worker},
    parse::{Part, Segment},
    quota,
    reason::Reason,
    room,
    shared::with_turns,
};

/// Backend of all flows here.
pub(super) const BACKEND: u32 = 1;

/// The time in most tests: about to wrap around, as a clock that is only ever compared may.
pub(super) const NOW: u32 = u32::MAX - 3;

/// Ticks of a second.
pub(super) const SECOND: u32 = 100;

/// Tables with so many buckets for IPv4 flows.
pub(super) fn heap(buckets: u32, workers: u32) -> Heap {
    let heap = Heap::new(&Sizes {
        backends: 2,
        buckets_v4: buckets,
        workers,
        flow_log: true,
        ..Sizes::LEAST
    });
    heap.memory().settings.seed.store(0x5eed);
    heap.memory().backends[BACKEND as usize].service.store(1);
    heap.memory().settings.second.store(SECOND);
    heap
}

/// What packets of client number `n` carry.
pub(super) fn key(n: u16) -> Tuple<V4> {
    Tuple {
        src: V4([192, 0, 2, 1]),
        dst: V4([198, 51, 100, 1]),
        src_port: Port::new(n),
        dst_port: Port::new(80),
    }
}

/// What they leave with: all of it a function of the number.
pub(super) fn translated(n: u16) -> Tuple<V4> {
    Tuple {
        src: V4([203, 0, 113, 1]),
        dst: V4([10, 0, 0, 1]),
        src_port: Port::new(n.rotate_left(5) ^ 0x5a5a),
        dst_port: Port::new(8080),
    }
}

/// Where that client is.
pub(super) fn client(n: u16) -> Client {
    let [high, low] = n.to_be_bytes();
    Client {
        interface: u32::from(n),
        link: Link::new([2, 1, 0, 0, high, low], [2, 0, 0, 0, high, low]),
    }
}

/// Opens flow number `n` as [`crate::open`] does: two claims, then the reply's entry, then the client's.
pub(super) fn open(worker: &Worker<'_>, settings: &Settings, n: u16, now: u32) -> Result<(), Reason> {
    let to = translated(n);
    if !flow::is_free(worker, settings, &to.reversed(), TCP, false)? {
        return Err(Reason::NoSourcePort);
    }
    let ours = claim(worker, settings, &key(n), now)?;
    let reply = match claim(worker, settings, &to.reversed(), now) {
        Ok(reply) => reply,
        Err(reason) => {
            ours.release::<V4, _>(worker);
            return Err(reason);
        }
    };
    publish(worker, n, ours, reply, now);
    Ok(())
}

/// Opens flow number `n` anew as [`crate::reopen`] does, in the entries that it has, if it is closed; says whether it did.
pub(super) fn reopen(worker: &Worker<'_>, settings: &Settings, n: u16, now: u32) -> bool {
    let Ok(Some(closed)) = flow::find(worker, settings, &key(n), TCP) else {
        return false;
    };
    if !closed.control.has(State::CLOSED) {
        return false;
    }
    let claims = closed.take_over(worker);
    claims
        .map(|(ours, reply)| publish(worker, n, ours, reply, now))
        .is_some()
}

/// Claims an entry, and makes room for it where there is none.
fn claim(worker: &Worker<'_>, settings: &Settings, key: &Tuple<V4>, now: u32) -> Result<Claim, Reason> {
    let claim = || flow::claim(worker, settings, key, TCP);
    claim().or_else(|reason| match reason {
        Reason::FlowTableFull if flow::make_room::<V4, _>(worker, now) => claim(),
        reason => Err(reason),
    })
}

fn publish(worker: &Worker<'_>, n: u16, ours: Claim, reply: Claim, now: u32) {
    use crate::Tables as _;

    let note = worker.note().unwrap();
    // In an instant: models are of the flow table.
    with_turns(false, || {
        let (settings, service) = (worker.settings().unwrap(), worker.service(0).unwrap());
        quota::enter(
            worker,
            settings,
            note,
            (1, service),
            quota::site(key(n).src),
            false,
        )
    })
    .expect("no limit is reached");
    let flow = Flow {
        forwarding: Forwarding::Translate,
        key: key(n),
        to: translated(n),
        protocol: TCP,
        backend: BACKEND,
        client: client(n),
        partner: reply.index,
        attempts: 0,
        counted: quota::counted(note),
        metered: false,
        cookie: 0,
    };
    room::enter(worker, worker.backend(BACKEND).unwrap()).expect("no limit is set");
    let places = (ours.index, reply.index);
    flow::begin::<V4, _>(worker, worker.settings().unwrap(), places, now);
    let answer = flow.reply(ours.index);
    reply.publish(worker, &answer, State::READY.with(State::REPLY), now);
    ours.publish(worker, &flow, State::READY, now);
    if let Some(counters) = worker.backend_counters(worker.settings().unwrap(), BACKEND) {
        counters.flows_opened.add(1);
    }
}

/// The entry of a key, which must be readable.
pub(super) fn find<'t>(worker: &'t Worker<'_>, settings: &Settings, key: &Tuple<V4>) -> Option<Hit<'t, V4>> {
    flow::find(worker, settings, key, TCP).unwrap()
}

/// A packet without data.
pub(super) fn segment(tuple: Tuple<V4>, flags: u8) -> Segment<V4> {
    Segment {
        tuple,
        protocol: TCP,
        ttl: 64,
        flags,
        ack: 0,
        network: 14,
        part: Part::WHOLE,
        offset: 34,
        length: 20,
        check: 0,
    }
}

/// Notes that a packet has come, if its flow is known.
pub(super) fn packet(worker: &Worker<'_>, settings: &Settings, tuple: Tuple<V4>, flags: u8) {
    let hit = find(worker, settings, &tuple).expect("the flow is there");
    flow::track(worker, &segment(tuple, flags), &hit);
}

/// Flows opened and closed, as all workers together have counted them.
pub(super) fn counted(memory: &Memory<'_>) -> (u64, u64) {
    memory
        .backend_counters
        .iter()
        .fold((0, 0), |(opened, closed), row| {
            (opened + row.flows_opened.load(), closed + row.flows_closed.load())
        })
}

/// Has flows counted among their source's.
pub(super) fn count_sources(memory: &Memory<'_>) {
    memory.services[0].source_flows.store(u32::MAX);
}

/// Active flows as sources have them counted.
pub(super) fn of_sources(memory: &Memory<'_>) -> u64 {
    let holders = memory.quotas.iter().flat_map(|bucket| &bucket.holders);
    holders.map(|holder| holder.load() & u64::from(u32::MAX)).sum()
}

/// Control words of all entries that are not free, with the entries' keys.
pub(super) fn entries<A: Address>(buckets: &[Bucket<A>]) -> Vec<(State, Tuple<A>)> {
    let entries = buckets.iter().flat_map(|bucket| &bucket.0);
    entries
        .map(|entry| (entry.control().state(), entry.key()))
        .filter(|(state, _)| *state != State::FREE)
        .collect()
}

/// Client entries that count as active.
pub(super) fn active(memory: &Memory<'_>) -> usize {
    let entries = entries(memory.buckets_v4);
    entries
        .iter()
        .filter(|(state, _)| state.has(State::READY) && !state.has(State::REPLY) && !state.has(State::CLOSED))
        .count()
}

/// Client entries that count as half-open.
pub(super) fn half_open(memory: &Memory<'_>) -> usize {
    let entries = entries(memory.buckets_v4);
    entries.iter().filter(|(state, _)| state.is_half_open()).count()
}
