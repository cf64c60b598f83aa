//! The protocol under a scheduler that lets threads come in between at every single access to the table.
//!
//! Real threads meet where the machine lets them; here each access is a turn, and who has the next is chosen at
//! random, or by priorities that change at few random points (PCT: Burckhardt et al., ASPLOS 2010), which finds
//! orders that need a thread to be held up for long. A failure prints the schedule, for `shuttle::replay`.
//!
//! The model's memory is sequentially consistent. x86-64 is but for one thing: a store may become visible after later
//! loads of other places by the same CPU. The protocol nowhere counts on that order but where it looks again after a
//! claim, and a claim is a compare-and-swap, which is a full barrier there. Weaker machines are not modelled.

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

use shuttle::{
    Config, Runner,
    rand::{RngCore as _, thread_rng},
    scheduler::{PctScheduler, RandomScheduler, Scheduler},
    thread,
};

use super::{
    actor::{Actor, LIMITS, Role, assert_consistent, assert_no_key_twice},
    fixture::{counted, heap},
};
use crate::shared::with_turns;

const THREADS: u16 = 3;
/// A key may stand anywhere in the table, and the table is full with few flows.
const BUCKETS: u32 = 2;
const FLOWS: u16 = 2;
const STEPS: u32 = 6;

/// How often each scheduler starts anew.
const RUNS: usize = 3000;

#[test]
fn the_protocol_holds_in_any_order() {
    explore(RandomScheduler::new(RUNS));
}

#[test]
fn the_protocol_holds_when_threads_are_held_up() {
    explore(PctScheduler::new(4, RUNS));
}

fn explore(scheduler: impl Scheduler + 'static) {
    let mut config = Config::new();
    // Tables are made on it.
    config.stack_size = 1 << 20;
    let closed = Arc::new(AtomicU64::new(0));
    let sum = Arc::clone(&closed);
    with_turns(true, || {
        Runner::new(scheduler, config).run(move || drop(sum.fetch_add(run(), Ordering::SeqCst)));
    });
    let closed = closed.load(Ordering::SeqCst);
    println!("{RUNS} runs, {closed} flows closed");
    assert!(closed > RUNS as u64, "the test did nothing");
}

/// A table and some threads; how many flows were closed.
fn run() -> u64 {
    let heap = with_turns(false, || heap(BUCKETS, THREADS.into()));
    let (memory, clock) = (heap.memory(), AtomicU32::new(u32::MAX));
    let actors: Vec<_> = (0..THREADS)
        .map(|number| with_turns(false, || Actor::new(memory, &clock, role(number))))
        .collect();
    thread::scope(|scope| {
        for mut actor in actors {
            scope.spawn(move || {
                for _ in 0..STEPS {
                    actor.step();
                    // The others may be in the middle of anything.
                    with_turns(false, || assert_no_key_twice(&memory));
                }
            });
        }
    });
    with_turns(false, || {
        assert_consistent(&memory);
        counted(&memory).1
    })
}

/// One keeps a flow, and lets nearly as much time pass between its packets as a flow may be quiet.
fn role(number: u16) -> Role {
    let keeps = number == 0;
    Role {
        number,
        seed: thread_rng().next_u64(),
        flows: FLOWS,
        keeps,
        pace: if keeps { LIMITS.established - 1 } else { 0 },
    }
}
