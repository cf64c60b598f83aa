//! When flows to a backend have to end: it went down, or was drained for long enough.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use lb_common::memory::Memory;

use super::{Control, plan::Backend, write};
use crate::config::types::OnDown;

impl Control {
    /// What is to be done once a second: takes the pace of new flows, lets backends grow to their weight, and ends the flows
    /// of those whose time to drain is over.
    pub fn tend(&mut self, memory: &Memory<'_>) {
        self.take_pace(memory);
        self.give_rows_up(memory);
        let growing = self.growing();
        self.rebuild(memory, &growing);
        let drained = self.plan.placed().filter(|(_, backend)| backend.drained);
        let rows = drained.map(|(row, _)| row).collect();
        self.settle(memory, &rows, true);
    }

    /// Notes since when backends are drained: `now`, or since another daemon found them so.
    pub(super) fn note_drains(&self, memory: &Memory<'_>, now: u64) {
        for (row, backend) in self.plan.placed() {
            let since = &memory.backends[row as usize].drained;
            match (backend.drained, since.load()) {
                (true, 0) => since.store(now),
                (true, _) => {}
                (false, _) => since.store(0),
            }
        }
        // Of backends that are to keep their flows now.
        let all = self.plan.placed().map(|(row, _)| row).collect();
        self.settle(memory, &all, false);
    }

    /// Has the flows of those rows end that should, or live on that should.
    pub(super) fn settle(&self, memory: &Memory<'_>, rows: &BTreeSet<u32>, end: bool) {
        for row in rows {
            let backend = self.plan.backend(*row);
            if backend.and_then(|backend| self.ends(memory, *row, backend)) == Some(end) {
                write::ends(memory, *row, end);
            }
        }
    }

    /// Whether a backend's flows have to end. `None`: nobody has checked it yet, and what another daemon knew stays in
    /// force.
    fn ends(&self, memory: &Memory<'_>, row: u32, backend: &Backend) -> Option<bool> {
        if is_over(memory, row, backend) {
            return Some(true);
        }
        match backend.life.on_down {
            OnDown::Keep => Some(false),
            OnDown::Reset => {
                let standing = &self.standings[row as usize];
                standing.report().map(|_| !standing.is_up())
            }
        }
    }
}

/// Whether a backend has been drained for as long as flows may stay with it.
fn is_over(memory: &Memory<'_>, row: u32, backend: &Backend) -> bool {
    let since = memory.backends[row as usize].drained.load();
    let drained = Duration::from_millis(unix_milliseconds().saturating_sub(since));
    let limit = backend.life.drain_timeout.filter(|_| since != 0);
    limit.is_some_and(|limit| drained >= limit)
}

/// The time since the Unix epoch: unlike others, another daemon understands it.
pub(crate) fn unix_milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
