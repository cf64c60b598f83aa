//! Two threads that open the same flow at the same moment: one of them does, or none.

use std::{
    hint,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use super::fixture::{NOW, entries, heap, open};
use crate::memory::{Memory, Worker};

const ROUNDS: u64 = 20_000;

#[test]
fn two_threads_that_open_one_flow_at_once_never_both_succeed() {
    let heap = heap(2, 2);
    let memory = heap.memory();
    let (meeting, opened) = (Meeting::default(), AtomicU64::new(0));
    let both = thread::scope(|scope| {
        let [one, other] = [0, 1].map(|number| {
            let (meeting, opened) = (&meeting, &opened);
            scope.spawn(move || race(&memory, number, meeting, opened))
        });
        one.join().unwrap() + other.join().unwrap()
    });
    let opened = opened.into_inner();
    println!("{opened} of {ROUNDS} flows opened");
    assert_eq!(both, 0, "rounds in which a key was given two entries");
    assert!(
        opened > ROUNDS / 100,
        "the threads only ever got in each other's way"
    );
}

/// Opens one flow, round by round, together with the other thread; in how many rounds both did.
fn race(memory: &Memory<'_>, number: usize, meeting: &Meeting, opened: &AtomicU64) -> u64 {
    let worker = Worker::new(*memory, number, NOW);
    let mut both = 0;
    for _ in 0..ROUNDS {
        meeting.wait();
        let ours = open(&worker, memory.settings, 7, NOW).is_ok();
        opened.fetch_add(ours.into(), Ordering::SeqCst);
        meeting.wait();
        if number == 0 {
            both += u64::from(entries(memory.buckets_v4).len() > 2);
            for bucket in memory.buckets_v4 {
                bucket
                    .0
                    .iter()
                    .for_each(|entry| entry.control.store(entry.control().freed().0));
            }
        }
    }
    both
}

/// Where two threads wait for each other without going to sleep: waking up would put them apart again.
#[derive(Default)]
struct Meeting {
    arrived: AtomicU64,
}

impl Meeting {
    fn wait(&self) {
        let before = self.arrived.fetch_add(1, Ordering::SeqCst);
        let mut turns = 0_u32;
        while self.arrived.load(Ordering::SeqCst) < before - before % 2 + 2 {
            turns += 1;
            if turns.is_multiple_of(1000) {
                // The other may want this CPU.
                thread::yield_now();
            }
            hint::spin_loop();
        }
    }
}
