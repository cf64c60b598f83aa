//! One of several threads that do to a table what packets and the daemon do, and check all that they read: on real
//! threads in [`super::stress`], turn by turn in [`super::model`].

use std::cell::Cell;

use proptest::{
    prelude::RngExt as _,
    test_runner::{RngAlgorithm, TestRng},
};

use super::{
    clock::Clock,
    fixture::{
        active, client, counted, entries, find, half_open, key, open, packet, reopen, segment, translated,
    },
};
use crate::{
    address::{TCP, Tuple, V4},
    flow::{self, Client, Hit, Limits, State, Why},
    link::Link,
    memory::{Memory, Worker},
    reason::Reason,
    wire::{ACK, FIN, RST, SYN},
};

/// Numbers of flows that all actors open, use and end; further ones are one actor's own.
pub(super) const SHARED: u16 = 24;

/// After how many ticks a flow goes.
pub(super) const LIMITS: Limits = Limits {
    established: 600,
    half_open: 20,
    closed: 10,
};

/// Marks in a client's MAC address that it has moved; the rest says which flow it belongs to.
const MOVED: u8 = 0x80;

/// What an actor is made of.
pub(super) struct Role {
    /// Which worker it is.
    pub(super) number: u16,
    /// For its choices.
    pub(super) seed: u64,
    /// How many of the shared flows it knows.
    pub(super) flows: u16,
    /// Whether it has a flow of its own whose packets never cease.
    pub(super) keeps: bool,
    /// How many ticks it lets pass at most with each step.
    pub(super) pace: u32,
}

/// One of several threads.
pub(super) struct Actor<'m> {
    memory: Memory<'m>,
    worker: Worker<'m>,
    clock: &'m Clock,
    role: Role,
    random: TestRng,
    hits: Cell<u64>,
}

impl<'m> Actor<'m> {
    /// An actor whose own flow is established.
    pub(super) fn new(memory: &Memory<'m>, clock: &'m Clock, role: Role) -> Self {
        let mut seed = [7; 32];
        seed[..8].copy_from_slice(&role.seed.to_le_bytes());
        let actor = Self {
            memory: *memory,
            worker: Worker::new(*memory, role.number.into(), 0),
            clock,
            role,
            random: TestRng::from_seed(RngAlgorithm::ChaCha, &seed),
            hits: Cell::new(0),
        };
        if actor.role.keeps {
            let (kept, settings) = (actor.kept(), memory.settings);
            open(&actor.worker, settings, kept, actor.read_clock()).unwrap();
            packet(&actor.worker, settings, translated(kept).reversed(), SYN | ACK);
            packet(&actor.worker, settings, key(kept), ACK);
            actor.clock.rest(actor.role.number);
        }
        actor
    }

    /// Entries that it has found and read.
    pub(super) fn hits(&self) -> u64 {
        self.hits.get()
    }

    /// One of the things that packets and the daemon do to a table.
    pub(super) fn step(&mut self) {
        if self.role.keeps {
            self.keep();
        }
        let (action, n) = (self.below(19), self.below(self.role.flows.into()));
        let n = n.try_into().unwrap();
        let now = self.read_clock();
        let reply = action % 2 == 1;
        match action {
            // Refused where the flow is there, another actor is at it or the table is full.
            0..6 => drop(open(&self.worker, self.memory.settings, n, now)),
            6..8 => self.packet(n, reply, if reply { SYN | ACK } else { ACK }),
            8..12 => self.packet(n, reply, FIN | ACK),
            12..14 => self.packet(n, reply, RST),
            14 => self.moves(n),
            15 => self.sweep(now),
            16..18 => drop(reopen(&self.worker, self.memory.settings, n, now)),
            _ => self.opens_its_own(now),
        }
        self.clock.rest(self.role.number);
    }

    /// The next packet of the flow whose packets never cease, and then the time until the one after it.
    fn keep(&mut self) {
        let (n, reply) = (self.kept(), self.below(2) == 1);
        self.read_clock();
        let Ok(found) = self.look_up(n, reply) else { return };
        assert!(found.is_some(), "an active flow is lost");
        self.packet(n, reply, ACK);
        if self.below(4) == 0 {
            self.moves(n);
        }
        let ticks = self.below(self.role.pace + 1);
        self.clock.pass(ticks);
    }

    /// Opens a flow that nobody else knows: it has to stay until it is too old for one that nobody answers, or as old as what
    /// was on its way before it.
    fn opens_its_own(&mut self, now: u32) {
        let n = SHARED + 2 * self.role.number;
        let behind = self.clock.behind(now);
        if open(&self.worker, self.memory.settings, n, now).is_ok() {
            for reply in [false, true] {
                let lost = matches!(self.look_up(n, reply), Ok(None));
                let age = behind + self.clock.now().wrapping_sub(now);
                assert!(!lost || age >= LIMITS.half_open, "a young flow is lost");
            }
        }
        self.packet(n, false, RST);
    }

    /// A packet comes: its flow's entry is read and changed as the packet path does it.
    fn packet(&self, n: u16, reply: bool, flags: u8) {
        let Ok(Some(hit)) = self.look_up(n, reply) else {
            return;
        };
        let (sent, _) = tuples(n, reply);
        flow::track(&self.worker, &segment(sent, flags), &hit);
        if hit.control.state().has(State::CLOSED) && flags & RST != 0 {
            hit.end(&self.worker, Why::Over);
        }
    }

    /// A client's packet comes from somewhere else.
    fn moves(&mut self, n: u16) {
        let moved = self.below(2) == 1;
        if let Ok(Some(hit)) = self.look_up(n, false) {
            hit.follow(&self.worker, &place(n, moved));
        }
    }

    fn sweep(&mut self, now: u32) {
        let buckets = self.memory.buckets_v4.len().try_into().unwrap();
        let bucket = self.below(buckets);
        flow::sweep::<V4, _>(&self.worker, bucket, now, |_| LIMITS);
    }

    /// Finds an entry and checks that all of it belongs together.
    fn look_up(&self, n: u16, reply: bool) -> Result<Option<Hit<'_, V4>>, Reason> {
        let (sent, leaves) = tuples(n, reply);
        let Some(hit) = flow::find(&self.worker, self.memory.settings, &sent, TCP)? else {
            return Ok(None);
        };
        let flow = hit.entry.flow();
        if hit.is_current() {
            self.hits.set(self.hits.get() + 1);
            assert_eq!((flow.key, flow.to), (sent, leaves));
            assert!(
                [place(n, false), place(n, true)].contains(&flow.client),
                "{flow:?}"
            );
        }
        Ok(Some(hit))
    }

    fn kept(&self) -> u16 {
        SHARED + 2 * self.role.number + 1
    }

    fn read_clock(&self) -> u32 {
        let now = self.clock.begin(self.role.number);
        self.worker.set_now(now);
        now
    }

    fn below(&mut self, bound: u32) -> u32 {
        self.random.random_range(0..bound)
    }
}

/// What packets of a direction carry and leave with.
fn tuples(n: u16, reply: bool) -> (Tuple<V4>, Tuple<V4>) {
    if reply {
        (translated(n).reversed(), key(n).reversed())
    } else {
        (key(n), translated(n))
    }
}

/// Where client `n` is, before or after it has moved: every field tells which.
fn place(n: u16, moved: bool) -> Client {
    let mut client = client(n);
    if moved {
        client.interface |= 1 << 31;
        let [dst, src] = [client.link.dst(), client.link.src()].map(|mut mac| {
            mac[1] |= MOVED;
            mac
        });
        client.link = Link::new(dst, src);
    }
    client
}

/// What holds at every moment: no key has two entries.
pub(super) fn assert_no_key_twice(memory: &Memory<'_>) {
    let entries = entries(memory.buckets_v4);
    let ready = entries.iter().filter(|(state, _)| state.has(State::READY));
    let keys: Vec<_> = ready.map(|(_, key)| key).collect();
    for (place, key) in keys.iter().enumerate() {
        assert!(!keys[..place].contains(key), "a key is there twice: {entries:?}");
    }
}

/// What holds whenever all actors rest.
pub(super) fn assert_consistent(memory: &Memory<'_>) {
    assert_no_key_twice(memory);
    let entries = entries(memory.buckets_v4);
    assert!(
        entries.iter().all(|(state, _)| state.has(State::READY)),
        "a claim was forgotten: {entries:?}"
    );
    for (state, key) in &entries {
        if !state.has(State::REPLY) {
            assert_has_reply(memory, key);
        }
    }
    let (opened, closed) = counted(memory);
    assert_eq!(
        opened - closed,
        active(memory) as u64,
        "{opened} opened, {closed} closed"
    );
    assert_eq!(memory.services[0].half_open.load(), half_open(memory) as u64);
}

/// A client's entry has a reply's, and both know the same way to the client. (A reply's entry may be left over: it
/// does no harm and is swept.)
fn assert_has_reply(memory: &Memory<'_>, key: &Tuple<V4>) {
    let worker = Worker::new(*memory, 0, 0);
    let ours = find(&worker, memory.settings, key).expect("the entry is there");
    let reply = ours.partner(&worker).expect("a client's entry has a partner");
    assert!(reply.control.state().has(State::REPLY));
    assert_eq!(ours.entry.flow().client, reply.entry.flow().client);
}
