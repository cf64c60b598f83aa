//! Making room: closed flows first, then those that never opened, established ones never.

use super::fixture::{NOW, SECOND, counted, find, heap, key, open, packet, translated};
use crate::{
    flow::State,
    memory::{Heap, Memory, Worker},
    reason::Reason,
    wire::{ACK, RST, SYN},
};

/// After this many ticks a flow that nobody answered may go.
const OLD: u32 = SECOND / 2 + 1;

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

#[test]
fn of_flows_that_nobody_answered_the_oldest_goes() {
    for oldest in 0..4 {
        let heap = heap(2, 1);
        let (worker, memory) = (Worker::new(heap.memory(), 0, NOW), heap.memory());
        for n in 0..4 {
            let age = if n == oldest { 2 } else { 1 };
            open(&worker, memory.settings, n, NOW.wrapping_sub(age)).unwrap();
        }
        open(&worker, memory.settings, 9, NOW.wrapping_add(OLD)).unwrap();
        let there: Vec<u16> = (0..4).filter(|n| is_there(&memory, &worker, *n)).collect();
        let others: Vec<u16> = (0..4).filter(|n| *n != oldest).collect();
        assert_eq!(there, others);
    }
}

#[test]
fn a_flood_pushes_out_itself_and_no_handshake_that_goes_on() {
    let heap = heap(64, 1);
    let (worker, memory) = (Worker::new(heap.memory(), 0, NOW), heap.memory());
    // The flood fills the table once in as much time as a handshake takes.
    let round_trip = SECOND / 5;
    let mut admitted = 0;
    for n in 0..20_000_u16 {
        let now = NOW.wrapping_add(u32::from(n) * round_trip / 128);
        worker.set_now(now);
        admitted += u32::from(open(&worker, memory.settings, n, now).is_ok());
        if n % 100 == 0 && find(&worker, memory.settings, &key(n)).is_some() {
            // A client of these answers after a round trip; meanwhile nobody else may have its place.
            let later = now.wrapping_add(round_trip);
            for other in 20_000..20_400 {
                let _full = open(&worker, memory.settings, other, later);
            }
            assert!(is_there(&memory, &worker, n), "{n}");
            packet(&worker, memory.settings, translated(n).reversed(), RST);
        }
    }
    // The table has room for 128 flows at a time, and the flood lasts for sixty times half a second.
    assert!(admitted > 60 * 128 / 4, "{admitted}");
}
