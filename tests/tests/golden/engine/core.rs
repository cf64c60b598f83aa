//! The packet path as plain code over plain memory.

use lb_common::{
    Packet, Verdict,
    memory::{Heap, Memory, Sizes, Worker},
    process,
};
use lb_user::dataplane::Capacity;

use super::{Engine, Forwarded, capacity};

/// The time, which stands still.
const NOW: u32 = 1_000_000;

/// [`process`] over tables on the heap.
pub(crate) struct Core(Heap);

impl Core {
    pub(crate) fn new() -> Self {
        let capacity = capacity();
        Self(Heap::new(&Sizes {
            service_slots: capacity.service_slots(),
            services: capacity.services,
            choices: capacity.choice_words(),
            backends: capacity.backends,
            sources: capacity.sources,
            buckets_v4: Capacity::buckets(capacity.flows_v4),
            buckets_v6: Capacity::buckets(capacity.flows_v6),
            workers: capacity.workers,
        }))
    }
}

impl Engine for Core {
    fn name(&self) -> &'static str {
        "plain memory"
    }

    fn memory(&self) -> Memory<'_> {
        self.0.memory()
    }

    fn forward(&mut self, frame: &[u8], interface: u32) -> Forwarded {
        let mut bytes = frame.to_vec();
        let worker = Worker::new(self.0.memory(), 0, NOW);
        let verdict = process(&mut Packet::new(&mut bytes, interface), &worker);
        Forwarded {
            verdict: Verdict::NAMES[verdict.index()],
            interface: match verdict {
                Verdict::Redirect(target) => Some(target),
                Verdict::Tx => Some(interface),
                Verdict::Pass(_) | Verdict::Drop(_) => None,
            },
            bytes,
        }
    }
}
