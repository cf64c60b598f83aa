//! Finding, claiming, publishing and removing.

use super::fixture::{NOW, client, entries, find, heap, key, open, translated};
use crate::{
    address::{TCP, UDP, V4},
    flow::{self, State, Why},
    memory::Worker,
    reason::Reason,
};

#[test]
fn both_directions_are_found_by_what_their_packets_carry() {
    let heap = heap(64, 1);
    let (worker, memory) = (Worker::new(heap.memory(), 0, NOW), heap.memory());
    open(&worker, memory.settings, 7, NOW).unwrap();

    let hit = find(&worker, memory.settings, &key(7)).unwrap();
    assert_eq!(hit.entry.flow().to, translated(7));
    assert_eq!(hit.entry.flow().client, client(7));
    let reply = find(&worker, memory.settings, &translated(7).reversed()).unwrap();
    assert_eq!(reply.entry.flow().to, key(7).reversed());
    assert_eq!(reply.entry.flow().client, client(7));
    assert!(reply.control.state().has(State::REPLY));
    assert_eq!(hit.partner(&worker).unwrap().index(), reply.index());
    assert_eq!(reply.partner(&worker).unwrap().index(), hit.index());
}

#[test]
fn the_same_key_of_the_other_protocol_is_another_flow() {
    let heap = heap(64, 1);
    let (worker, memory) = (Worker::new(heap.memory(), 0, NOW), heap.memory());
    open(&worker, memory.settings, 7, NOW).unwrap();
    assert!(
        flow::find(&worker, memory.settings, &key(7), UDP)
            .unwrap()
            .is_none()
    );
}

#[test]
fn a_key_stands_in_one_of_two_buckets_and_the_second_is_used() {
    // Two buckets of four: every key may stand in each of them, and four flows fill them with both directions.
    let heap = heap(2, 1);
    let (worker, memory) = (Worker::new(heap.memory(), 0, NOW), heap.memory());
    for n in 0..4 {
        open(&worker, memory.settings, n, NOW).unwrap();
    }
    for n in 0..4 {
        let hit = find(&worker, memory.settings, &key(n)).unwrap();
        assert_eq!(hit.entry.to(), translated(n));
        assert!(find(&worker, memory.settings, &translated(n).reversed()).is_some());
    }
    assert_eq!(entries(memory.buckets_v4).len(), 8);
}

#[test]
fn a_key_that_has_an_entry_cannot_be_claimed_again() {
    let heap = heap(64, 1);
    let (worker, memory) = (Worker::new(heap.memory(), 0, NOW), heap.memory());
    open(&worker, memory.settings, 7, NOW).unwrap();
    assert_eq!(
        flow::claim(&worker, memory.settings, &key(7), TCP).err(),
        Some(Reason::FlowContended)
    );
    assert_eq!(entries(memory.buckets_v4).len(), 2, "nothing is left behind");
}

#[test]
fn a_claim_is_taken_but_not_to_be_read_until_it_is_published_or_released() {
    let heap = heap(64, 1);
    let (worker, memory) = (Worker::new(heap.memory(), 0, NOW), heap.memory());
    let claim = flow::claim(&worker, memory.settings, &key(7), TCP).unwrap();
    assert!(!flow::is_free(&worker, memory.settings, &key(7), TCP, false).unwrap());
    let unreadable = flow::find(&worker, memory.settings, &key(7), TCP).map(|hit| hit.is_some());
    assert_eq!(unreadable, Err(Reason::FlowContended));
    claim.release::<V4, _>(&worker);
    assert!(flow::is_free(&worker, memory.settings, &key(7), TCP, false).unwrap());
    assert!(find(&worker, memory.settings, &key(7)).is_none());
}

#[test]
fn whoever_found_an_entry_before_it_was_given_up_changes_nothing_of_the_next_flow_there() {
    let heap = heap(2, 1);
    let (worker, memory) = (Worker::new(heap.memory(), 0, NOW), heap.memory());
    open(&worker, memory.settings, 7, NOW).unwrap();
    let [stale, again] = [(); 2].map(|()| find(&worker, memory.settings, &key(7)).unwrap());
    assert!(again.end(&worker, Why::Over));
    assert!(!stale.end(&worker, Why::Over), "only one of two ends a flow");

    open(&worker, memory.settings, 7, NOW).unwrap();
    let new = find(&worker, memory.settings, &key(7)).unwrap();
    assert_eq!(
        new.index(),
        stale.index(),
        "the same flow stands in the same place again"
    );
    assert_ne!(new.control, stale.control, "by another generation");
    assert!(!stale.is_current());
    assert!(!stale.end(&worker, Why::Over));
    stale.follow(&worker, &client(9));
    assert!(!stale.advance(&worker, State::CLOSED));
    assert!(new.is_current(), "the next flow is as it was");
}

#[test]
fn the_end_of_one_direction_is_the_end_of_the_other() {
    for reply in [false, true] {
        let heap = heap(64, 1);
        let (worker, memory) = (Worker::new(heap.memory(), 0, NOW), heap.memory());
        open(&worker, memory.settings, 7, NOW).unwrap();
        let found_by = if reply { translated(7).reversed() } else { key(7) };
        let hit = find(&worker, memory.settings, &found_by).unwrap();
        assert!(hit.end(&worker, Why::Over));
        assert_eq!(entries(memory.buckets_v4), []);
        assert_eq!(super::fixture::counted(&memory), (1, 1));
    }
}
