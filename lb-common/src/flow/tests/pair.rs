//! Two directions, one flow: state, the way to the client, and the count of flows.

use super::fixture::{
    NOW, active, client, counted, find, heap, key, open, packet, reopen, segment, translated,
};
use crate::{
    address::{Tuple, V4},
    flow::{self, Flow, State, Why},
    memory::{Memory, Worker},
    wire::{ACK, FIN, RST, SYN},
};

#[test]
fn both_entries_learn_what_either_direction_says() {
    let heap = heap(64, 1);
    let (worker, memory) = (Worker::new(heap.memory(), 0, NOW), heap.memory());
    open(&worker, memory.settings, 7, NOW).unwrap();
    let reply = translated(7).reversed();
    packet(&worker, memory.settings, reply, SYN | ACK);
    packet(&worker, memory.settings, key(7), ACK);
    packet(&worker, memory.settings, key(7), FIN | ACK);
    let expected = State::READY
        .with(State::ANSWERED)
        .with(State::ESTABLISHED)
        .with(State::CLIENT_FIN);
    let state = |key| find(&worker, memory.settings, &key).unwrap().control.state();
    assert_eq!(state(key(7)), expected);
    assert_eq!(state(reply), expected.with(State::REPLY));
    assert_eq!(counted(&memory), (1, 0));
}

#[test]
fn a_flow_is_counted_as_closed_once_whoever_says_it_and_how_often() {
    let endings: [&[(bool, u8)]; 5] = [
        &[(false, FIN), (true, FIN)],
        &[(true, FIN), (false, FIN), (false, FIN), (true, FIN)],
        &[(false, RST)],
        &[(true, RST), (false, RST), (true, RST)],
        &[(false, RST), (true, FIN), (false, FIN)],
    ];
    for ending in endings {
        let heap = heap(64, 1);
        let (worker, memory) = (Worker::new(heap.memory(), 0, NOW), heap.memory());
        open(&worker, memory.settings, 7, NOW).unwrap();
        for (reply, flags) in ending {
            let tuple = if *reply { translated(7).reversed() } else { key(7) };
            packet(&worker, memory.settings, tuple, *flags);
        }
        assert_eq!(counted(&memory), (1, 1), "{ending:?}");
        let hit = find(&worker, memory.settings, &key(7)).unwrap();
        assert!(hit.end(&worker, Why::Over));
        assert_eq!(counted(&memory), (1, 1), "{ending:?}, then removed");
    }
}

#[test]
fn a_flow_opened_anew_stands_where_its_last_one_stood_and_is_another() {
    let heap = heap(64, 1);
    let (worker, memory) = (Worker::new(heap.memory(), 0, NOW), heap.memory());
    open(&worker, memory.settings, 7, NOW).unwrap();
    assert!(!reopen(&worker, memory.settings, 7, NOW), "it is not closed");
    packet(&worker, memory.settings, key(7), RST);
    let found =
        || [key(7), translated(7).reversed()].map(|key| find(&worker, memory.settings, &key).unwrap());
    let before = found();
    assert!(reopen(&worker, memory.settings, 7, NOW));
    for (before, after) in before.iter().zip(found()) {
        assert_eq!(before.index(), after.index());
        assert!(
            !before.is_current() && !before.end(&worker, Why::Over),
            "who knew the last one leaves the next alone"
        );
        assert!(after.is_current() && !after.control.has(State::CLOSED));
        assert_eq!(
            after
                .partner(&worker)
                .map(|other| other.partner(&worker).map(|it| it.index())),
            Some(Some(after.index()))
        );
    }
    assert_eq!((counted(&memory), active(&memory)), ((2, 1), 1));
}

#[test]
fn two_fins_at_the_same_time_close_a_flow() {
    let heap = heap(64, 1);
    let (worker, memory) = (Worker::new(heap.memory(), 0, NOW), heap.memory());
    open(&worker, memory.settings, 7, NOW).unwrap();
    let reply = translated(7).reversed();
    // Each CPU has found its entry before the other changed anything.
    let ours = find(&worker, memory.settings, &key(7)).unwrap();
    let theirs = find(&worker, memory.settings, &reply).unwrap();
    flow::track(&worker, &segment(key(7), FIN), &ours);
    flow::track(&worker, &segment(reply, FIN), &theirs);
    assert!(
        find(&worker, memory.settings, &key(7))
            .unwrap()
            .control
            .state()
            .has(State::CLOSED)
    );
    assert!(
        find(&worker, memory.settings, &reply)
            .unwrap()
            .control
            .state()
            .has(State::CLOSED)
    );
    assert_eq!(counted(&memory), (1, 1));
    assert_eq!(active(&memory), 0);
}

#[test]
fn a_late_packet_of_a_flow_that_is_gone_says_nothing_of_the_next_one_in_its_place() {
    let heap = heap(2, 1);
    let (worker, memory) = (Worker::new(heap.memory(), 0, NOW), heap.memory());
    open(&worker, memory.settings, 7, NOW).unwrap();
    let stale = find(&worker, memory.settings, &key(7)).unwrap();
    assert!(
        find(&worker, memory.settings, &key(7))
            .unwrap()
            .end(&worker, Why::Over)
    );
    let n = stands_at(&worker, &memory, stale.index(), key);
    let (opened, closed) = counted(&memory);

    flow::track(&worker, &segment(key(7), RST), &stale);
    for tuple in [key(n), translated(n).reversed()] {
        let hit = find(&worker, memory.settings, &tuple).unwrap();
        assert!(!hit.control.state().has(State::CLOSED));
    }
    assert_eq!(counted(&memory), (opened, closed));
}

#[test]
fn the_end_of_a_reply_that_is_gone_is_not_the_end_of_the_next_flow_in_its_place() {
    let heap = heap(2, 1);
    let (worker, memory) = (Worker::new(heap.memory(), 0, NOW), heap.memory());
    open(&worker, memory.settings, 7, NOW).unwrap();
    let stale = find(&worker, memory.settings, &translated(7).reversed()).unwrap();
    assert!(
        find(&worker, memory.settings, &key(7))
            .unwrap()
            .end(&worker, Why::Over)
    );
    let n = stands_at(&worker, &memory, stale.index(), |n| translated(n).reversed());

    assert!(!stale.end(&worker, Why::Over));
    assert!(find(&worker, memory.settings, &key(n)).is_some());
    assert!(find(&worker, memory.settings, &translated(n).reversed()).is_some());
}

/// Opens a flow, whichever it is, of which the entry of this key stands at `index`.
fn stands_at(worker: &Worker<'_>, memory: &Memory<'_>, index: u32, key: fn(u16) -> Tuple<V4>) -> u16 {
    let there = |n: &u16| {
        open(worker, memory.settings, *n, NOW).unwrap();
        let hit = find(worker, memory.settings, &key(*n)).unwrap();
        hit.index() == index || !hit.end(worker, Why::Over)
    };
    (100..200).find(there).expect("one of many keys stands there")
}

#[test]
fn a_new_way_to_the_client_is_in_both_entries_and_nothing_else_is_changed() {
    let heap = heap(64, 1);
    let (worker, memory) = (Worker::new(heap.memory(), 0, NOW), heap.memory());
    open(&worker, memory.settings, 7, NOW).unwrap();
    for tuple in [key(7), translated(7).reversed()] {
        let moved = client(if tuple == key(7) { 9 } else { 10 });
        let (found, before) = (
            find(&worker, memory.settings, &key(7)).unwrap(),
            flow(&worker, &memory, &tuple),
        );
        found.follow(&worker, &moved);
        assert!(!found.is_current(), "a new generation");
        let expected = Flow {
            client: moved,
            ..before
        };
        assert_eq!(flow(&worker, &memory, &tuple), expected);
        assert_eq!(
            find(&worker, memory.settings, &key(7)).unwrap().control.state(),
            State::READY
        );
    }
}

#[test]
fn a_packet_that_moves_the_client_and_changes_the_state_does_both() {
    let heap = heap(64, 1);
    let (worker, memory) = (Worker::new(heap.memory(), 0, NOW), heap.memory());
    open(&worker, memory.settings, 7, NOW).unwrap();
    let hit = find(&worker, memory.settings, &key(7)).unwrap();
    flow::track(&worker, &segment(key(7), FIN), &hit);
    hit.follow(&worker, &client(9));
    for tuple in [key(7), translated(7).reversed()] {
        let hit = find(&worker, memory.settings, &tuple).unwrap();
        assert!(hit.control.state().has(State::CLIENT_FIN));
        assert_eq!(hit.entry.flow().client, client(9));
    }
}

#[test]
fn a_client_whose_reply_entry_is_being_changed_stays_where_it_is_known_to_be() {
    let heap = heap(64, 1);
    let (worker, memory) = (Worker::new(heap.memory(), 0, NOW), heap.memory());
    open(&worker, memory.settings, 7, NOW).unwrap();
    let reply = find(&worker, memory.settings, &translated(7).reversed()).unwrap();
    reply
        .entry
        .control
        .store(reply.control.claimed(reply.control.tag()).0);
    let hit = find(&worker, memory.settings, &key(7)).unwrap();
    hit.follow(&worker, &client(9));
    // Else its next packet would find nothing to change, and replies went to the old place for ever.
    assert_eq!(flow(&worker, &memory, &key(7)).client, client(7));
}

fn flow(worker: &Worker<'_>, memory: &Memory<'_>, tuple: &Tuple<V4>) -> Flow<V4> {
    find(worker, memory.settings, tuple).unwrap().entry.flow()
}
