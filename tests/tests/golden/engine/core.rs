//! The packet path as plain code over plain memory.

use std::cell::RefCell;

use super::{Engine, Forwarded, capacity, watch_everything};
use lb_common::{
    Action, Egress, Packet, Verdict, egress,
    memory::{Heap, Memory, Worker},
    process, watch,
    watch::{Sighting, Witness},
};

/// The time, which stands still unless it is set.
const NOW: u32 = 1_000_000;

/// Room before and behind a frame, as in the kernel.
const ROOM: usize = 256;

/// [`process`] over tables on the heap.
pub(crate) struct Core {
    heap: Heap,
    now: u32,
    shown: Option<Shown>,
}

/// What was shown to who watches.
#[derive(Default)]
pub(crate) struct Shown(RefCell<Vec<(Sighting, Vec<u8>)>>);

impl Witness for Shown {
    fn time(&self) -> u64 {
        self.0.borrow().len() as u64
    }

    fn show(&self, packet: &Packet<'_>, sighting: &Sighting) {
        let shown = &packet.bytes()[..sighting.shown as usize];
        self.0.borrow_mut().push((*sighting, shown.to_vec()));
    }
}

impl Core {
    pub(crate) fn new() -> Self {
        Self {
            heap: Heap::new(&capacity().sizes()),
            now: NOW,
            shown: None,
        }
    }

    /// The same while somebody watches.
    pub(crate) fn watched() -> Self {
        let core = Self {
            shown: Some(Shown::default()),
            ..Self::new()
        };
        watch_everything(&core.memory(), NOW);
        core
    }

    /// What was shown since the last time.
    pub(crate) fn take_shown(&mut self) -> Vec<(Sighting, Vec<u8>)> {
        self.shown.take().map_or_else(Vec::new, |shown| {
            self.shown = Some(Shown::default());
            shown.0.into_inner()
        })
    }

    /// Sets the clock.
    pub(crate) fn set_now(&mut self, now: u32) {
        self.now = now;
    }

    /// The clock.
    pub(crate) fn now(&self) -> u32 {
        self.now
    }

    fn worker(&self) -> Worker<'_> {
        Worker::new(self.heap.memory(), 0, self.now)
    }
}

impl Engine for Core {
    fn name(&self) -> &'static str {
        match self.shown {
            None => "plain memory",
            Some(_) => "plain memory, watched",
        }
    }

    fn memory(&self) -> Memory<'_> {
        self.heap.memory()
    }

    fn forward(&mut self, frame: &[u8], interface: u32) -> Forwarded {
        let mut buffer = [&[0; ROOM], frame, &[0; ROOM]].concat();
        let mut packet =
            Packet::in_buffer(&mut buffer, ROOM, frame.len(), interface).expect("the buffer is larger");
        let worker = self.worker();
        let verdict = match &self.shown {
            None => process(&mut packet, &worker),
            Some(shown) => watch(&mut packet, &worker, shown, |packet| {
                let verdict = process(packet, &worker);
                (verdict, verdict.index())
            }),
        };
        Forwarded {
            verdict: Verdict::NAMES[verdict.index()],
            interface: match verdict.action() {
                Action::Redirect => Some(verdict.interface()),
                Action::Tx => Some(interface),
                Action::Pass | Action::Drop => None,
            },
            bytes: packet.bytes().to_vec(),
        }
    }

    fn emit(&mut self, frame: &[u8]) -> Forwarded {
        let mut bytes = frame.to_vec();
        let verdict = match egress(&mut Packet::new(&mut bytes, 0), &self.worker()) {
            Egress::Untouched | Egress::Translated => "pass",
            Egress::Refused(_) => "drop",
        };
        Forwarded {
            verdict,
            interface: None,
            bytes,
        }
    }
}
