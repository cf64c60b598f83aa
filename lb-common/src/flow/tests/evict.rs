//! Making room: closed flows first, then those that never opened, established ones never.

use super::fixture::{NOW, counted, find, heap, key, open, packet, translated};
use crate::{
    flow::State,
    memory::{Heap, Memory, Worker},
    reason::Reason,
    wire::{ACK, RST, SYN},
};

/// After this many ticks a flow that nobody answered may go.
const OLD: u32 = 26;

/// Two buckets, filled by four flows.
fn full() -> Heap {
    let heap = heap(2, 1);
    let worker = Worker::new(heap.memory(), 0, NOW);
    for n in 0..4 {
        open(&worker, heap.memory().settings, n, NOW).unwrap();
    }
    heap
}

fn establish(memory: &Memory<'_>, worker: &Worker<'_>, n: u16) {
    packet(worker, memory.settings, translated(n).reversed(), SYN | ACK);
    packet(worker, memory.settings, key(n), ACK);
}

fn is_there(memory: &Memory<'_>, worker: &Worker<'_>, n: u16) -> bool {
    let both = [key(n), translated(n).reversed()].map(|key| find(worker, memory.settings, &key).is_some());
    assert_eq!(both[0], both[1], "flow {n} has one direction only");
    both[0]
}

#[test]
fn established_flows_are_never_evicted_however_old() {
    let heap = full();
    let (worker, memory) = (Worker::new(heap.memory(), 0, NOW), heap.memory());
    for n in 0..4 {
        establish(&memory, &worker, n);
    }
    let much_later = NOW.wrapping_add(1 << 30);
    assert_eq!(
        open(&worker, memory.settings, 9, much_later),
        Err(Reason::FlowTableFull)
    );
    assert!((0..4).all(|n| is_there(&memory, &worker, n)));
    assert_eq!(counted(&memory), (4, 0));
}

#[test]
fn a_young_flow_that_may_still_be_answered_stays() {
    let heap = full();
    let (worker, memory) = (Worker::new(heap.memory(), 0, NOW), heap.memory());
    let soon = NOW.wrapping_add(OLD - 1);
    assert_eq!(
        open(&worker, memory.settings, 9, soon),
        Err(Reason::FlowTableFull)
    );
    assert_eq!(counted(&memory), (4, 0));
}

#[test]
fn a_flow_written_by_a_clock_ahead_of_ours_is_young() {
    let heap = full();
    let (worker, memory) = (Worker::new(heap.memory(), 0, NOW), heap.memory());
    let a_moment_ago = NOW.wrapping_sub(1);
    assert_eq!(
        open(&worker, memory.settings, 9, a_moment_ago),
        Err(Reason::FlowTableFull)
    );
}

#[test]
fn a_flow_that_nobody_answered_goes_and_is_counted() {
    let heap = full();
    let (worker, memory) = (Worker::new(heap.memory(), 0, NOW), heap.memory());
    for n in [0, 1, 3] {
        establish(&memory, &worker, n);
    }
    open(&worker, memory.settings, 9, NOW.wrapping_add(OLD)).unwrap();
    let there: Vec<u16> = [0, 1, 2, 3, 9]
        .into_iter()
        .filter(|n| is_there(&memory, &worker, *n))
        .collect();
    assert_eq!(there, [0, 1, 3, 9]);
    assert_eq!(counted(&memory), (5, 1));
}

#[test]
fn a_closed_flow_goes_before_one_that_never_opened() {
    let heap = full();
    let (worker, memory) = (Worker::new(heap.memory(), 0, NOW), heap.memory());
    establish(&memory, &worker, 0);
    packet(&worker, memory.settings, key(3), RST);
    // 1 and 2 are half-open and old, and stand before 3.
    open(&worker, memory.settings, 9, NOW.wrapping_add(OLD)).unwrap();
    let there: Vec<u16> = [0, 1, 2, 3, 9]
        .into_iter()
        .filter(|n| is_there(&memory, &worker, *n))
        .collect();
    assert_eq!(there, [0, 1, 2, 9]);
    assert_eq!(counted(&memory), (5, 1), "closed by RST, not again by eviction");
}

#[test]
fn an_entry_that_is_being_filled_is_not_evicted() {
    let heap = full();
    let (worker, memory) = (Worker::new(heap.memory(), 0, NOW), heap.memory());
    for n in 0..3 {
        establish(&memory, &worker, n);
    }
    for tuple in [key(3), translated(3).reversed()] {
        let hit = find(&worker, memory.settings, &tuple).unwrap();
        let claimed = hit.control.claimed(hit.control.tag());
        assert_eq!(claimed.state(), State::CLAIMED);
        hit.entry.control.store(claimed.0);
    }
    assert_eq!(
        open(&worker, memory.settings, 9, NOW.wrapping_add(OLD)),
        Err(Reason::FlowTableFull)
    );
}
