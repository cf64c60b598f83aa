//! Engines that frames are given to.

mod core;
mod kernel;

use lb_common::{memory::Memory, reason::Reason};
use lb_user::dataplane::Capacity;

pub(crate) use self::{core::Core, kernel::Kernel};

/// What forwards frames by tables.
pub(crate) trait Engine {
    /// For the message of a failed row.
    fn name(&self) -> &'static str;

    /// The tables that it forwards by.
    fn memory(&self) -> Memory<'_>;

    /// Gives it a frame that came in by an interface, and takes what it left of it.
    fn forward(&mut self, frame: &[u8], interface: u32) -> Forwarded;

    /// Gives it a frame that this host sends, and takes what it left of it; the verdict is `pass` or `drop`.
    fn emit(&mut self, frame: &[u8]) -> Forwarded;
}

/// What an engine says itself of a frame.
pub(crate) struct Forwarded {
    /// Word of the verdict.
    pub(crate) verdict: &'static str,
    /// Where it was redirected to, if the engine tells. The kernel's test run does not.
    pub(crate) interface: Option<u32>,
    /// The frame.
    pub(crate) bytes: Vec<u8>,
}

/// What became of a frame: what engines have to agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Word of the verdict.
    pub(crate) verdict: &'static str,
    /// Why it was not forwarded.
    pub(crate) reason: Option<Reason>,
    /// The frame as it left.
    pub(crate) bytes: Vec<u8>,
}

/// Has every packet shown, for as long as any story takes.
fn watch_everything(memory: &Memory<'_>, now: u32) {
    memory.watch.rate.store(u32::MAX);
    memory.watch.length.store(u32::MAX);
    memory.watch.until.store(now.wrapping_add(u32::MAX / 4));
    memory.watch.number.store(1);
}

/// Size of every engine's tables, so that the same flow stands in the same place.
pub(crate) fn capacity() -> Capacity {
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Capacity {
        services: 8,
        virtual_addresses: 16,
        choice_slots: 64,
        backends: 16,
        sources: 4,
        flows_v4: 4096,
        flows_v6: 4096,
        borders: 64,
        workers: u32::try_from(workers).unwrap_or(1),
        flow_log: true,
    }
}
