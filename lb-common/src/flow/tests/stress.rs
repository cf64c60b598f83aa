//! Real threads on one small table: no key twice, nothing torn, every flow counted once.

use std::{
    cell::Cell,
    collections::HashSet,
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use proptest::{
    prelude::RngExt as _,
    test_runner::{RngAlgorithm, TestRng},
};

use super::fixture::{active, client, counted, entries, heap, key, open, segment, translated};
use crate::{
    address::{TCP, V4},
    flow::{self, Client, Hit, Limits, State},
    memory::{Memory, Worker},
    wire::{ACK, FIN, RST, SYN},
};

const THREADS: usize = 4;
/// Few buckets and about as many flows as fit, so that threads meet and tables run full.
const BUCKETS: u32 = 8;
const FLOWS: u16 = 24;
const STEPS: u32 = 2000;
const LASTS: Duration = Duration::from_secs(2);

/// Marks in a client's MAC address that it has moved; the rest says which flow it belongs to.
const MOVED: u8 = 0x80;

#[test]
fn four_threads_leave_a_table_that_is_consistent_whenever_they_rest() {
    let heap = heap(BUCKETS, THREADS.try_into().unwrap());
    let (barrier, over, hits) = (Barrier::new(THREADS), AtomicBool::new(false), AtomicU64::new(0));
    let deadline = Instant::now() + LASTS;
    let memory = heap.memory();
    thread::scope(|scope| {
        for number in 0..THREADS {
            let (barrier, over, hits) = (&barrier, &over, &hits);
            scope.spawn(move || {
                let mut thread = Thread::new(memory, number);
                while !over.load(Ordering::SeqCst) {
                    for _ in 0..STEPS {
                        thread.step();
                    }
                    // All rest while one of them looks.
                    if barrier.wait().is_leader() {
                        assert_consistent(&memory);
                        over.store(Instant::now() > deadline, Ordering::SeqCst);
                    }
                    barrier.wait();
                }
                hits.fetch_add(thread.hits.get(), Ordering::SeqCst);
            });
        }
    });
    let (opened, closed) = counted(&memory);
    println!(
        "{opened} flows opened, {closed} closed, {} found",
        hits.into_inner()
    );
    assert!(
        closed > 1000,
        "the test did nothing: {opened} opened, {closed} closed"
    );
}

fn assert_consistent(memory: &Memory<'_>) {
    let entries = entries(memory.buckets_v4);
    let keys: HashSet<_> = entries.iter().map(|(_, key)| format!("{key:?}")).collect();
    assert_eq!(keys.len(), entries.len(), "a key is there twice: {entries:?}");
    assert!(
        entries.iter().all(|(state, _)| state.has(State::READY)),
        "a claim was forgotten: {entries:?}"
    );
    assert_eq!(
        led_apart(memory),
        0,
        "both directions go by one way to the client"
    );
    let (opened, closed) = counted(memory);
    assert_eq!(
        opened - closed,
        active(memory) as u64,
        "{opened} opened, {closed} closed"
    );
}

/// Flows whose two entries know different ways to the client.
fn led_apart(memory: &Memory<'_>) -> usize {
    let worker = Worker::new(*memory, 0, 0);
    let apart = |n: &u16| {
        let client = |key| {
            flow::find(&worker, memory.settings, &key, TCP)
                .ok()
                .flatten()
                .map(|hit| hit.entry.client())
        };
        let (ours, reply) = (client(key(*n)), client(translated(*n).reversed()));
        ours.is_some() && reply.is_some() && ours != reply
    };
    (0..FLOWS).filter(apart).count()
}

struct Thread<'m> {
    memory: Memory<'m>,
    worker: Worker<'m>,
    random: TestRng,
    now: u32,
    hits: Cell<u64>,
}

impl<'m> Thread<'m> {
    fn new(memory: Memory<'m>, number: usize) -> Self {
        let mut seed = [7; 32];
        seed[0] = number.try_into().unwrap();
        Self {
            memory,
            worker: Worker::new(memory, number, 0),
            random: TestRng::from_seed(RngAlgorithm::ChaCha, &seed),
            now: 0,
            hits: Cell::new(0),
        }
    }

    /// One of the things that packets and the daemon do to a table.
    fn step(&mut self) {
        let (action, n) = (self.below(16), self.below(FLOWS.into()).try_into().unwrap());
        self.now += self.below(2);
        self.worker.set_now(self.now);
        let reply = action % 2 == 1;
        match action {
            // Refused where the flow is there, another thread is at it or the table is full.
            0..6 => drop(open(&self.worker, self.memory.settings, n, self.now)),
            6..8 => self.packet(n, reply, if reply { SYN | ACK } else { ACK }),
            8..12 => self.packet(n, reply, FIN | ACK),
            12..14 => self.packet(n, reply, RST),
            14 => self.moves(n),
            _ => self.sweep(),
        }
    }

    /// A packet comes: its flow's entry is read and changed as the packet path does it.
    fn packet(&mut self, n: u16, reply: bool, flags: u8) {
        let Some(hit) = self.find(n, reply) else { return };
        let tuple = if reply { translated(n).reversed() } else { key(n) };
        flow::track(&self.worker, &segment(tuple, flags), &hit);
        if hit.control.state().has(State::CLOSED) && flags & RST != 0 {
            hit.end(&self.worker);
        }
    }

    /// A client's packet comes from somewhere else.
    fn moves(&mut self, n: u16) {
        let moved = self.below(2) == 1;
        let Some(hit) = self.find(n, false) else { return };
        hit.follow(&self.worker, &place(n, moved));
    }

    fn sweep(&mut self) {
        let bucket = self.below(BUCKETS);
        let limits = Limits {
            established: 40,
            half_open: 20,
            closed: 10,
        };
        flow::sweep::<V4, _>(&self.worker, bucket, self.now, |_| limits);
    }

    /// Finds an entry and checks that all of it belongs together.
    fn find(&self, n: u16, reply: bool) -> Option<Hit<'_, V4>> {
        let (sent, leaves) = if reply {
            (translated(n).reversed(), key(n).reversed())
        } else {
            (key(n), translated(n))
        };
        let found = flow::find(&self.worker, self.memory.settings, &sent, TCP);
        let hit = found.ok()??;
        let flow = hit.entry.flow();
        if hit.is_current() {
            self.hits.set(self.hits.get() + 1);
            assert_eq!((flow.key, flow.to), (sent, leaves));
            assert!(
                [place(n, false), place(n, true)].contains(&flow.client),
                "{flow:?}"
            );
        }
        Some(hit)
    }

    fn below(&mut self, bound: u32) -> u32 {
        self.random.random_range(0..bound)
    }
}

/// Where client `n` is, before or after it has moved: every field tells which.
fn place(n: u16, moved: bool) -> Client {
    let mut client = client(n);
    if moved {
        client.interface |= 1 << 31;
        client.mac[1] |= MOVED;
        client.own_mac[1] |= MOVED;
    }
    client
}
