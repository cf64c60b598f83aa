//! Real threads on one small table: no active flow lost, nothing torn, every flow counted once.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    actor::{Actor, LIMITS, Role, SHARED, assert_consistent},
    clock::Clock,
    fixture::{active, count_sources, counted, heap, of_sources},
};
use crate::memory::Memory;

const THREADS: u16 = 4;
/// Few buckets and about as many flows as fit, so that threads meet and tables run full.
const BUCKETS: u32 = 8;
/// Between two rests.
const STEPS: u32 = 250;
const LASTS: Duration = Duration::from_mins(1);

/// Ticks that pass at most with a step of the thread that the clock goes by.
const PACE: u32 = 1;
// Two packets of a flow that is kept may have all steps of another thread between them, before and after a rest.
const _: () = assert!(LIMITS.established > 2 * STEPS * PACE);

#[test]
fn four_threads_leave_a_table_that_is_consistent_whenever_they_rest() {
    let heap = heap(BUCKETS, THREADS.into());
    count_sources(&heap.memory());
    let (memory, clock) = (heap.memory(), Clock::new(u32::MAX - 10_000, THREADS));
    let actors: Vec<_> = (0..THREADS)
        .map(|number| Actor::new(&memory, &clock, role(number)))
        .collect();
    let rests = Rests::new(&memory);
    let hits: u64 = thread::scope(|scope| {
        let threads = actors.into_iter().map(|actor| scope.spawn(|| rests.act(actor)));
        let threads: Vec<_> = threads.collect();
        let hits = threads.into_iter().map(|thread| thread.join().unwrap());
        hits.sum()
    });
    let (opened, closed) = counted(&memory);
    println!("{opened} flows opened, {closed} closed, {hits} found");
    assert!(
        closed > 1000,
        "the test did nothing: {opened} opened, {closed} closed"
    );
}

fn role(number: u16) -> Role {
    Role {
        number,
        seed: number.into(),
        flows: SHARED,
        keeps: true,
        // One thread makes the time.
        pace: if number == 0 { PACE } else { 0 },
    }
}

/// Where the threads meet now and then, and rest while one of them looks at the table.
struct Rests<'m> {
    memory: Memory<'m>,
    barrier: Barrier,
    deadline: Instant,
    failed: AtomicBool,
    over: AtomicBool,
}

impl<'m> Rests<'m> {
    fn new(memory: &Memory<'m>) -> Self {
        Self {
            memory: *memory,
            barrier: Barrier::new(THREADS.into()),
            deadline: Instant::now() + LASTS,
            failed: AtomicBool::new(false),
            over: AtomicBool::new(false),
        }
    }

    /// One thread: its entries found.
    fn act(&self, mut actor: Actor<'_>) -> u64 {
        while !self.over.load(Ordering::SeqCst) {
            let steps = caught(|| (0..STEPS).for_each(|_| actor.step()));
            self.failed.fetch_or(steps.is_err(), Ordering::SeqCst);
            let mut look = Ok(());
            if self.barrier.wait().is_leader() {
                look = caught(|| {
                    assert_consistent(&self.memory);
                    assert_eq!(of_sources(&self.memory), active(&self.memory) as u64);
                });
                let failed = self.failed.load(Ordering::SeqCst) || look.is_err();
                let last = failed || Instant::now() > self.deadline;
                self.over.store(last, Ordering::SeqCst);
            }
            self.barrier.wait();
            // Only now: whoever stopped earlier would leave the others waiting for ever.
            steps.and(look).unwrap_or_else(|panic| resume_unwind(panic));
        }
        actor.hits()
    }
}

fn caught(work: impl FnOnce()) -> thread::Result<()> {
    catch_unwind(AssertUnwindSafe(work))
}
