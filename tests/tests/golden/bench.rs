//! Where a row's story is told: frames in, expectations on what comes out.

use std::net::SocketAddr;

use lb_common::{Reason, manner::Manner, memory::Memory};

use crate::{
    engine::{Core, Engine, Forwarded, Kernel, Outcome},
    frame::{Check, Frame},
    oracle,
    tunnel::{Flavour, Tunnel},
    world::{self, BACK_MAC, BACKEND_MAC, Family},
};

/// Tells a story to each engine and compares what they did.
pub(crate) fn play(family: Family, story: fn(&mut Bench<'_>)) {
    let plain = tell(&mut Core::new(), family, story);
    assert!(!plain.is_empty(), "a row without a packet");
    agree(
        &plain,
        &tell(&mut Core::watched(), family, story),
        "plain memory, watched",
    );
    let mut kernel = Kernel::borrow();
    for (is_watched, name) in [(false, "the kernel"), (true, "the kernel, watched")] {
        kernel.set_watched(is_watched);
        agree(&plain, &tell(&mut *kernel, family, story), name);
    }
}

fn agree(plain: &[Outcome], other: &[Outcome], name: &str) {
    for (number, (plain, other)) in plain.iter().zip(other).enumerate() {
        assert_eq!(plain, other, "frame {number}: plain memory and {name} differ");
    }
    assert_eq!(plain.len(), other.len());
}

fn tell(engine: &mut dyn Engine, family: Family, story: fn(&mut Bench<'_>)) -> Vec<Outcome> {
    let mut bench = Bench::new(engine, family);
    story(&mut bench);
    bench.outcomes
}

/// An engine over the standard world, and all that became of frames on it.
pub(crate) struct Bench<'e> {
    /// The family that the story is told for.
    pub(crate) family: Family,
    engine: &'e mut dyn Engine,
    outcomes: Vec<Outcome>,
    /// Where the last frame went, if the engine tells.
    interface: Option<u32>,
}

impl<'e> Bench<'e> {
    pub(crate) fn new(engine: &'e mut dyn Engine, family: Family) -> Self {
        world::set_up(&engine.memory());
        Self {
            family,
            engine,
            outcomes: Vec::new(),
            interface: None,
        }
    }

    /// The tables, to change the world.
    pub(crate) fn memory(&self) -> Memory<'_> {
        self.engine.memory()
    }

    /// Flows opened and closed.
    pub(crate) fn flows(&self) -> (u64, u64) {
        world::flows(&self.memory())
    }

    /// Expects a client's frame to be sent to its backend, and nothing of it changed but what its NAT changes.
    /// Returns it as it left.
    pub(crate) fn reaches_backend(&mut self, frame: &Frame) -> Frame {
        let row = self.family.row(frame.protocol, frame.to.port());
        self.reaches_backend_of(frame, row)
    }

    /// The same, with the backend named by its row.
    pub(crate) fn reaches_backend_of(&mut self, frame: &Frame, row: u32) -> Frame {
        self.reaches_backend_as(frame, frame, row)
    }

    /// The same of a frame that is taken for what another one says.
    pub(crate) fn reaches_backend_as(&mut self, frame: &Frame, said: &Frame, row: u32) -> Frame {
        let bytes = self.forwarded(frame);
        let record = &self.memory().backends[row as usize];
        let from = if Manner(record.manner.load()).keeps_client() {
            frame.from
        } else {
            self.of_pool(frame, &bytes)
        };
        let expected = Frame {
            interface: record.hops[0].interface.load(),
            from_mac: BACK_MAC,
            to_mac: BACKEND_MAC,
            from,
            to: SocketAddr::new(
                self.family.backend().ip(),
                world::backend_port(&self.memory(), row),
            ),
            ttl: said.ttl - 1,
            check: self.check_after(said.check),
            ..said.clone()
        };
        self.left_as(frame, &expected);
        expected
    }

    /// Expects a client's frame to be sent to its backend within another. Returns what tells its flow from others there.
    pub(crate) fn travels(&mut self, frame: &Frame, tunnel: Tunnel) -> Flavour {
        self.travels_as(frame, frame, tunnel)
    }

    /// The same of a frame that is another one inside, by more than its TTL.
    pub(crate) fn travels_as(&mut self, frame: &Frame, inside: &Frame, tunnel: Tunnel) -> Flavour {
        let row = self.family.row(frame.protocol, frame.to.port());
        let left = self.forwarded(frame);
        let flavour = tunnel.flavour(&left);
        let hop = &self.memory().backends[row as usize].hops[0];
        let inner = Frame {
            interface: hop.interface.load(),
            ttl: frame.ttl - 1,
            check: self.check_after(frame.check),
            ..inside.clone()
        };
        self.left_with(frame, inner.interface, &tunnel.around(&inner, flavour));
        flavour
    }

    /// What a frame left from: the source address, and a port of the pool.
    fn of_pool(&self, frame: &Frame, bytes: &[u8]) -> SocketAddr {
        let port = frame.transport_offset();
        let port = u16::from_be_bytes([bytes[port], bytes[port + 1]]);
        let settings = self.memory().settings;
        let pool = settings.pool_first.load()..=settings.pool_first.load() + (settings.pool_count.load() - 1);
        assert!(
            pool.contains(&port),
            "{}: port {port} is not of the pool",
            self.engine.name()
        );
        SocketAddr::new(self.family.source(), port)
    }

    /// Expects a client's frame to be sent to its backend's MAC address, and nothing else of it changed.
    pub(crate) fn reaches_neighbour(&mut self, frame: &Frame) {
        let row = self.family.row(frame.protocol, frame.to.port());
        self.forwarded(frame);
        let hop = &self.memory().backends[row as usize].hops[0];
        let expected = Frame {
            interface: hop.interface.load(),
            from_mac: BACK_MAC,
            to_mac: BACKEND_MAC,
            check: self.check_after(frame.check),
            ..frame.clone()
        };
        self.left_as(frame, &expected);
    }

    /// Expects a backend's frame to be sent to the client that sent `sent`, the way that came.
    pub(crate) fn reaches_client(&mut self, answer: &Frame, sent: &Frame) -> Frame {
        self.reaches_client_as(answer, answer, sent)
    }

    /// The same of a frame that is taken for what another one says.
    pub(crate) fn reaches_client_as(&mut self, answer: &Frame, said: &Frame, sent: &Frame) -> Frame {
        self.forwarded(answer);
        let expected = Frame {
            interface: sent.interface,
            from_mac: sent.to_mac,
            to_mac: sent.from_mac,
            from: sent.to,
            to: sent.from,
            ttl: said.ttl - 1,
            check: self.check_after(said.check),
            ..said.clone()
        };
        self.left_as(answer, &expected);
        expected
    }

    /// Expects a client's frame to be given to the host's own stack for the backend that runs there, and nothing of it
    /// changed but its destination. Returns it as the stack got it.
    pub(crate) fn reaches_stack(&mut self, frame: &Frame) -> Frame {
        self.reaches_stack_from(frame, frame.from.port())
    }

    /// The same, with the port that the client has there.
    pub(crate) fn reaches_stack_from(&mut self, frame: &Frame, port: u16) -> Frame {
        let engine = self.engine.name();
        let outcome = self.send(&frame.bytes(), frame.interface);
        assert_eq!(
            (outcome.verdict, outcome.reason),
            ("pass", Some(Reason::Local)),
            "{engine}"
        );
        let row = self.family.row(frame.protocol, frame.to.port());
        let expected = Frame {
            to: SocketAddr::new(
                self.family.backend().ip(),
                world::backend_port(&self.memory(), row),
            ),
            check: self.check_after(frame.check),
            ..frame.sent_from(port)
        };
        assert_eq!(outcome.bytes, expected.bytes(), "{engine}: {frame:?}");
        expected
    }

    /// Expects an answer that the host's own stack sends to leave from the virtual address that `sent` went to, and
    /// nothing else of it changed.
    pub(crate) fn leaves_for_client(&mut self, answer: &Frame, sent: &Frame) {
        let left = self.emit(&answer.bytes());
        let expected = Frame {
            from: sent.to,
            to: sent.from,
            ..answer.clone()
        };
        assert_eq!(
            left,
            ("pass", expected.bytes()),
            "{}: {answer:?}",
            self.engine.name()
        );
    }

    /// Expects a frame that the host sends to leave as it is.
    pub(crate) fn leaves_untouched(&mut self, frame: &Frame) {
        let bytes = frame.bytes();
        let left = self.emit(&bytes);
        assert_eq!(left, ("pass", bytes), "{}: {frame:?}", self.engine.name());
    }

    /// Gives the engine a frame that the host sends: no verdict counts it.
    fn emit(&mut self, frame: &[u8]) -> (&'static str, Vec<u8>) {
        let before = world::packets(&self.memory());
        let Forwarded { verdict, bytes, .. } = self.engine.emit(frame);
        let after = world::packets(&self.memory());
        assert_eq!(before.0, after.0, "{}: verdict counters", self.engine.name());
        self.outcomes.push(Outcome {
            verdict,
            reason: moved(&before.1, &after.1).map(|index| Reason::ALL[index]),
            bytes: bytes.clone(),
        });
        (verdict, bytes)
    }

    /// A connection's first three packets. Returns what the SYN left as.
    pub(crate) fn handshake(&mut self, syn: &Frame) -> Frame {
        use lb_common::wire::{ACK, SYN};

        let left = self.reaches_backend(syn);
        self.reaches_client(&left.answer(SYN | ACK, b""), syn);
        self.reaches_backend(&syn.with(ACK, b""));
        left
    }

    /// Expects the host's own stack to get the frame.
    pub(crate) fn passes(&mut self, frame: &Frame, reason: Reason) {
        self.passes_bytes(&frame.bytes(), reason);
    }

    /// The same of a frame that is more than a [`Frame`] can say.
    pub(crate) fn passes_bytes(&mut self, frame: &[u8], reason: Reason) {
        self.untouched(frame, world::FRONT, ("pass", reason));
    }

    /// Expects that nobody gets the frame.
    pub(crate) fn drops(&mut self, frame: &Frame, reason: Reason) {
        self.untouched(&frame.bytes(), frame.interface, ("drop", reason));
    }

    /// Expects a client's segment to be answered with RST, to be counted for a reason.
    pub(crate) fn resets(&mut self, frame: &Frame, reason: Reason) {
        let engine = self.engine.name();
        let outcome = self.send(&frame.bytes(), frame.interface);
        assert_eq!(
            (outcome.verdict, outcome.reason),
            ("tx", Some(reason)),
            "{engine}"
        );
        let expected = Frame {
            interface: frame.interface,
            ttl: 64,
            flow_label: 0,
            ..frame.answer(0, b"")
        };
        let expected = expected.reset_of(frame);
        assert_eq!(outcome.bytes, expected, "{engine}: the RST to {frame:?}");
        oracle::assert_right(&outcome.bytes);
    }

    /// Expects a frame that came in by an interface to leave as another one, by that interface.
    pub(crate) fn leaves_as(&mut self, (frame, from): (&[u8], u32), (expected, by): (&[u8], u32)) {
        let engine = self.engine.name();
        let outcome = self.send(frame, from);
        let verdict = if from == by { "tx" } else { "redirect" };
        assert_eq!(
            (outcome.verdict, outcome.reason),
            (verdict, None),
            "{engine}: {frame:02x?}"
        );
        if let Some(interface) = self.interface {
            assert_eq!(interface, by, "{engine}: interface");
        }
        assert_eq!(outcome.bytes, expected, "{engine}: {frame:02x?}");
    }

    /// Expects a frame to be answered, which is counted for a reason.
    pub(crate) fn answers(&mut self, frame: &[u8], expected: &[u8], reason: Reason) {
        let engine = self.engine.name();
        let outcome = self.send(frame, world::FRONT);
        assert_eq!(
            (outcome.verdict, outcome.reason),
            ("tx", Some(reason)),
            "{engine}"
        );
        assert_eq!(outcome.bytes, expected, "{engine}: the answer to {frame:02x?}");
    }

    /// Expects that nobody gets a frame that is more than a [`Frame`] can say.
    pub(crate) fn drops_bytes(&mut self, frame: &[u8], reason: Reason) {
        self.untouched(frame, world::FRONT, ("drop", reason));
    }

    /// Gives the engine a frame. The counters must say what the engine says, and count it once.
    pub(crate) fn send(&mut self, frame: &[u8], interface: u32) -> Outcome {
        let before = world::packets(&self.memory());
        let forwarded = self.engine.forward(frame, interface);
        let after = world::packets(&self.memory());
        let verdict = moved(&before.0, &after.0).map(|index| lb_common::Verdict::NAMES[index]);
        assert_eq!(
            verdict,
            Some(forwarded.verdict),
            "{}: verdict counters",
            self.engine.name()
        );
        let outcome = Outcome {
            verdict: forwarded.verdict,
            reason: moved(&before.1, &after.1).map(|index| Reason::ALL[index]),
            bytes: forwarded.bytes,
        };
        self.interface = forwarded.interface;
        self.outcomes.push(outcome.clone());
        outcome
    }

    fn untouched(&mut self, frame: &[u8], interface: u32, (verdict, reason): (&str, Reason)) {
        let engine = self.engine.name();
        let outcome = self.send(frame, interface);
        assert_eq!(
            (outcome.verdict, outcome.reason),
            (verdict, Some(reason)),
            "{engine}"
        );
        assert_eq!(
            outcome.bytes, frame,
            "{engine}: a frame that is not forwarded is not touched"
        );
    }

    /// Sends a frame that is to be forwarded; its bytes as they left.
    fn forwarded(&mut self, frame: &Frame) -> Vec<u8> {
        let outcome = self.send(&frame.bytes(), frame.interface);
        let engine = self.engine.name();
        assert!(
            ["tx", "redirect"].contains(&outcome.verdict),
            "{engine}: not forwarded but {} for {:?}: {frame:?}",
            outcome.verdict,
            outcome.reason
        );
        outcome.bytes
    }

    /// Compares the last frame with what was expected.
    fn left_as(&self, sent: &Frame, expected: &Frame) {
        self.left_with(sent, expected.interface, &expected.bytes());
        if expected.check == Check::Right {
            oracle::assert_right(&self.outcomes.last().expect("a frame was sent").bytes);
        }
    }

    /// The same, with the bytes that were expected.
    fn left_with(&self, sent: &Frame, by: u32, expected: &[u8]) {
        let engine = self.engine.name();
        let outcome = self.outcomes.last().expect("a frame was sent");
        let verdict = if sent.interface == by { "tx" } else { "redirect" };
        assert_eq!((outcome.verdict, outcome.reason), (verdict, None), "{engine}");
        if let Some(interface) = self.interface {
            assert_eq!(interface, by, "{engine}: interface");
        }
        assert_eq!(
            outcome.bytes, expected,
            "{engine}: {sent:?} should have left as {expected:02x?}"
        );
    }

    fn check_after(&self, check: Check) -> Check {
        let completes =
            self.memory().settings.partial_checksums.load() == lb_common::layout::COMPLETE_PARTIAL;
        if check == Check::Partial && completes {
            Check::Right
        } else {
            check
        }
    }
}

/// The one counter that has moved, by one.
fn moved(before: &[u64], after: &[u64]) -> Option<usize> {
    let steps: Vec<u64> = after
        .iter()
        .zip(before)
        .map(|(after, before)| after - before)
        .collect();
    assert!(steps.iter().sum::<u64>() <= 1, "one packet, counted by {steps:?}");
    steps.iter().position(|step| *step == 1)
}
