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
    atomic::{AtomicU64, Ordering},
};

use shuttle::{
    Config, Runner,
    rand::{RngCore as _, thread_rng},
    scheduler::{PctScheduler, RandomScheduler, Scheduler},
    thread,
};

use super::{
    actor::{Actor, LIMITS, Role, assert_consistent, assert_no_key_twice},
    clock::Clock,
    fixture::{NOW, client, counted, find, heap, key, open, packet, reopen, translated},
};
use crate::{
    address::{TCP, V4},
    flow::{self, State, Why},
    memory::Worker,
    shared::with_turns,
    wire::{ACK, RST, SYN},
};

const THREADS: u16 = 3;
/// A key may stand anywhere in the table, and the table is full with few flows.
const BUCKETS: u32 = 2;
const FLOWS: u16 = 2;
const STEPS: u32 = 6;

/// How often each scheduler starts anew.
const RUNS: usize = 5000;

#[test]
fn the_protocol_holds_in_any_order() {
    explore(RandomScheduler::new(RUNS), all_at_once);
}

#[test]
fn the_protocol_holds_when_threads_are_held_up() {
    explore(PctScheduler::new(4, RUNS), all_at_once);
}

#[test]
fn a_flow_that_took_the_place_of_a_closed_one_is_not_evicted_for_that() {
    explore(PctScheduler::new(3, RUNS), evict_and_replace);
}

#[test]
fn a_closed_flow_is_opened_anew_by_one_of_two() {
    explore(PctScheduler::new(3, RUNS), reopen_at_once);
}

#[test]
fn a_reset_is_the_end_of_both_directions_whatever_comes_at_the_same_time() {
    explore(RandomScheduler::new(RUNS), reset_and_establish);
}

#[test]
fn a_flow_whose_replies_ceased_is_not_swept_while_its_client_moves() {
    explore(RandomScheduler::new(RUNS), sweep_and_move);
}

/// Runs something often under a scheduler. It returns how much of what it is about has happened.
fn explore(scheduler: impl Scheduler + 'static, run: fn() -> u64) {
    let mut config = Config::new();
    // Tables are made on it.
    config.stack_size = 1 << 20;
    let happened = Arc::new(AtomicU64::new(0));
    let sum = Arc::clone(&happened);
    with_turns(true, || {
        Runner::new(scheduler, config).run(move || {
            sum.fetch_add(run(), Ordering::SeqCst);
        });
    });
    let happened = happened.load(Ordering::SeqCst);
    println!("{happened} times in {RUNS} runs");
    assert!(happened > RUNS as u64 / 4, "the test did nothing");
}

/// Threads that do all that is done to a table; how many flows were closed.
fn all_at_once() -> u64 {
    let heap = with_turns(false, || heap(BUCKETS, THREADS.into()));
    let (memory, clock) = (heap.memory(), Clock::new(u32::MAX, THREADS));
    let actors: Vec<_> = (0..THREADS)
        .map(|number| with_turns(false, || Actor::new(&memory, &clock, role(number))))
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

/// One thread wants a closed flow's place, which another has just given to a new flow; how many of these there were.
fn evict_and_replace() -> u64 {
    let heap = with_turns(false, || heap(BUCKETS, 2));
    let memory = heap.memory();
    let [looks, one, other] = [0, 0, 1].map(|number| Worker::new(memory, number, NOW));
    with_turns(false, || {
        for n in 0..4 {
            open(&looks, memory.settings, n, NOW).unwrap();
        }
        packet(&looks, memory.settings, key(3), RST);
    });
    let replaced = thread::scope(|scope| {
        let _evicts = scope.spawn(move || open(&one, memory.settings, 10, NOW).is_ok());
        let replaces = scope.spawn(move || {
            let closed = flow::find(&other, memory.settings, &key(3), TCP);
            closed.is_ok_and(|hit| hit.is_some_and(|hit| hit.end(&other, Why::Over)))
                && open(&other, memory.settings, 11, NOW).is_ok()
        });
        replaces.join().unwrap()
    });
    with_turns(false, || {
        assert_consistent(&memory);
        let there = find(&looks, memory.settings, &key(11)).is_some();
        assert_eq!(there, replaced, "a young flow is lost");
        replaced.into()
    })
}

/// Two threads want a closed flow's entries for its client's next one; how often one of them got them.
fn reopen_at_once() -> u64 {
    let heap = with_turns(false, || heap(BUCKETS, 2));
    let memory = heap.memory();
    let [looks, one, other] = [0, 0, 1].map(|number| Worker::new(memory, number, NOW));
    with_turns(false, || {
        open(&looks, memory.settings, 7, NOW).unwrap();
        packet(&looks, memory.settings, key(7), RST);
    });
    let reopened = thread::scope(|scope| {
        let [first, second] =
            [one, other].map(|worker| scope.spawn(move || reopen(&worker, memory.settings, 7, NOW)));
        u64::from(first.join().unwrap()) + u64::from(second.join().unwrap())
    });
    with_turns(false, || {
        assert_consistent(&memory);
        assert_eq!(counted(&memory), (1 + reopened, 1), "each is counted");
    });
    assert!(reopened <= 1, "a flow is opened anew by two");
    reopened
}

/// The backend resets a connection while the client acknowledges that it is open; always once.
fn reset_and_establish() -> u64 {
    let heap = with_turns(false, || heap(BUCKETS, 2));
    let memory = heap.memory();
    let [looks, one, other] = [0, 0, 1].map(|number| Worker::new(memory, number, NOW));
    let reply = translated(7).reversed();
    with_turns(false, || {
        open(&looks, memory.settings, 7, NOW).unwrap();
        packet(&looks, memory.settings, reply, SYN | ACK);
    });
    thread::scope(|scope| {
        scope.spawn(move || packet(&one, memory.settings, reply, RST));
        scope.spawn(move || packet(&other, memory.settings, key(7), ACK));
    });
    with_turns(false, || {
        for key in [key(7), reply] {
            let state = find(&looks, memory.settings, &key).unwrap().control.state();
            assert!(state.has(State::CLOSED), "{key:?} is left open");
        }
        assert_eq!(counted(&memory), (1, 1));
    });
    1
}

/// The table is swept while the client of an old flow, from which alone packets come, moves; always once.
fn sweep_and_move() -> u64 {
    let heap = with_turns(false, || heap(BUCKETS, 2));
    let memory = heap.memory();
    let [looks, one, other] = [0, 0, 1].map(|number| Worker::new(memory, number, NOW));
    let now = NOW.wrapping_add(LIMITS.established);
    let reply = translated(7).reversed();
    with_turns(false, || {
        open(&looks, memory.settings, 7, NOW).unwrap();
        packet(&looks, memory.settings, reply, SYN | ACK);
        looks.set_now(now);
        packet(&looks, memory.settings, key(7), ACK);
    });
    thread::scope(|scope| {
        scope.spawn(move || {
            let hit = find(&one, memory.settings, &key(7)).expect("the flow is there");
            hit.follow(&one, &client(9));
        });
        scope.spawn(move || {
            for bucket in 0..BUCKETS {
                flow::sweep::<V4, _>(&other, bucket, now, |_| LIMITS);
            }
        });
    });
    with_turns(false, || {
        for key in [key(7), reply] {
            let hit = find(&looks, memory.settings, &key).expect("an active flow stays");
            assert_eq!(hit.entry.flow().client, client(9));
        }
    });
    1
}
