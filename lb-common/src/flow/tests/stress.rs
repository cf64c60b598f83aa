//! Real threads on one small table: no active flow lost, nothing torn, every flow counted once.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    actor::{Actor, LIMITS, Role, SHARED, assert_consistent},
    fixture::{counted, heap},
};

const THREADS: u16 = 4;
/// Few buckets and about as many flows as fit, so that threads meet and tables run full.
const BUCKETS: u32 = 8;
/// Between two rests.
const STEPS: u32 = 250;
const LASTS: Duration = Duration::from_secs(60);

/// Ticks that pass at most with a step of the thread that the clock goes by.
const PACE: u32 = 1;
// Two packets of a flow that is kept may have all steps of another thread between them, before and after a rest.
const _: () = assert!(LIMITS.established > 2 * STEPS * PACE);

#[test]
fn four_threads_leave_a_table_that_is_consistent_whenever_they_rest() {
    let heap = heap(BUCKETS, THREADS.into());
    let (barrier, hits) = (Barrier::new(THREADS.into()), AtomicU64::new(0));
    let (failed, over) = (AtomicBool::new(false), AtomicBool::new(false));
    let clock = AtomicU32::new(u32::MAX - 10_000);
    let deadline = Instant::now() + LASTS;
    let memory = heap.memory();
    let actors = (0..THREADS).map(|number| {
        let role = Role {
            number,
            seed: number.into(),
            flows: SHARED,
            keeps: true,
            // One thread makes the time.
            pace: if number == 0 { PACE } else { 0 },
        };
        Actor::new(memory, &clock, role)
    });
    let actors: Vec<_> = actors.collect();
    thread::scope(|scope| {
        for mut actor in actors {
            let (barrier, hits, failed, over) = (&barrier, &hits, &failed, &over);
            scope.spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    let steps = caught(|| (0..STEPS).for_each(|_| actor.step()));
                    failed.fetch_or(steps.is_err(), Ordering::SeqCst);
                    let mut look = Ok(());
                    // All rest while one of them looks.
                    if barrier.wait().is_leader() {
                        look = caught(|| assert_consistent(&memory));
                        let last =
                            failed.load(Ordering::SeqCst) || look.is_err() || Instant::now() > deadline;
                        over.store(last, Ordering::SeqCst);
                    }
                    barrier.wait();
                    // Only now: whoever stopped earlier would leave the others waiting for ever.
                    steps.and(look).unwrap_or_else(|panic| resume_unwind(panic));
                }
                hits.fetch_add(actor.hits(), Ordering::SeqCst);
            });
        }
    });
    let (opened, closed) = counted(&memory);
    println!(
        "{opened} flows opened, {closed} closed, {} found",
        hits.into_inner()
    );
    assert!(
        closed > 1000,
        "the test did nothing: {opened} opened, {closed} closed"
    );
}

fn caught(work: impl FnOnce()) -> thread::Result<()> {
    catch_unwind(AssertUnwindSafe(work))
}
