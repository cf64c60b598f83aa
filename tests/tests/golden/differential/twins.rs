//! Both engines side by side: what happens to one happens to the other, and both must have come to the same.

use std::fmt::{Debug, Display};

use lb_common::{
    Address, Reason, Verdict,
    flow::{Bucket, Entry, State},
    layout::PacketCounters,
    memory::Memory,
    shared::Shared,
};

use super::{arrangement::SECOND, step::Step};
use crate::{
    engine::{Core, Engine as _, Forwarded, Kernel},
    world,
};

/// What one engine came to and the other did not.
pub(super) type Difference = String;

/// Plain memory and kernel.
pub(super) struct Twins<'k> {
    plain: Core,
    kernel: &'k mut Kernel,
}

impl<'k> Twins<'k> {
    pub(super) fn new(kernel: &'k mut Kernel) -> Self {
        Self {
            plain: Core::new(),
            kernel,
        }
    }

    /// Begins a story, in the standard world.
    pub(super) fn begin(&mut self) {
        let now = self.kernel.now();
        for memory in [self.plain.memory(), self.kernel.memory()] {
            world::set_up(&memory);
            memory.settings.second.store(SECOND);
            for note in memory.notes {
                note.echoes.since.store(now);
                note.errors.since.store(now);
            }
        }
    }

    /// Has a step happen to both; what became of a frame, if it was one.
    pub(super) fn take(&mut self, step: &Step) -> Result<Option<Forwarded>, Difference> {
        let (plain, kernel) = match step {
            Step::Frame(interface, frame) => self.both(
                |kernel| kernel.forward(&frame.0, *interface),
                |plain| plain.forward(&frame.0, *interface),
            ),
            Step::Emit(frame) => self.both(|kernel| kernel.emit(&frame.0), |plain| plain.emit(&frame.0)),
            change => {
                change.change(&self.plain.memory());
                change.change(&self.kernel.memory());
                return Ok(None);
            }
        };
        same("verdict", &plain.verdict, &kernel.verdict)?;
        same("bytes", &plain.bytes, &kernel.bytes)?;
        self.compare_packets()?;
        Ok(Some(plain))
    }

    /// Gives a frame to both, at the same time: the kernel's clock is read before and after.
    fn both(
        &mut self,
        to_kernel: impl FnOnce(&mut Kernel) -> Forwarded,
        to_plain: impl FnOnce(&mut Core) -> Forwarded,
    ) -> (Forwarded, Forwarded) {
        let before = self.kernel.now();
        let kernel = to_kernel(self.kernel);
        let ticks = self.kernel.now().wrapping_sub(before);
        self.plain.set_now(before);
        let plain = to_plain(&mut self.plain);
        if ticks > 0 {
            self.level(before, ticks);
        }
        (plain, kernel)
    }

    /// Where the kernel's clock ticked within a frame, at what time nobody knows, the plain engine's entries tick too.
    fn level(&self, before: u32, ticks: u32) {
        let (plain, kernel) = (self.plain.memory(), self.kernel.memory());
        level(&plain, (plain.buckets_v4, kernel.buckets_v4), before, ticks);
        level(&plain, (plain.buckets_v6, kernel.buckets_v6), before, ticks);
    }

    /// Compares the counters of packets.
    fn compare_packets(&self) -> Result<(), Difference> {
        let (plain, kernel) = (self.plain.memory(), self.kernel.memory());
        let total = |memory: &Memory<'_>, counter: &dyn Fn(&PacketCounters) -> u64| -> u64 {
            memory.packet_counters.iter().map(counter).sum()
        };
        let verdicts = plain.verdicts().into_iter().zip(kernel.verdicts());
        for (name, (plain, kernel)) in Verdict::NAMES.iter().zip(verdicts) {
            same(name, &plain, &kernel)?;
        }
        for reason in Reason::ALL {
            let counter = |row: &PacketCounters| row.reasons[*reason as usize].load();
            same(reason.name(), &total(&plain, &counter), &total(&kernel, &counter))?;
        }
        Ok(())
    }

    /// Compares all that packets have left in the tables.
    pub(super) fn compare(&self) -> Result<(), Difference> {
        let (plain, kernel) = (self.plain.memory(), self.kernel.memory());
        compare_flows(&plain, plain.buckets_v4, kernel.buckets_v4)?;
        compare_flows(&plain, plain.buckets_v6, kernel.buckets_v6)?;
        same("traffic", &world::traffic(&plain), &world::traffic(&kernel))?;
        same("flows", &world::flows(&plain), &world::flows(&kernel))?;
        let services = plain.services.iter().zip(kernel.services).enumerate();
        for (row, (plain, kernel)) in services {
            let state = |cells: [&Shared<u64>; 2]| cells.map(Shared::<u64>::load);
            let (plain, kernel) = (
                state([&plain.turn, &plain.active]),
                state([&kernel.turn, &kernel.active]),
            );
            same(format_args!("turn and flows of service {row}"), &plain, &kernel)?;
        }
        for row in 0..u32::try_from(plain.backends.len()).expect("a few rows") {
            let state = |memory| {
                (
                    world::active(memory, row),
                    world::not_taken(memory, row),
                    world::resets(memory, row),
                )
            };
            same(
                format_args!("flows of backend {row}"),
                &state(&plain),
                &state(&kernel),
            )?;
        }
        Ok(())
    }

    /// Packets so far, by verdict and by reason.
    pub(super) fn packets(&self) -> (Vec<u64>, Vec<u64>) {
        world::packets(&self.plain.memory())
    }
}

fn same<T: PartialEq + Debug>(what: impl Display, plain: &T, kernel: &T) -> Result<(), Difference> {
    if plain == kernel {
        Ok(())
    } else {
        Err(format!(
            "{what}: {plain:02x?} on plain memory, {kernel:02x?} in the kernel"
        ))
    }
}

/// The entries in use, of a table that uses as many buckets of either family.
fn in_use<'m, A: Address>(
    memory: &Memory<'_>,
    plain: &'m [Bucket<A>],
    kernel: &'m [Bucket<A>],
) -> impl Iterator<Item = (&'m Entry<A>, &'m Entry<A>)> {
    let count = memory.settings.bucket_mask_v4.load() as usize + 1;
    let buckets = plain.iter().zip(kernel).take(count);
    buckets.flat_map(|(plain, kernel)| plain.0.iter().zip(&kernel.0))
}

/// Has what the plain engine wrote `before` be as late as what the kernel wrote, up to so many ticks after.
fn level<A: Address>(
    memory: &Memory<'_>,
    (plain, kernel): (&[Bucket<A>], &[Bucket<A>]),
    before: u32,
    ticks: u32,
) {
    for (plain, kernel) in in_use(memory, plain, kernel) {
        let seen = kernel.seen.load();
        if plain.seen.load() == before && seen.wrapping_sub(before) <= ticks {
            plain.seen.store(seen);
        }
    }
}

fn compare_flows<A: Address + Debug + PartialEq>(
    memory: &Memory<'_>,
    plain: &[Bucket<A>],
    kernel: &[Bucket<A>],
) -> Result<(), Difference> {
    for (index, (plain, kernel)) in in_use(memory, plain, kernel).enumerate() {
        let life = |entry: &Entry<A>| (entry.control(), entry.seen.load(), entry.ack.load());
        same(format_args!("entry {index}"), &life(plain), &life(kernel))?;
        if plain.control().state() != State::FREE {
            same(format_args!("flow {index}"), &plain.flow(), &kernel.flow())?;
        }
    }
    Ok(())
}
