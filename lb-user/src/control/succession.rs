//! A configuration that takes the place of another while packets are forwarded: what a restart does, without the end of
//! anything.
//!
//! The new plan is laid out over what the tables hold, as a restart's is, so that everything that stays keeps its row;
//! and what is known of a backend goes with its row. Nothing is stored before the whole plan is known to fit.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
    sync::Arc,
    time::{Duration, Instant},
};

use lb_common::memory::Memory;

use super::{Control, IndexFull, PlanError, lead, plan::Backend, standing::Way, write};
use crate::{
    config::{
        Config,
        types::{Admin, Check, Health},
    },
    flows,
};

/// How long a packet may be on its way between a look at a row and the use of it: far longer than any is.
const UNDER_WAY: Duration = Duration::from_secs(2);

/// Between two looks for rows that can be given up: each goes through the whole flow table.
const BETWEEN_LOOKS: Duration = Duration::from_secs(10);

impl Control {
    /// Lays a configuration out over the tables that this one is laid out over; nothing is stored yet.
    pub fn succeed(&self, config: Config, memory: &Memory<'_>) -> Result<Self, PlanError> {
        let mut next = Self::new(config, memory)?;
        let maintained = self.in_maintenance();
        for (row, backend) in next.plan.placed() {
            let before = self.plan.backend(row).filter(|before| is_same(before, backend));
            if before.is_some() {
                let mut standing = self.standings[row as usize].clone();
                // What was found before it was maintained says nothing of what comes back.
                if maintained.contains(&row) {
                    standing.forget_health();
                }
                next.standings[row as usize] = standing;
            }
        }
        self.hand_checks_on(&mut next);
        next.started = self.started;
        Ok(next)
    }

    /// Keeps what belongs to checks that go on, and forgets what agents asked for that are asked no more.
    fn hand_checks_on(&self, next: &mut Self) {
        let (before, now) = (self.checks(), next.checks());
        let other = now.iter().filter(|(row, check)| before.get(row) != Some(check));
        let other: Vec<u32> = other.map(|(row, _)| *row).collect();
        for row in other {
            next.standings[row as usize].forget_orders();
        }
        for (row, vip) in &mut next.vips {
            match self.vips.get(row).filter(|before| before.is_like(vip)) {
                Some(before) => *vip = Arc::clone(before),
                None => {
                    if let Some(Way::Out(next_hop)) = next.standings[*row as usize].way() {
                        vip.lead(next_hop);
                    }
                }
            }
        }
    }

    /// By row, by which check a backend's health is known: its own, or that of the one that it tracks.
    fn checks(&self) -> BTreeMap<u32, Arc<Check>> {
        let mut checks = BTreeMap::new();
        for (_, backend, row) in self.plan.configured(&self.config) {
            if let Health::Checked(check) = &backend.health {
                let rows = iter::once(&row).chain(self.trackers.of(row));
                checks.extend(rows.map(|row| (*row, Arc::clone(check))));
            }
        }
        checks
    }

    /// Stores the plan in place of the one before, whose counts it goes on with.
    pub fn take_over(&mut self, before: &mut Self, memory: &Memory<'_>) -> Result<(), IndexFull> {
        self.paces = std::mem::take(&mut before.paces);
        self.install(memory)?;
        // A source address that is a backend's own may be in another row now.
        for (row, backend) in self.plan.placed() {
            if let Some(way) = self.standings[row as usize].way() {
                lead(memory, row, backend, &self.plan.pools[backend.pool], way);
            }
        }
        // Who is as it was when it was last checked may have to do now what was not wanted then.
        let all: BTreeSet<u32> = self.plan.placed().map(|(row, _)| row).collect();
        self.settle(memory, &all, true);
        Ok(())
    }

    /// Rows of the backends that are maintained.
    fn in_maintenance(&self) -> BTreeSet<u32> {
        let services = self.config.services.iter().zip(&self.plan.rows);
        let backends = services.flat_map(|(service, rows)| service.backends.iter().zip(rows));
        let maintained = backends.filter(|(backend, _)| backend.state == Admin::Maint);
        maintained.map(|(_, row)| *row).collect()
    }

    /// Gives up what was left over when the configuration was stored, once nobody can need it.
    pub(super) fn give_rows_up(&mut self, memory: &Memory<'_>) {
        let waited = self.left_over.is_some_and(|since| since.elapsed() >= UNDER_WAY);
        if !waited {
            return;
        }
        self.plan.was_chosen.clear();
        let is_done = self.free_rows(memory);
        self.left_over = (!is_done).then(|| Instant::now() + BETWEEN_LOOKS);
    }

    /// Gives up the rows of backends that are not configured any more and to which no flow is left; says whether none are
    /// left over. Those that were chosen a moment ago wait for the next time: a packet that chose them may still be on
    /// its way.
    pub(super) fn free_rows(&self, memory: &Memory<'_>) -> bool {
        let gone = (0..)
            .zip(memory.backends)
            .filter(|(row, record)| record.service.load() != 0 && self.plan.backend(*row).is_none());
        let gone: BTreeSet<u32> = gone.map(|(row, _)| row).collect();
        let waiting =
            |row: &u32| self.plan.was_chosen(*row) || memory.backends[*row as usize].active.load() > 0;
        let candidates: BTreeSet<u32> = gone.iter().copied().filter(|row| !waiting(row)).collect();
        if candidates.is_empty() {
            return gone.is_empty();
        }
        let in_use = flows::backends(memory);
        let free = candidates.difference(&in_use);
        let freed = free.map(|row| write::free_backend(memory, *row)).count();
        freed == gone.len()
    }
}

/// Whether a row is still the same backend's. Its service's row is the same, since rows are inherited by both.
fn is_same(before: &Backend, now: &Backend) -> bool {
    before.address == now.address
}
