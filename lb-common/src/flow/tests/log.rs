//! What is left to the flow log when flows end.

use super::fixture::{NOW, SECOND, find, heap, key, open, packet, translated};
use crate::{
    address::{Address as _, Tuple, V4, V6},
    flow::{self, Limits, Record, State, Why},
    layout::Ended,
    memory::{Heap, Memory, Worker},
    wire::{ACK, FIN, SYN},
};

/// Long enough for no flow here to be over.
const NEVER: Limits = Limits {
    established: u32::MAX / 4,
    half_open: u32::MAX / 4,
    closed: u32::MAX / 4,
};

fn logging() -> Heap {
    let heap = heap(64, 1);
    heap.memory().settings.flow_log.store(1);
    heap.memory().settings.log_null.store(1);
    heap
}

fn records(memory: &Memory<'_>) -> Vec<Record> {
    let written = memory.ends[0].written.load();
    let rows = (1..=written).zip(memory.ended);
    rows.map(|(number, row)| row.record(number).expect("a row that is written"))
        .collect()
}

fn sweep(memory: &Memory<'_>, now: u32, limits: Limits) {
    let worker = Worker::new(*memory, 0, now);
    for bucket in 0..u32::try_from(memory.buckets_v4.len()).unwrap() {
        flow::sweep::<V4, _>(&worker, bucket, now, |_| limits);
    }
}

fn mapped(tuple: Tuple<V4>) -> Tuple<V6> {
    Tuple::new(tuple.src.mapped(), tuple.dst.mapped(), tuple.ports())
}

/// Lets a handshake and both FINs pass.
fn close(worker: &Worker<'_>, memory: &Memory<'_>, n: u16) {
    let (there, back) = (key(n), translated(n).reversed());
    for (tuple, flags) in [
        (back, SYN | ACK),
        (there, ACK),
        (back, FIN | ACK),
        (there, FIN | ACK),
    ] {
        packet(worker, memory.settings, tuple, flags);
    }
}

#[test]
fn a_flow_is_logged_with_what_is_known_of_it() {
    let heap = logging();
    let (worker, memory) = (Worker::new(heap.memory(), 0, NOW), heap.memory());
    open(&worker, memory.settings, 7, NOW).unwrap();
    let hit = find(&worker, memory.settings, &key(7)).unwrap();
    let account = |index: u32| &memory.accounts[index as usize];
    for (index, counts) in [(hit.index(), [3, 300, 30]), (hit.entry.partner(), [2, 250, 100])] {
        let account = account(index);
        let cells = [&account.packets, &account.bytes, &account.payload];
        cells
            .iter()
            .zip(counts)
            .for_each(|(cell, count)| cell.store(count));
    }
    worker.set_now(NOW.wrapping_add(9));
    assert!(hit.end(&worker, Why::Killed));
    let expected = Record {
        key: mapped(key(7)),
        to: mapped(translated(7)),
        way: hit.way,
        began: Some(NOW),
        seen: NOW,
        ended: NOW.wrapping_add(9),
        state: State::READY,
        why: Why::Killed,
        sent: [3, 300, 30],
        answered: [2, 250, 100],
    };
    assert_eq!(records(&memory), [expected]);
    assert!(!hit.end(&worker, Why::Killed), "it has ended");
    assert_eq!(records(&memory).len(), 1);
}

#[test]
fn a_closed_flow_is_logged_after_a_second_and_not_again_when_it_goes() {
    let heap = logging();
    let (worker, memory) = (Worker::new(heap.memory(), 0, NOW), heap.memory());
    open(&worker, memory.settings, 7, NOW).unwrap();
    close(&worker, &memory, 7);
    sweep(&memory, NOW.wrapping_add(SECOND - 1), NEVER);
    assert_eq!(records(&memory), [], "its last packets may be on their way");
    sweep(&memory, NOW.wrapping_add(SECOND), NEVER);
    let [record] = records(&memory)[..] else {
        panic!("one flow has ended")
    };
    assert!(record.state.has(State::CLOSED) && record.why == Why::Over);
    sweep(&memory, NOW.wrapping_add(SECOND), NEVER);
    sweep(&memory, NOW.wrapping_add(SECOND), Limits { closed: 0, ..NEVER });
    assert!(find(&worker, memory.settings, &key(7)).is_none(), "it is gone");
    assert_eq!(records(&memory).len(), 1);
}

#[test]
fn where_flows_are_not_logged_nothing_is_written() {
    let heap = logging();
    let (worker, memory) = (Worker::new(heap.memory(), 0, NOW), heap.memory());
    memory.settings.flow_log.store(0);
    open(&worker, memory.settings, 7, NOW).unwrap();
    memory.settings.flow_log.store(1);
    let hit = find(&worker, memory.settings, &key(7)).unwrap();
    flow::log(&worker, &hit, Why::Stopped);
    assert_eq!(
        records(&memory),
        [],
        "nor is what began then, unless it is taken up"
    );
    flow::take_up(&worker, &hit);
    assert!(hit.end(&worker, Why::Killed));
    let began: Vec<_> = records(&memory).iter().map(|record| record.began).collect();
    assert_eq!(began, [None], "when it began is not known");
}

#[test]
fn a_flow_without_payload_is_left_out_where_that_is_wanted() {
    let heap = logging();
    let (worker, memory) = (Worker::new(heap.memory(), 0, NOW), heap.memory());
    memory.settings.log_null.store(0);
    for n in [7, 8] {
        open(&worker, memory.settings, n, NOW).unwrap();
    }
    let spoken = find(&worker, memory.settings, &key(8)).unwrap();
    let partner = spoken.entry.partner() as usize;
    memory.accounts[partner].payload.store(1);
    sweep(
        &memory,
        NOW.wrapping_add(1),
        Limits {
            half_open: 0,
            ..NEVER
        },
    );
    let keys: Vec<_> = records(&memory).iter().map(|record| record.key).collect();
    assert_eq!(keys, [mapped(key(8))]);
    assert_eq!(memory.ends[0].lost.load(), 0, "the other is not missed");
}

#[test]
fn a_flow_that_is_moved_goes_on_and_is_not_logged() {
    let heap = logging();
    let (worker, memory) = (Worker::new(heap.memory(), 0, NOW), heap.memory());
    open(&worker, memory.settings, 7, NOW).unwrap();
    let hit = find(&worker, memory.settings, &key(7)).unwrap();
    assert!(hit.end(&worker, Why::Moved));
    assert_eq!(records(&memory), []);
}

#[test]
fn what_finds_no_row_is_counted_and_overwrites_nothing() {
    let heap = logging();
    let (worker, memory) = (Worker::new(heap.memory(), 0, NOW), heap.memory());
    let end = |n: u16| {
        open(&worker, memory.settings, n, NOW).unwrap();
        let hit = find(&worker, memory.settings, &key(n)).unwrap();
        assert!(hit.end(&worker, Why::Killed));
    };
    let rows = u16::try_from(Ended::ROWS).unwrap();
    (1..=rows + 3).for_each(end);
    let ends = &memory.ends[0];
    assert_eq!((ends.written.load(), ends.lost.load()), (u64::from(rows), 3));
    assert_eq!(records(&memory)[0].key, mapped(key(1)));
    ends.read.store(2);
    (1..=3).for_each(end);
    assert_eq!((ends.written.load(), ends.lost.load()), (u64::from(rows) + 2, 4));
    let number = u64::from(rows) + 1;
    assert_eq!(memory.ended[0].record(number).unwrap().key, mapped(key(1)));
    assert_eq!(
        memory.ended[0].record(1),
        None,
        "the first row has another flow now"
    );
}
