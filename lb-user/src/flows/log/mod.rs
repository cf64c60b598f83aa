//! The flow log: a JSON document for each flow that has ended, a line each. Who ends a flow copies it into a ring; here the
//! rings are read, and what does not fit is counted and told of in the log itself.

mod line;
mod out;
#[cfg(test)]
mod tests;

use std::{cell::LazyCell, io, time::SystemTime};

use lb_common::{
    Address, V4, V6,
    flow::{self, Bucket, ENTRIES, Hit, Record, State, Why},
    layout::{Ended, Ends},
    memory::{Memory, Worker},
};
use serde::Serialize;

use self::{
    line::{Gap, Line, Moment, told},
    out::Writer,
};
use super::{Clock, Names, read::Reader};
use crate::stats::observed;

pub use out::{OpenError, Out};

/// Buckets after which the ring of whoever goes through a table is to be read: half of it may be full by then.
pub const BUCKETS_AT_ONCE: usize = Ended::ROWS as usize / ENTRIES / 2;

/// Reads the rings, and has lines written.
#[derive(Debug)]
pub struct Log {
    writer: Writer,
    /// Flows that are in no line, and that no line tells of yet.
    lost: u64,
}

impl Log {
    /// Has flows logged from now on. Those that are there already are when they end, without the time of their beginning
    /// if they were not logged before.
    pub fn start(memory: &Memory<'_>, out: Out) -> io::Result<Self> {
        if memory.settings.flow_log.load() == 0 {
            memory.settings.flow_log.store(1);
            let tables = Worker::new(*memory, 0, 0);
            for_each_flow(memory.buckets_v4, 0, |hit: &Hit<'_, V4>| {
                flow::take_up(&tables, hit);
            });
            for_each_flow(memory.buckets_v6, 0, |hit: &Hit<'_, V6>| {
                flow::take_up(&tables, hit);
            });
        }
        Ok(Self {
            writer: Writer::start(out)?,
            lost: 0,
        })
    }

    /// Writes elsewhere from now on, or to the file that has the name now.
    pub fn turn(&self, out: Out) {
        self.writer.turn(out);
    }

    /// Takes in what has ended.
    pub fn gather<F: FnOnce() -> Names>(
        &mut self,
        memory: &Memory<'_>,
        clock: Clock,
        names: &LazyCell<Names, F>,
    ) {
        let is_quiet =
            |ends: &Ends| ends.read.load() == ends.written.load() && ends.told.load() == ends.lost.load();
        if self.lost == 0 && memory.ends.iter().all(is_quiet) {
            return;
        }
        let moment = Moment {
            clock,
            time: SystemTime::now(),
        };
        let reader = Reader { memory, clock, names };
        let mut batch = Batch::default();
        for (ring, ends) in memory.ended.chunks(Ended::ROWS as usize).zip(memory.ends) {
            self.lost += read(ring, ends, |record| {
                batch.add(&Line::new(&reader, moment, &record));
            });
        }
        self.hand_over(batch, moment.time);
    }

    /// Takes in all flows there are, since the packet path stops.
    pub fn stop<F: FnOnce() -> Names>(
        &mut self,
        memory: &Memory<'_>,
        worker: u32,
        clock: Clock,
        names: &LazyCell<Names, F>,
    ) {
        let tables = Worker::new(*memory, worker as usize, clock.now);
        self.stop_all::<V4, F>(&tables, memory, memory.buckets_v4, (clock, names));
        self.stop_all::<V6, F>(&tables, memory, memory.buckets_v6, (clock, names));
    }

    fn stop_all<A: Address, F: FnOnce() -> Names>(
        &mut self,
        tables: &Worker<'_>,
        memory: &Memory<'_>,
        buckets: &[Bucket<A>],
        (clock, names): (Clock, &LazyCell<Names, F>),
    ) {
        for (number, some) in buckets.chunks(BUCKETS_AT_ONCE).enumerate() {
            let first = number * BUCKETS_AT_ONCE;
            for_each_flow(some, first, |hit| flow::log(tables, hit, Why::Stopped));
            self.gather(memory, clock, names);
        }
    }

    fn hand_over(&mut self, mut batch: Batch, now: SystemTime) {
        self.lost += self.writer.take_unwritten();
        if self.lost > 0 {
            batch.add(&Gap {
                time: told(now),
                lost: self.lost,
            });
        }
        let flows = batch.lines - u64::from(self.lost > 0);
        if self.writer.append(batch.text, flows) {
            self.lost = 0;
        } else {
            observed::flows_not_logged("unwritten", flows);
            self.lost += flows;
        }
    }
}

/// Lines that are not written yet.
#[derive(Debug, Default)]
struct Batch {
    text: Vec<u8>,
    lines: u64,
}

impl Batch {
    fn add(&mut self, line: &impl Serialize) {
        serde_json::to_writer(&mut self.text, line).expect("a line has string keys and goes to memory");
        self.text.push(b'\n');
        self.lines += 1;
    }
}

/// Takes all rows from a worker's ring that are to be read; how many flows are in none.
fn read(ring: &[Ended], ends: &Ends, mut take: impl FnMut(Record)) -> u64 {
    let (read, written) = (ends.read.load(), ends.written.load());
    let mut missing = 0;
    let rows = ring.iter().cycle().skip(index(read) % ring.len());
    for (number, row) in (read + 1..=written).zip(rows) {
        match row.record(number) {
            Some(record) => take(record),
            // The rings were made anew.
            None => missing += 1,
        }
    }
    ends.read.store(written);
    let lost = ends.lost.load();
    missing += lost.wrapping_sub(ends.told.load());
    ends.told.store(lost);
    observed::flows_not_logged("unread", missing);
    missing
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or_default()
}

/// Does something with each flow of a table's buckets from the `first` one on.
fn for_each_flow<A: Address>(buckets: &[Bucket<A>], first: usize, act: impl Fn(&Hit<'_, A>)) {
    let entries = buckets.iter().flat_map(|bucket| &bucket.0);
    for (index, entry) in (first * ENTRIES..).zip(entries) {
        let hit = Hit::at(entry, u32::try_from(index).unwrap_or(u32::MAX));
        let state = hit.control.state();
        if state.has(State::READY) && !state.has(State::REPLY) {
            act(&hit);
        }
    }
}
