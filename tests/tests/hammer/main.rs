//! Four threads hammer the packet path in the kernel (`BPF_PROG_TEST_RUN`) with packets of few flows over a small
//! table, while the daemon's part, expiring and listing, goes on in the mapped table beside them.
//!
//! In the end no flow whose packets kept coming may be lost, nothing that was read may have been torn, and all counts
//! must be exact. Needs root.

mod client;
mod daemon;
mod sender;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use lab::{Family, bench::scene::Scene};
use lb_common::{
    V4, Verdict,
    flow::{Bucket, State},
    layout::BackendCounters,
    memory::{Memory, Worker},
    shared::Shared,
};
use lb_user::dataplane::Object;

use self::{
    client::{BACKENDS, Clients},
    daemon::{Clock, Daemon},
    sender::{Sender, Tally},
};

const LASTS: Duration = Duration::from_mins(1);
const SENDERS: u32 = 4;

/// As small as a configuration may make the table: it is to run full.
const ROOM: u32 = 16;

#[test]
fn four_threads_of_packets_beside_expiry_lose_and_tear_nothing() {
    let scene = Scene::new(&[Family::V4], ROOM, BACKENDS).unwrap();
    let cpus = u32::try_from(lab::bench::machine::processors().unwrap()).unwrap();
    let mut object = Object::load(&scene.capacity().unwrap()).unwrap();
    scene.install(&object.memory()).unwrap();
    let (tables, clock) = (object.tables(), Clock::new(&mut object));
    let (memory, clients) = (tables.memory(), Clients::new());
    let worker = Worker::new(memory, cpus as usize, 0);
    let mut daemon = Daemon::new(&memory, worker, clock, &clients);
    let over = AtomicBool::new(false);
    let program = &*object.program("ballast").unwrap();
    let tally = thread::scope(|scope| {
        let senders = (0..SENDERS).map(|number| {
            let (clients, over) = (&clients, &over);
            scope.spawn(move || Sender::new(program, clients, number).send_until(over))
        });
        let senders: Vec<_> = senders.collect();
        let start = Instant::now();
        while start.elapsed() < LASTS && senders.iter().all(|sender| !sender.is_finished()) {
            daemon.look();
        }
        over.store(true, Ordering::SeqCst);
        let tallies = senders.into_iter().map(|sender| sender.join().unwrap());
        tallies.fold(Tally::default(), Tally::and)
    });
    daemon.look();
    println!(
        "{tally:?}, {} flows expired, {} listed",
        daemon.removed, daemon.listed
    );
    assert_counts(&memory, &tally, &daemon);
}

/// All counts are exact.
fn assert_counts(memory: &Memory<'_>, tally: &Tally, daemon: &Daemon<'_>) {
    assert_eq!(
        memory.verdicts(),
        tally.verdicts,
        "packets by {:?}",
        Verdict::NAMES
    );
    let sum = |counter: fn(&BackendCounters) -> &Shared<u64>| -> u64 {
        let rows = memory.backend_counters.iter();
        rows.map(|row| counter(row).load()).sum()
    };
    assert_eq!(sum(|row| &row.packets_in), tally.to_backends);
    assert_eq!(sum(|row| &row.packets_out), tally.to_clients);
    let (opened, closed) = (sum(|row| &row.flows_opened), sum(|row| &row.flows_closed));
    let (active, half_open) = (
        count(memory.buckets_v4, State::is_active),
        count(memory.buckets_v4, State::is_half_open),
    );
    println!("{opened} flows opened, {closed} closed, {active} active");
    assert_eq!(opened - closed, active);
    let counted = memory.services.iter().map(|service| service.half_open.load());
    assert_eq!(counted.sum::<u64>(), half_open);
    assert!(active >= SENDERS.into(), "each sender keeps a flow");
    assert!(
        closed > 1000 && daemon.removed > 100 && daemon.listed > 1000,
        "the test did nothing"
    );
}

/// Entries whose state is one of those.
fn count(buckets: &[Bucket<V4>], is_one: fn(State) -> bool) -> u64 {
    let entries = buckets.iter().flat_map(|bucket| &bucket.0);
    let found = entries.filter(|entry| is_one(entry.control().state()));
    found.count().try_into().unwrap()
}
