//! Removing flows that are over, a part of the table at a time.

use std::{cell::LazyCell, io, ops::Range, time::Duration};

use lb_common::{
    Address, Tables as _, V4, V6,
    flow::{self, Limits},
    memory::Worker,
};
use tracing::debug;

use crate::{
    control::Control,
    dataplane::Engine,
    flows::{
        Clock,
        log::{BUCKETS_AT_ONCE, Log},
    },
};

/// The most steps in which the whole table is looked at.
const STEPS: usize = 8;

/// Buckets of each family that are worth a step: a table of 32,768 flows has no more, and is looked at in one.
const BUCKETS: usize = 32_768;

/// A sweep over the flow table that never ends.
pub(super) struct Sweep {
    /// Where the daemon counts: after the CPUs.
    worker: u32,
    tick: Duration,
    step: usize,
}

impl Sweep {
    pub(super) fn new(worker: u32, tick: Duration) -> Self {
        Self {
            worker,
            tick,
            step: 0,
        }
    }

    /// Where the daemon counts.
    pub(super) fn worker(&self) -> u32 {
        self.worker
    }

    /// Looks at the next part of the table. What is over goes into the log, if there is one.
    pub(super) fn step(
        &mut self,
        engine: &mut Engine,
        control: &Control,
        mut log: Option<&mut Log>,
    ) -> io::Result<()> {
        let now = engine.now()?;
        let memory = engine.memory();
        let (tables, clock) = (
            Worker::new(memory, self.worker as usize, now),
            Clock { now, tick: self.tick },
        );
        let limits = |backend| control.limits(backend, self.tick);
        let names = LazyCell::new(|| control.names());
        let mut gather = || {
            if let Some(log) = &mut log {
                log.gather(&memory, clock, &names);
            }
        };
        let steps = (memory.buckets_v4.len() / BUCKETS).clamp(1, STEPS);
        let part = |count| part_of(count, self.step, steps);
        let v4 = sweep::<V4>(&tables, part(memory.buckets_v4.len()), &limits, &mut gather);
        let v6 = sweep::<V6>(&tables, part(memory.buckets_v6.len()), &limits, &mut gather);
        let removed = v4 + v6;
        if removed > 0 {
            debug!(removed, "flows are over");
        }
        self.step = (self.step + 1) % steps;
        Ok(())
    }
}

/// The rows that are due in a step of so many.
fn part_of(rows: usize, step: usize, steps: usize) -> Range<usize> {
    rows * step / steps..rows * (step + 1) / steps
}

/// Looks at these buckets, and has gathered what was over before there is no more room for it.
fn sweep<A: Address>(
    tables: &Worker<'_>,
    buckets: Range<usize>,
    limits: impl Fn(u32) -> Limits,
    mut gather: impl FnMut(),
) -> u32 {
    let mut removed = 0;
    for first in buckets.clone().step_by(BUCKETS_AT_ONCE) {
        let some = first..(first + BUCKETS_AT_ONCE).min(buckets.end);
        let numbers = some.filter_map(|bucket| u32::try_from(bucket).ok());
        removed += numbers
            .map(|bucket| flow::sweep::<A, _>(tables, bucket, tables.now(), &limits))
            .sum::<u32>();
        gather();
    }
    removed
}
