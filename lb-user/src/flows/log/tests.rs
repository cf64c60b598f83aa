//! From the rings to lines.

use std::{fs, path::Path};

use lb_common::{
    Tables as _,
    flow::{self, Hit},
};
use serde_json::Value;

use super::*;
use crate::{
    config::types::Destination,
    flows::tests::{CLOCK, names, open, tables, v4_flow},
};

const WORKER: u32 = 0;

/// A log into a file, and what is in it at the end.
fn logged(memory: &Memory<'_>, work: impl FnOnce(&mut Log)) -> Vec<Value> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("flows.json");
    let out = Out::open(&Destination::File(path.clone())).expect("a file");
    let mut log = Log::start(memory, out).expect("a thread");
    work(&mut log);
    drop(log);
    lines(&path)
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("a file");
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("a JSON document"))
        .collect()
}

fn gather(log: &mut Log, memory: &Memory<'_>) {
    log.gather(memory, CLOCK, &LazyCell::new(names));
}

/// Opens a flow that is in this state, and ends it.
fn end(memory: &Memory<'_>, port: u16, state: State, why: Why) {
    let tables = Worker::new(*memory, WORKER as usize, CLOCK.now);
    open(
        memory,
        v4_flow(port),
        lb_common::address::TCP,
        0,
        state,
        [9_000, 9_500],
    );
    let (key, _) = v4_flow(port);
    let settings = tables.settings().expect("settings");
    let hit: Hit<'_, V4> = flow::find(&tables, settings, &key, lb_common::address::TCP)
        .expect("readable")
        .expect("there");
    // It began a thousand ticks ago, and a packet of either end had something to say.
    let accounts = memory.accounts;
    accounts[hit.index() as usize].began.store((1 << 32) + 9_000);
    accounts[hit.index() as usize].packets.store(2);
    accounts[hit.entry.partner() as usize].payload.store(77);
    assert!(hit.end(&tables, why));
}

#[test]
fn a_line_says_who_when_how_much_and_why() {
    let heap = tables();
    let memory = heap.memory();
    let closed = State::ESTABLISHED
        .with(State::CLIENT_FIN)
        .with(State::BACKEND_FIN)
        .with(State::CLOSED);
    let lines = logged(&memory, |log| {
        memory.settings.log_null.store(1);
        end(&memory, 5, closed, Why::Over);
        gather(log, &memory);
    });
    let [line] = &lines[..] else { panic!("{lines:?}") };
    for (key, value) in [
        ("protocol", "tcp"),
        ("service", "web"),
        ("backend", "be1"),
        ("mode", "full-nat"),
        ("client", "10.1.0.2:5"),
        ("virtual_address", "10.0.0.100:80"),
        ("snat_address", "10.1.1.1:1029"),
        ("backend_address", "10.1.1.2:8080"),
        ("reason", "fin"),
    ] {
        assert_eq!(line[key], value, "{key} of {line}");
    }
    for (key, value) in [
        ("duration_ms", 2000),
        ("packets_in", 2),
        ("payload_out", 77),
        ("retries", 0),
    ] {
        assert_eq!(line[key], value, "{key} of {line}");
    }
    let time = |key: &str| humantime::parse_rfc3339(line[key].as_str().expect("a text")).expect("a time");
    let took = time("end").duration_since(time("start")).expect("it ended later");
    assert_eq!(took.as_millis(), 2000);
}

#[test]
fn each_end_has_its_word() {
    let established = State::ESTABLISHED;
    let one_fin = established.with(State::CLIENT_FIN);
    let ends = [
        (one_fin.with(State::CLOSED), Why::Over, "rst"),
        (State::CLOSED, Why::Evicted, "rst"),
        (one_fin, Why::Over, "idle-timeout"),
        (State::ANSWERED, Why::Over, "half-open-timeout"),
        (State::ANSWERED, Why::Evicted, "evicted"),
        (established, Why::Killed, "killed"),
        (established, Why::BackendEnds, "backend-down"),
        (established, Why::Stopped, "stopped"),
    ];
    let heap = tables();
    let memory = heap.memory();
    let lines = logged(&memory, |log| {
        memory.settings.log_null.store(1);
        for (port, (state, why, _)) in (1..).zip(ends) {
            end(&memory, port, state, why);
        }
        gather(log, &memory);
        memory.backends[0].drained.store(1);
        end(&memory, 99, established, Why::BackendEnds);
        gather(log, &memory);
    });
    let words: Vec<_> = lines.iter().map(|line| line["reason"].as_str()).collect();
    let expected = ends.map(|(_, _, word)| Some(word));
    assert_eq!(words, [&expected[..], &[Some("drain-timeout")]].concat());
}

#[test]
fn what_there_was_no_room_for_is_told_of_once() {
    let heap = tables();
    let memory = heap.memory();
    let lines = logged(&memory, |log| {
        memory.ends[0].lost.store(3);
        gather(log, &memory);
        gather(log, &memory);
        // Two rows of a ring that was made anew since they were written.
        memory.ends[0].written.store(2);
        gather(log, &memory);
    });
    let lost: Vec<_> = lines.iter().map(|line| line["lost"].as_u64()).collect();
    assert_eq!(lost, [Some(3), Some(2)]);
}

#[test]
fn flows_that_are_older_than_the_log_and_outlive_the_packet_path_are_in_it() {
    let heap = tables();
    let memory = heap.memory();
    for port in 1..=60 {
        open(
            &memory,
            v4_flow(port),
            lb_common::address::TCP,
            0,
            State::ESTABLISHED,
            [9_000, 9_000],
        );
    }
    let lines = logged(&memory, |log| {
        memory.settings.log_null.store(1);
        log.stop(&memory, WORKER, CLOCK, &LazyCell::new(names));
    });
    assert_eq!(lines.len(), 60);
    for line in lines {
        assert_eq!(
            (&line["reason"], &line["start"]),
            (&"stopped".into(), &Value::Null)
        );
    }
}
