//! Removing flows that are over, a part of the table at a time.

use std::{io, time::Duration};

use lb_common::{
    V4, V6,
    flow::{self, Limits},
    memory::{Memory, Worker},
};
use tracing::debug;

use crate::{control::Control, dataplane::Engine};

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

    /// Looks at the next part of the table.
    pub(super) fn step(&mut self, engine: &mut Engine, control: &Control) -> io::Result<()> {
        let now = engine.now()?;
        let memory = engine.memory();
        let limits = |backend| control.limits(backend, self.tick);
        let steps = (memory.buckets_v4.len() / BUCKETS).clamp(1, STEPS);
        let removed = part(&memory, self.worker, now, (self.step, steps), limits);
        if removed > 0 {
            debug!(removed, "flows are over");
        }
        self.step = (self.step + 1) % steps;
        Ok(())
    }
}

/// Looks at the part of the table that is due in a step of so many.
fn part(
    memory: &Memory<'_>,
    worker: u32,
    now: u32,
    (step, steps): (usize, usize),
    limits: impl Fn(u32) -> Limits,
) -> u32 {
    let tables = Worker::new(*memory, worker as usize, now);
    let part_of = |count: usize| {
        let bound = |step: usize| u32::try_from(count * step / steps).unwrap_or(u32::MAX);
        bound(step)..bound(step + 1)
    };
    let v4 =
        part_of(memory.buckets_v4.len()).map(|bucket| flow::sweep::<V4, _>(&tables, bucket, now, &limits));
    let v6 =
        part_of(memory.buckets_v6.len()).map(|bucket| flow::sweep::<V6, _>(&tables, bucket, now, &limits));
    v4.chain(v6).sum()
}
