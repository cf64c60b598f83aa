//! Choice tables, from the backends that take flows.

use std::{collections::BTreeSet, num::NonZero, thread, time::Instant};

use lb_common::memory::Memory;
use tracing::{info, warn};

use super::{
    Control,
    maglev::{self, Candidate},
    plan::{self, Pool},
    round_robin, write,
};
use crate::config::types::Scheduler;

/// So many tables are worth a thread of their own: each takes a good part of a millisecond to build.
const PER_THREAD: usize = 8;

/// What became of a service's choices.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choice {
    /// Backends to choose from.
    backends: usize,
    /// Slots that have changed.
    changed: usize,
}

impl Control {
    /// Writes the choices of the pools with these numbers anew.
    pub(super) fn rebuild(&self, memory: &Memory<'_>, pools: &BTreeSet<usize>) {
        let pools: Vec<&Pool> = pools
            .iter()
            .filter_map(|number| self.plan.pools.get(*number))
            .collect();
        for (pool, choice) in pools.iter().zip(self.choose(memory, &pools)) {
            let (service, Choice { backends, changed }) = (&pool.service, choice);
            if backends == 0 && !pool.binds.is_empty() {
                warn!(
                    service,
                    "service has no backend that is up: new flows are dropped"
                );
            }
            info!(service, backends, changed, "choice table is written");
        }
    }

    /// Writes the choices of pools, on all CPUs if they are many.
    pub(super) fn choose(&self, memory: &Memory<'_>, pools: &[&Pool]) -> Vec<Choice> {
        let part = if pools.len() > PER_THREAD {
            // Reads files: not to be asked with every result of a check.
            let cpus = thread::available_parallelism().map_or(1, NonZero::get);
            pools.len().div_ceil(cpus).max(PER_THREAD)
        } else {
            PER_THREAD
        };
        let choose = |part: &[&Pool]| -> Vec<Choice> {
            part.iter().map(|pool| self.choose_one(memory, pool)).collect()
        };
        let mut parts = pools.chunks(part);
        // The first part is this thread's, and mostly the only one.
        let first = parts.next().unwrap_or_default();
        thread::scope(|scope| {
            let others: Vec<_> = parts.map(|part| scope.spawn(move || choose(part))).collect();
            let mut choices = choose(first);
            for other in others {
                match other.join() {
                    Ok(more) => choices.extend(more),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            choices
        })
    }

    fn choose_one(&self, memory: &Memory<'_>, pool: &Pool) -> Choice {
        // Nobody can ask for it, and it has no slots.
        if pool.binds.is_empty() {
            return Choice {
                backends: 0,
                changed: 0,
            };
        }
        let candidates = self.candidates(pool);
        let slots = match pool.scheduler {
            Scheduler::Maglev | Scheduler::Source => maglev::build(pool.table_size, &candidates),
            Scheduler::RoundRobin => round_robin::round(pool.table_size, &candidates),
            Scheduler::LeastConn => candidates.iter().map(|candidate| candidate.index).collect(),
        };
        write::ring(memory, &pool.backends, &candidates);
        Choice {
            backends: candidates.len(),
            changed: write::choices(memory, pool.row, pool.first_slot, &slots),
        }
    }

    /// Who takes new flows: all backends that can and are no backups, or else the backups that can, or the first of
    /// them.
    fn candidates(&self, pool: &Pool) -> Vec<Candidate> {
        let now = Instant::now();
        let able = |row: &u32| {
            let standing = self.standings.get(*row as usize)?;
            let backend = self.plan.backend(*row)?;
            let candidate = Candidate {
                index: *row,
                identity: backend.identity,
                weight: standing.weight(backend.weight, backend.slowstart, now),
            };
            let takes_flows = standing.takes_flows() && !backend.drained && candidate.weight > 0;
            takes_flows.then_some((candidate, backend.backup))
        };
        let (mut backups, usual): (Vec<_>, Vec<_>) =
            (pool.backends.iter().filter_map(able)).partition(|(_, is_backup)| *is_backup);
        if !pool.allbackups {
            backups.truncate(1);
        }
        let chosen = if usual.is_empty() { backups } else { usual };
        chosen.into_iter().map(|(candidate, _)| candidate).collect()
    }

    /// The pools with a backend that grows to its weight.
    pub(super) fn growing(&mut self) -> BTreeSet<usize> {
        let (now, standings) = (Instant::now(), &mut self.standings);
        let grows = |(row, backend): (u32, &plan::Backend)| {
            let standing = standings.get_mut(row as usize)?;
            standing
                .is_growing(backend.slowstart, now)
                .then_some(backend.pool)
        };
        self.plan.placed().filter_map(grows).collect()
    }
}
