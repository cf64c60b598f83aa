//! The packet path: any frames, one after the other, in worlds of any kind.
//!
//! The world is that of the golden rows, with the rows' own files: see `tests/tests/golden`.
#![no_main]

#[path = "../../../tests/golden/frame.rs"]
#[expect(dead_code, reason = "rows need more of it")]
mod frame;
#[path = "../../../tests/golden/oracle.rs"]
#[expect(dead_code, reason = "rows need more of it")]
mod oracle;
#[path = "../../../tests/golden/differential/step.rs"]
mod step;
#[path = "../../../tests/golden/tunnel.rs"]
#[expect(dead_code, reason = "rows need more of it")]
mod tunnel;
#[path = "../../../tests/golden/world.rs"]
#[expect(dead_code, reason = "rows need more of it")]
mod world;

use std::cell::OnceCell;

use lb_common::{
    Action, Packet, Reason, egress,
    manner::Manner,
    memory::{Heap, Sizes, Worker},
    process,
};

use self::{
    step::{Bytes, Step},
    world::{FRONT, Family},
};

/// Room before and behind a frame, as in the kernel.
const ROOM: usize = 256;

thread_local! {
    /// Made once: making it takes longer than a story.
    static HEAP: OnceCell<Heap> = const { OnceCell::new() };
}

libfuzzer_sys::fuzz_target!(|story: &[u8]| {
    HEAP.with(|heap| {
        let heap = heap.get_or_init(|| {
            Heap::new(&Sizes {
                service_slots: 32,
                services: 8,
                choices: 32,
                backends: 16,
                sources: 4,
                buckets_v4: 16,
                buckets_v6: 16,
                borders: 64,
                quotas: 8,
                ..Sizes::LEAST
            })
        });
        tell(heap, &mut Story(story));
    });
});

fn tell(heap: &Heap, story: &mut Story<'_>) {
    let memory = heap.memory();
    world::set_up(&memory);
    world::pool(&memory, 20_000, 64);
    let worker = Worker::new(memory, 0, 1_000_000);
    let mut frames = 0;
    while let Some(step) = story.step() {
        match &step {
            Step::Frame(interface, frame) => {
                forward(&worker, &frame.0, *interface);
                frames += 1;
            }
            Step::Emit(frame) => {
                let mut bytes = frame.0.clone();
                egress(&mut Packet::new(&mut bytes, 0), &worker);
            }
            change => change.change(&memory),
        }
    }
    let counted: u64 = world::packets(&memory).0.iter().sum();
    assert_eq!(counted, frames, "each frame is counted once");
}

fn forward(worker: &Worker<'_>, frame: &[u8], interface: u32) {
    let mut buffer = [&[0; ROOM], frame, &[0; ROOM]].concat();
    let mut packet =
        Packet::in_buffer(&mut buffer, ROOM, frame.len(), interface).expect("the buffer is larger");
    let verdict = process(&mut packet, worker);
    let left = packet.bytes();
    match (verdict.action(), verdict.reason()) {
        (Action::Pass, Some(Reason::Local)) => {}
        (Action::Pass | Action::Drop, reason) => {
            assert!(
                left == frame,
                "what is not forwarded for {reason:?} is not touched"
            );
        }
        (Action::Tx | Action::Redirect, _) => {
            if oracle::is_right(frame) == Some(true) {
                assert_ne!(
                    oracle::is_right(left),
                    Some(false),
                    "{verdict:?}: a checksum is wrong now"
                );
            }
        }
    }
}

/// Steps, as bytes say: what a step is, and what it needs to know.
struct Story<'s>(&'s [u8]);

impl Story<'_> {
    fn step(&mut self) -> Option<Step> {
        let kind = self.byte()?;
        Some(match kind % 16 {
            0..8 => Step::Frame(u32::from(kind / 16 % 3) + 1, self.frame()?),
            8 => Step::Emit(self.frame()?),
            9 => Step::Manner(self.family()?, self.manner()?),
            10 => Step::Tunnel(self.family()?, self.family()?, (kind < 128).then_some(6080)),
            11 => {
                let (family, service) = (self.family()?, u32::from(self.byte()? % 3));
                let service = service + if family == Family::V6 { 3 } else { 0 };
                Step::Backends(family, service, vec![service, service + 6])
            }
            12 => Step::Scheduler(u32::from(self.byte()? % 6), u32::from(kind / 16 % 4)),
            13 => Step::Age(u32::from(self.byte()?) * 20),
            14 => Step::Hop(
                self.backend()?,
                kind < 240,
                FRONT + u32::from(kind / 128),
                [0, 600, 1280, 1500][usize::from(kind / 16 % 4)],
            ),
            _ if kind == u8::MAX => Step::Verifies(u32::from(self.byte()? % 6), true),
            _ => match kind / 16 % 8 {
                0 => Step::Local(self.backend()?),
                1 => Step::Ends(self.backend()?, true),
                2 => Step::Ends(self.backend()?, false),
                3 => Step::Retries(self.backend()?, 3, true),
                4 => Step::ServiceLimit(u32::from(self.byte()? % 6), 2),
                5 => Step::BackendLimit(self.backend()?, 1),
                6 => Step::PartialChecksums(u32::from(self.byte()? % 2)),
                _ => Step::Sources(self.backend()?, u32::from(self.byte()? % 2)),
            },
        })
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// A frame's length, then the frame, or what there is of it.
    fn frame(&mut self) -> Option<Bytes> {
        let length = usize::from(u16::from_le_bytes([self.byte()?, self.byte()?]));
        let (frame, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        Some(Bytes(frame.to_vec()))
    }

    fn family(&mut self) -> Option<Family> {
        Some(Family::ALL[usize::from(self.byte()? % 2)])
    }

    fn backend(&mut self) -> Option<u32> {
        Some(u32::from(self.byte()? % 12))
    }

    fn manner(&mut self) -> Option<u32> {
        let manners = [Manner::FULL_NAT, Manner::NAT, Manner::DSR];
        let Manner(word) = manners[usize::from(self.byte()? % 3)];
        Some(word)
    }
}
