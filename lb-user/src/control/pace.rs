//! How fast flows come, and the most that there were: what a counter alone does not tell.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use lb_common::memory::Memory;

use super::{Control, statistics};
use crate::{config::types::Name, stats::Counters};

/// The paces of all backends and services. A backend's row that changes hands begins anew.
#[derive(Debug, Default)]
pub(super) struct Paces {
    /// By row.
    backends: Vec<Pace>,
    services: BTreeMap<Name, Pace>,
    taken: Option<Instant>,
}

/// The pace of one of them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    /// Flows ever opened when it was last looked at; none before the first look.
    opened: Option<u64>,
    rate: u64,
    most_rate: u64,
    most_active: u64,
}

impl Control {
    /// Looks at all counters of flows.
    pub(super) fn take_pace(&mut self, memory: &Memory<'_>) {
        let now = Instant::now();
        let since = self
            .paces
            .taken
            .replace(now)
            .map_or(Duration::ZERO, |taken| now - taken);
        self.paces
            .backends
            .resize_with(self.plan.backends.len(), Pace::default);
        let services = self.config.services.iter().zip(&self.plan.rows);
        for (service, rows) in services {
            let mut sum = (0, 0);
            for row in rows {
                let (active, opened) = statistics::flows(memory, *row as usize);
                self.paces.backends[*row as usize].take(active, opened, since);
                sum = (sum.0 + active, sum.1 + opened);
            }
            let pace = self.paces.services.entry(service.name.clone()).or_default();
            pace.take(sum.0, sum.1, since);
        }
    }
}

impl Paces {
    /// That of the backend in a row.
    pub(super) fn of_backend(&self, row: usize) -> Pace {
        self.backends.get(row).copied().unwrap_or_default()
    }

    /// That of a service.
    pub(super) fn of_service(&self, name: &Name) -> Pace {
        self.services.get(name).copied().unwrap_or_default()
    }
}

impl Pace {
    fn take(&mut self, active: u64, opened: u64, since: Duration) {
        self.most_active = self.most_active.max(active);
        let before = self.opened.replace(opened);
        // Fewer than before: the row is another backend's, or a service has lost one.
        let Some(new) = before.and_then(|before| opened.checked_sub(before)) else {
            return;
        };
        let milliseconds = u64::try_from(since.as_millis()).unwrap_or(u64::MAX).max(1);
        self.rate = new.saturating_mul(1000).div_ceil(milliseconds);
        self.most_rate = self.most_rate.max(self.rate);
    }

    /// Adds it to counters.
    pub(super) fn tell(self, counters: Counters) -> Counters {
        Counters {
            flows_max: self.most_active.max(counters.flows_active),
            flows_rate: self.rate,
            flows_rate_max: self.most_rate,
            ..counters
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_what_came_since_the_last_look() {
        let mut pace = Pace::default();
        let second = Duration::from_secs(1);
        for (active, opened) in [(5, 1000), (9, 1100), (3, 1150)] {
            pace.take(active, opened, second);
        }
        assert_eq!((pace.rate, pace.most_rate, pace.most_active), (50, 100, 9));
        pace.take(0, 1160, second / 2);
        assert_eq!(pace.rate, 20, "in a second");
        pace.take(0, 7, second);
        assert_eq!(
            (pace.rate, pace.most_rate),
            (20, 100),
            "another's counter says nothing"
        );
    }
}
