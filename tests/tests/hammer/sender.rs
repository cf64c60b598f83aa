//! A thread that gives packets to the packet path in the kernel.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
};

use aya::{TestRun as _, TestRunOptions, programs::Xdp};
use lab::bench::{kernel::action, scene::Ends};
use lb_common::{
    Verdict,
    wire::{ACK, FIN, RST, SYN},
};
use proptest::{
    prelude::RngExt as _,
    test_runner::{RngAlgorithm, TestRng},
};

use crate::client::{Clients, SHARED, check_to_client, clients_segment, segment};

/// What became of packets.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    /// By verdict, see [`Verdict::index`].
    pub(crate) verdicts: [u64; Verdict::COUNT],
    /// Forwarded to backends.
    pub(crate) to_backends: u64,
    /// Forwarded to clients.
    pub(crate) to_clients: u64,
}

impl Tally {
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            verdicts: std::array::from_fn(|verdict| self.verdicts[verdict] + other.verdicts[verdict]),
            to_backends: self.to_backends + other.to_backends,
            to_clients: self.to_clients + other.to_clients,
        }
    }
}

/// Sends for all shared clients, and keeps a flow of its own.
pub(crate) struct Sender<'a> {
    program: &'a Xdp,
    clients: &'a Clients,
    random: TestRng,
    /// Client of the flow that it keeps.
    own: u32,
    /// What packets of clients left with when they last did.
    left: HashMap<u32, Ends>,
    tally: Tally,
}

impl<'a> Sender<'a> {
    pub(crate) fn new(program: &'a Xdp, clients: &'a Clients, number: u32) -> Self {
        Self {
            program,
            clients,
            random: TestRng::from_seed(RngAlgorithm::ChaCha, &[u8::try_from(number).unwrap(); 32]),
            own: SHARED + number,
            left: HashMap::new(),
            tally: Tally::default(),
        }
    }

    /// Establishes its own flow, then sends until it is `over`.
    pub(crate) fn send_until(mut self, over: &AtomicBool) -> Tally {
        // Refused as long as others' flows that are not answered yet leave no room for it.
        while !self.client_sends(self.own, SYN) {}
        let kept = self.left[&self.own];
        assert_eq!(self.backend_answers(kept, SYN | ACK), Some(self.own));
        assert!(self.client_sends(self.own, ACK));
        while !over.load(Ordering::Relaxed) {
            self.keep(kept);
            self.hammer();
        }
        self.keep(kept);
        self.tally
    }

    /// The next packet of the flow that is kept.
    fn keep(&mut self, kept: Ends) {
        if self.below(2) == 0 {
            assert!(self.client_sends(self.own, ACK), "an active flow is lost");
            assert_eq!(self.left[&self.own], kept, "an active flow is another one");
        } else {
            let client = self.backend_answers(kept, ACK);
            assert_eq!(client, Some(self.own), "an active flow is lost");
        }
    }

    /// A packet of a flow that others send packets of too.
    fn hammer(&mut self) {
        let (client, kind) = (self.below(SHARED), self.below(10));
        let flags = [SYN, SYN, SYN, ACK, ACK, ACK, FIN | ACK, FIN | ACK, RST, RST][kind as usize];
        match self.left.get(&client).copied() {
            Some(left) if self.below(2) == 0 => {
                let flags = if flags == SYN { SYN | ACK } else { flags };
                self.backend_answers(left, flags);
            }
            _ => drop(self.client_sends(client, flags)),
        }
    }

    /// Sends a client's packet; whether it was forwarded.
    fn client_sends(&mut self, client: u32, flags: u8) -> bool {
        let moved = self.below(8) == 0;
        let (verdict, frame) = self.run(&clients_segment(client, moved, flags));
        if verdict != action::REDIRECT {
            // A segment of no flow is answered with RST.
            assert!(
                [action::DROP, action::TX].contains(&verdict),
                "client {client}: {verdict}"
            );
            return false;
        }
        let left = Ends::of_frame(&frame).expect("a frame");
        self.clients.check(client, left);
        self.left.insert(client, left);
        self.tally.to_backends += 1;
        true
    }

    /// Sends the answer to what a client's packet left with; the client that it was forwarded to, if any.
    fn backend_answers(&mut self, left: Ends, flags: u8) -> Option<u32> {
        let (verdict, frame) = self.run(&segment(left.reversed(), flags));
        if verdict != action::TX {
            return None;
        }
        self.tally.to_clients += 1;
        Some(check_to_client(&frame))
    }

    /// Runs the program on a frame; its action and the frame as it left.
    fn run(&mut self, frame: &[u8]) -> (u32, Vec<u8>) {
        let mut bytes = vec![0; frame.len()];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut bytes),
            ..TestRunOptions::new()
        };
        let result = self
            .program
            .test_run(options)
            .expect("the kernel runs the program");
        let verdict = match result.return_value {
            action::PASS => 0,
            action::TX => 1,
            action::REDIRECT => 2,
            action::DROP => 3,
            other => panic!("the program ended with {other}"),
        };
        self.tally.verdicts[verdict] += 1;
        (result.return_value, bytes)
    }

    fn below(&mut self, bound: u32) -> u32 {
        self.random.random_range(0..bound)
    }
}
