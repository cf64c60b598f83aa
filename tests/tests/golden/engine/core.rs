//! The packet path as plain code over plain memory.

use super::{Engine, Forwarded, capacity};
use lb_common::{
    Egress, Packet, Verdict, egress,
    memory::{Heap, Memory, Worker},
    process,
};

/// The time, which stands still unless it is set.
const NOW: u32 = 1_000_000;

/// Room before and behind a frame, as in the kernel.
const ROOM: usize = 256;

/// [`process`] over tables on the heap.
pub(crate) struct Core {
    heap: Heap,
    now: u32,
}

impl Core {
    pub(crate) fn new() -> Self {
        Self {
            heap: Heap::new(&capacity().sizes()),
            now: NOW,
        }
    }

    /// Sets the clock.
    pub(crate) fn set_now(&mut self, now: u32) {
        self.now = now;
    }

    fn worker(&self) -> Worker<'_> {
        Worker::new(self.heap.memory(), 0, self.now)
    }
}

impl Engine for Core {
    fn name(&self) -> &'static str {
        "plain memory"
    }

    fn memory(&self) -> Memory<'_> {
        self.heap.memory()
    }

    fn forward(&mut self, frame: &[u8], interface: u32) -> Forwarded {
        let mut buffer = [&[0; ROOM], frame, &[0; ROOM]].concat();
        let mut packet =
            Packet::in_buffer(&mut buffer, ROOM, frame.len(), interface).expect("the buffer is larger");
        let verdict = process(&mut packet, &self.worker());
        Forwarded {
            verdict: Verdict::NAMES[verdict.index()],
            interface: match verdict {
                Verdict::Redirect(target) => Some(target),
                Verdict::Tx | Verdict::Answer(_) => Some(interface),
                Verdict::Pass(_) | Verdict::Drop(_) => None,
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
