//! The flow table: any order of opening, packets, endings, sweeps and time.
#![no_main]

use lb_common::{
    Port, Reason, Segment, Tuple, V4,
    address::TCP,
    flow::{self, Claim, Client, Flow, Limits, State, Why},
    link::Link,
    manner::Forwarding,
    memory::{Heap, Sizes, Worker},
    parse::Part,
    wire::{ACK, FIN, RST, SYN},
};

/// Few enough for evictions to be common.
const BUCKETS: u32 = 8;

const SECOND: u32 = 100;

libfuzzer_sys::fuzz_target!(|orders: Vec<(u8, u8)>| {
    let heap = Heap::new(&Sizes {
        buckets_v4: BUCKETS,
        ..Sizes::LEAST
    });
    heap.memory().settings.second.store(SECOND);
    let mut table = Table {
        worker: Worker::new(heap.memory(), 0, 0),
        heap: &heap,
        now: 0,
    };
    for (order, number) in orders {
        table.obey(order, number);
        table.check();
    }
    table.pass(u32::MAX / 4);
    table.sweep();
    assert_eq!(table.entries().count(), 0, "all flows are over");
});

struct Table<'h> {
    heap: &'h Heap,
    worker: Worker<'h>,
    now: u32,
}

impl Table<'_> {
    fn obey(&mut self, order: u8, number: u8) {
        match order % 8 {
            0..3 => {
                let _ = self.open(number);
            }
            3 => self.packet(key(number), order),
            4 => self.packet(translated(number).reversed(), order),
            5 => {
                let settings = self.heap.memory().settings;
                if let Ok(Some(hit)) = flow::find(&self.worker, settings, &key(number), TCP) {
                    assert!(hit.end(&self.worker, Why::Killed), "nobody else is here");
                }
            }
            6 => self.pass(u32::from(number)),
            _ => self.sweep(),
        }
    }

    /// Opens a flow as the packet path does.
    fn open(&self, number: u8) -> Result<(), Reason> {
        let (worker, to) = (&self.worker, translated(number));
        let ours = self.claim(&key(number))?;
        let reply = match self.claim(&to.reversed()) {
            Ok(reply) => reply,
            Err(reason) => {
                ours.release::<V4, _>(worker);
                return Err(reason);
            }
        };
        let flow = flow(number, reply.index);
        let state = State::READY.with(State::REPLY);
        reply.publish(worker, &flow.reply(ours.index), state, self.now);
        ours.publish(worker, &flow, State::READY, self.now);
        Ok(())
    }

    /// Claims an entry, and makes room for it where there is none.
    fn claim(&self, key: &Tuple<V4>) -> Result<Claim, Reason> {
        let settings = self.heap.memory().settings;
        let claim = || flow::claim(&self.worker, settings, key, TCP);
        claim().or_else(|reason| match reason {
            Reason::FlowTableFull if flow::make_room::<V4, _>(&self.worker, self.now) => claim(),
            reason => Err(reason),
        })
    }

    fn packet(&self, tuple: Tuple<V4>, order: u8) {
        let flags = [SYN, SYN | ACK, ACK, FIN | ACK, RST][usize::from(order / 8) % 5];
        let settings = self.heap.memory().settings;
        let found = flow::find(&self.worker, settings, &tuple, TCP);
        if let Some(hit) = found.expect("nobody else is here") {
            flow::track(&self.worker, &segment(tuple, flags), &hit);
        }
    }

    fn pass(&mut self, ticks: u32) {
        self.now = self.now.wrapping_add(ticks);
        self.worker.set_now(self.now);
    }

    fn sweep(&self) {
        let limits = Limits {
            established: 10 * SECOND,
            half_open: SECOND,
            closed: SECOND / 10,
        };
        for bucket in 0..BUCKETS {
            flow::sweep::<V4, _>(&self.worker, bucket, self.now, |_| limits);
        }
    }

    /// What an entry says is what was put there, no two say the same, and both directions of a flow are there or none.
    fn check(&self) {
        let settings = self.heap.memory().settings;
        let mut seen = Vec::new();
        for found in self.entries() {
            assert!(!seen.contains(&found.key), "two entries for {:?}", found.key);
            seen.push(found.key);
            let is_reply = found.key.dst_port != Port::new(80);
            let number = if is_reply {
                found.to.dst_port
            } else {
                found.key.src_port
            };
            let number = u8::try_from(number.number()).expect("a number of ours");
            let mut expected = flow(number, found.partner);
            if is_reply {
                expected = expected.reply(found.partner);
            }
            assert_eq!(found, expected);
            let hit = flow::find(&self.worker, settings, &found.key, TCP).expect("nobody else is here");
            let hit = hit.expect("it is found by its key");
            assert!(
                hit.partner(&self.worker).is_some(),
                "{found:?} has lost its other direction"
            );
        }
    }

    fn entries(&self) -> impl Iterator<Item = Flow<V4>> {
        let entries = self.heap.memory().buckets_v4.iter().flat_map(|bucket| &bucket.0);
        entries
            .filter(|entry| entry.control().state() != State::FREE)
            .map(flow::Entry::flow)
    }
}

/// What client packets of a flow carry, all of it a function of its number.
fn key(number: u8) -> Tuple<V4> {
    Tuple {
        src: V4([192, 0, 2, 1]),
        dst: V4([198, 51, 100, 1]),
        src_port: Port::new(number.into()),
        dst_port: Port::new(80),
    }
}

/// What they leave with.
fn translated(number: u8) -> Tuple<V4> {
    Tuple {
        src: V4([203, 0, 113, 1]),
        dst: V4([10, 0, 0, 1]),
        src_port: Port::new(20_000 + u16::from(number)),
        dst_port: Port::new(8080),
    }
}

fn flow(number: u8, partner: u32) -> Flow<V4> {
    Flow {
        key: key(number),
        to: translated(number),
        protocol: TCP,
        forwarding: Forwarding::Translate,
        backend: 0,
        client: Client {
            interface: number.into(),
            link: Link::new([2, 1, 0, 0, 0, number], [2, 0, 0, 0, 0, number]),
        },
        partner,
        attempts: 0,
        counted: 0,
        metered: false,
        cookie: 0,
    }
}

fn segment(tuple: Tuple<V4>, flags: u8) -> Segment<V4> {
    Segment {
        tuple,
        protocol: TCP,
        ttl: 64,
        flags,
        ack: 0,
        network: 14,
        offset: 34,
        length: 20,
        check: 0,
        part: Part::WHOLE,
    }
}
