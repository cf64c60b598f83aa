//! Sweeping by age and state.

use super::fixture::{
    BACKEND, NOW, count_sources, counted, entries, find, heap, key, of_sources, open, packet, translated,
};
use crate::{
    Tables as _,
    address::V4,
    flow::{self, Limits, State},
    memory::{Memory, Worker},
    wire::{ACK, RST, SYN},
};

const LIMITS: Limits = Limits {
    established: 1000,
    half_open: 100,
    closed: 10,
};

fn sweep(memory: &Memory<'_>, worker: &Worker<'_>, now: u32) -> u32 {
    let buckets = 0..u32::try_from(memory.buckets_v4.len()).unwrap();
    buckets
        .map(|bucket| {
            flow::sweep::<V4, _>(worker, bucket, now, |backend| {
                assert_eq!(backend, BACKEND);
                LIMITS
            })
        })
        .sum()
}

/// A flow goes at its limit and not a tick before.
fn goes_after(limit: u32, history: &[(bool, u8)]) {
    let heap = heap(64, 1);
    let (worker, memory) = (Worker::new(heap.memory(), 0, NOW), heap.memory());
    count_sources(&memory);
    open(&worker, memory.settings, 7, NOW).unwrap();
    assert_eq!(of_sources(&memory), 1);
    for (reply, flags) in history {
        let tuple = if *reply { translated(7).reversed() } else { key(7) };
        packet(&worker, memory.settings, tuple, *flags);
    }
    assert_eq!(sweep(&memory, &worker, NOW.wrapping_add(limit - 1)), 0);
    assert_eq!(entries(memory.buckets_v4).len(), 2);
    assert_eq!(sweep(&memory, &worker, NOW.wrapping_add(limit)), 1);
    assert_eq!(entries(memory.buckets_v4), []);
    assert_eq!(counted(&memory), (1, 1));
    assert_eq!(of_sources(&memory), 0);
}

#[test]
fn a_flow_that_never_opened_goes_after_its_limit() {
    goes_after(LIMITS.half_open, &[]);
    goes_after(LIMITS.half_open, &[(true, SYN | ACK)]);
}

#[test]
fn an_established_flow_goes_after_its_limit() {
    goes_after(LIMITS.established, &[(true, SYN | ACK), (false, ACK)]);
}

#[test]
fn a_closed_flow_goes_after_its_limit_and_is_not_counted_twice() {
    goes_after(LIMITS.closed, &[(true, SYN | ACK), (false, ACK), (true, RST)]);
}

#[test]
fn a_packet_in_either_direction_keeps_both_entries() {
    for reply in [false, true] {
        let heap = heap(64, 1);
        let (worker, memory) = (Worker::new(heap.memory(), 0, NOW), heap.memory());
        open(&worker, memory.settings, 7, NOW).unwrap();
        let later = NOW.wrapping_add(LIMITS.half_open);
        worker.set_now(later);
        let tuple = if reply { translated(7).reversed() } else { key(7) };
        packet(&worker, memory.settings, tuple, 0);
        assert_eq!(sweep(&memory, &worker, later), 0);
        assert_eq!(entries(memory.buckets_v4).len(), 2);
    }
}

#[test]
fn a_clock_behind_that_of_the_packet_path_removes_nothing() {
    let heap = heap(64, 1);
    let (worker, memory) = (Worker::new(heap.memory(), 0, NOW), heap.memory());
    open(&worker, memory.settings, 7, NOW).unwrap();
    assert_eq!(sweep(&memory, &worker, NOW.wrapping_sub(5)), 0);
}

/// Frees one entry of a flow by hand, as a CPU does that is faster than the one that removes the other.
fn orphan(memory: &Memory<'_>, worker: &Worker<'_>, reply: bool) {
    let tuple = if reply { key(7) } else { translated(7).reversed() };
    let hit = find(worker, memory.settings, &tuple).unwrap();
    hit.entry.control.store(hit.control.freed().0);
}

#[test]
fn an_entry_that_lost_its_partner_goes_by_itself_and_a_reply_is_no_flow() {
    for reply in [false, true] {
        let heap = heap(64, 1);
        let (worker, memory) = (Worker::new(heap.memory(), 0, NOW), heap.memory());
        open(&worker, memory.settings, 7, NOW).unwrap();
        orphan(&memory, &worker, reply);
        assert_eq!(sweep(&memory, &worker, NOW.wrapping_add(LIMITS.half_open)), 1);
        assert_eq!(entries(memory.buckets_v4), []);
        let expected = if reply { (1, 0) } else { (1, 1) };
        assert_eq!(
            counted(&memory),
            expected,
            "whoever ends the client's entry counts"
        );
    }
}

#[test]
fn a_reply_whose_partner_is_being_changed_stays() {
    let heap = heap(64, 1);
    let (worker, memory) = (Worker::new(heap.memory(), 0, NOW), heap.memory());
    open(&worker, memory.settings, 7, NOW).unwrap();
    let hit = find(&worker, memory.settings, &key(7)).unwrap();
    let claimed = hit.control.claimed(hit.control.tag());
    hit.entry.control.store(claimed.0);
    assert_eq!(sweep(&memory, &worker, NOW.wrapping_add(LIMITS.half_open)), 0);
    hit.entry.control.store(claimed.with_state(State::READY).0);
    assert_eq!(sweep(&memory, &worker, NOW.wrapping_add(LIMITS.half_open)), 1);
    assert_eq!(
        worker
            .backend_counters(worker.settings().unwrap(), 1)
            .unwrap()
            .flows_closed
            .load(),
        1
    );
}
