//! The same frames, valid, damaged, cut off and random, through both engines: every one must become the same.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher as _, Hasher as _, RandomState},
};

use lb_common::{
    Verdict,
    address::{TCP, UDP},
    wire::{ACK, FIN, RST, SYN},
};
use proptest::{
    prelude::RngExt as _,
    test_runner::{RngAlgorithm, TestRng},
};

use crate::{
    bench::Bench,
    engine::{Core, Kernel, Outcome},
    frame::{Check, Frame},
    world::{self, BACK, FRONT, Family, OTHER, PORT, SECOND_PORT},
};

const FRAMES: usize = 20_000;

/// Names a seed to begin with, to repeat what a run before has found.
const SEED: &str = "BALLAST_TEST_SEED";

#[test]
fn plain_memory_and_kernel_agree_on_every_frame() {
    let seed = seed();
    println!("{SEED}={seed} repeats this run");
    let (mut core, mut kernel) = (Core::new(), Kernel::borrow());
    let mut plain = Bench::new(&mut core, Family::V4);
    let mut kernel = Bench::new(&mut *kernel, Family::V4);
    for bench in [&plain, &kernel] {
        world::pool(&bench.memory(), 1024, 31_744);
    }
    let mut source = Source::new(seed);
    let mut outcomes = BTreeMap::<_, usize>::new();
    for number in 0..FRAMES {
        let (frame, interface) = source.next();
        // The clock stands still for one of them only.
        world::answered(&plain.memory(), 0);
        world::answered(&kernel.memory(), 0);
        let outcome = plain.send(&frame, interface);
        let other = kernel.send(&frame, interface);
        assert_eq!(outcome, other, "{SEED}={seed}, frame {number}: {frame:02x?}");
        *outcomes.entry(kind(&outcome)).or_default() += 1;
        source.learn(outcome);
    }
    assert_eq!(plain.flows(), kernel.flows());
    println!(
        "{FRAMES} frames: {outcomes:?}; flows opened and closed: {:?}",
        plain.flows()
    );
    for verdict in Verdict::NAMES {
        let count: usize = outcomes
            .iter()
            .filter(|(kind, _)| kind.starts_with(verdict))
            .map(|(_, count)| count)
            .sum();
        assert!(
            count > FRAMES / 100,
            "{SEED}={seed}: only {count} times {verdict}"
        );
    }
}

fn kind(outcome: &Outcome) -> String {
    let reason = outcome.reason.map_or("", |reason| reason.name());
    format!("{} {reason}", outcome.verdict).trim().to_owned()
}

fn seed() -> u64 {
    match std::env::var(SEED) {
        Ok(seed) => seed.parse().expect("a number"),
        Err(_) => RandomState::new().build_hasher().finish(),
    }
}

/// An 802.1Q tag.
const TAG: [u8; 4] = [0x81, 0x00, 0x00, 0x05];

/// A stream of frames.
struct Source {
    random: TestRng,
    /// What was forwarded lately, to be answered.
    forwarded: Vec<Vec<u8>>,
}

impl Source {
    fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self {
            random: TestRng::from_seed(RngAlgorithm::ChaCha, &bytes),
            forwarded: Vec::new(),
        }
    }

    /// A frame, and the interface that it comes in by.
    fn next(&mut self) -> (Vec<u8>, u32) {
        let mut frame = match self.random.random_range(0..20) {
            0 => self.noise(),
            1..8 if !self.forwarded.is_empty() => self.answer(),
            _ => self.packet(),
        };
        match self.random.random_range(0..10) {
            0..2 => self.damage(&mut frame),
            2 => self.cut_off(&mut frame),
            _ => {}
        }
        let interface = self.one_of(&[FRONT, FRONT, FRONT, BACK, OTHER]);
        (frame, interface)
    }

    fn learn(&mut self, outcome: Outcome) {
        const KEPT: usize = 64;

        if outcome.reason.is_some() || outcome.bytes[12..14] == TAG[..2] {
            return;
        }
        if self.forwarded.len() == KEPT {
            let oldest = self.random.random_range(0..KEPT);
            self.forwarded.swap_remove(oldest);
        }
        self.forwarded.push(outcome.bytes);
    }

    /// A client's packet, mostly to a service.
    fn packet(&mut self) -> Vec<u8> {
        let (family, protocol) = (self.one_of(&[Family::V4, Family::V6]), self.one_of(&[TCP, UDP]));
        let mut frame = Frame::to_service(family, protocol)
            .sent_from(self.random.random_range(40_000..40_064))
            .sent_to(self.one_of(&[PORT, PORT, SECOND_PORT, 9999]));
        frame.flags = self.one_of(&[SYN, SYN, SYN, ACK, ACK, FIN | ACK, RST, 0]);
        let longest = self.one_of(&[0, 40, 600, 1400]);
        let length = self.random.random_range(0..=longest);
        frame.payload = (0..length).map(|_| self.random.random()).collect();
        frame.ttl = self.one_of(&[64, 64, 64, 2, 1]);
        frame.check = self.one_of(&[Check::Right, Check::Partial, Check::Absent, Check::Off(0x1234)]);
        if family == Family::V4 {
            frame.options = vec![1; 4 * self.one_of(&[0, 0, 1, 10])];
        }
        self.made_unusual(frame.bytes())
    }

    /// Now and then a fragment, or behind a tag.
    fn made_unusual(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        match self.random.random_range(0..16) {
            0 if bytes[14] >> 4 == 4 => {
                let flags_and_offset = self.one_of(&[[0x20, 0], [0, 0x10]]);
                bytes[20..22].copy_from_slice(&flags_and_offset);
            }
            1 => drop(bytes.splice(12..12, TAG)),
            _ => {}
        }
        bytes
    }

    /// A packet back to where a forwarded one came from: sums do not change when their words change places.
    fn answer(&mut self) -> Vec<u8> {
        let which = self.random.random_range(0..self.forwarded.len());
        let mut frame = self.forwarded[which].clone();
        let (addresses, width, transport) = if frame[14] >> 4 == 4 {
            (26, 4, 14 + 4 * usize::from(frame[14] & 0x0f))
        } else {
            (22, 16, 54)
        };
        frame[addresses..addresses + 2 * width].rotate_left(width);
        frame[transport..transport + 4].rotate_left(2);
        if let Some(flags) = frame.get_mut(transport + 13) {
            *flags = self.one_of(&[SYN | ACK, ACK, ACK, FIN | ACK, RST]);
        }
        frame
    }

    fn noise(&mut self) -> Vec<u8> {
        let length = self.random.random_range(14..120);
        let mut frame: Vec<u8> = (0..length).map(|_| self.random.random()).collect();
        let ether_type = self.one_of(&[[0x08, 0x00], [0x86, 0xdd], [0x81, 0x00], [0x08, 0x06]]);
        frame[12..14].copy_from_slice(&ether_type);
        frame
    }

    fn damage(&mut self, frame: &mut [u8]) {
        for _ in 0..self.random.random_range(1..=4) {
            // Mostly in the headers.
            let at = self.random.random_range(0..frame.len().min(80));
            frame[at] = self.random.random();
        }
    }

    fn cut_off(&mut self, frame: &mut Vec<u8>) {
        // The kernel's test run takes an Ethernet header at least.
        let length = self.random.random_range(14..=frame.len());
        frame.truncate(length);
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.random.random_range(0..choices.len())]
    }
}
