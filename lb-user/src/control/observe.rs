//! What clients' own connections tell about backends, from what the packet path counts.

use std::time::{Duration, Instant};

use lb_common::memory::Memory;

use super::{Control, plan::Plan, statistics};
use crate::config::{
    Config,
    types::{Health, Observe},
};

/// How often to look: a tenth of what an error may take to be found.
pub(crate) const EVERY: Duration = Duration::from_millis(100);
/// A backend to which connections are made, and which sends nothing at all for so long, does not take them. Clients begin
/// to repeat themselves after a second only (RFC 6298, 2.1), which would be late.
const SILENCE: Duration = Duration::from_millis(500);

/// Backends that are observed.
#[derive(Debug, Default)]
pub(super) struct Observer(Vec<Observed>);

#[derive(Debug)]
struct Observed {
    row: u32,
    limit: u32,
    /// What was counted at the last look; none before the first.
    last: Option<Counted>,
    /// Connections in a row that it did not take, as far as they have shown it.
    errors: u64,
    /// Connections made since it last sent anything, and when the first of them was.
    unanswered: Option<(u64, Instant)>,
}

#[derive(Debug, Clone, Copy)]
struct Counted {
    opened: u64,
    sent: u64,
    failed: u64,
}

impl Observer {
    pub(super) fn new(config: &Config, plan: &Plan) -> Self {
        let observed = plan
            .configured(config)
            .filter_map(|(_, backend, row)| match &backend.health {
                Health::Checked(check) => check.observe.map(|observe| Observed::new(row, observe)),
                Health::Tracked { .. } => None,
            });
        Self(observed.collect())
    }
}

impl Observed {
    fn new(row: u32, observe: Observe) -> Self {
        Self {
            row,
            limit: observe.error_limit.get(),
            last: None,
            errors: 0,
            unanswered: None,
        }
    }

    /// Takes in what is counted now; how many connections have failed in a row, if they are as many as the limit.
    fn look(&mut self, counted: Counted, now: Instant) -> Option<u32> {
        let last = self.last.replace(counted)?;
        let opened = counted.opened.saturating_sub(last.opened);
        let failed = counted.failed.saturating_sub(last.failed);
        if failed > 0 {
            self.errors += failed;
        } else if opened > 0 && counted.sent > last.sent {
            self.errors = 0;
        }
        self.unanswered = match self.unanswered {
            _ if counted.sent > last.sent => None,
            Some((count, since)) => Some((count + opened, since)),
            None => (opened > 0).then_some((opened, now)),
        };
        let silent = self
            .unanswered
            .filter(|(_, since)| now.duration_since(*since) >= SILENCE)
            .map_or(0, |(count, _)| count);
        let errors = self.errors.max(silent);
        if errors < u64::from(self.limit) {
            return None;
        }
        (self.errors, self.unanswered) = (0, None);
        Some(u32::try_from(errors).unwrap_or(u32::MAX))
    }
}

impl Control {
    /// Whether any backend's connections are observed.
    #[must_use]
    pub fn observes(&self) -> bool {
        !self.observer.0.is_empty()
    }

    /// The rows of backends that have not taken as many connections in a row as their limit is, since the last time
    /// that they were found, and how many.
    pub fn observe(&mut self, memory: &Memory<'_>) -> Vec<(u32, u32)> {
        let now = Instant::now();
        let observed = self.observer.0.iter_mut();
        let errors = observed.filter_map(|one| {
            let errors = one.look(counted(memory, one.row), now)?;
            Some((one.row, errors))
        });
        errors.collect()
    }
}

fn counted(memory: &Memory<'_>, row: u32) -> Counted {
    let none = Counted {
        opened: 0,
        sent: 0,
        failed: 0,
    };
    statistics::counters_of(memory, row as usize).fold(none, |sum, counters| Counted {
        opened: sum.opened + counters.flows_opened.load(),
        sent: sum.sent + counters.packets_out.load(),
        failed: sum.failed + counters.retried.load() + counters.refused.load(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Story {
        observed: Observed,
        now: Instant,
        counted: Counted,
    }

    impl Story {
        fn new(limit: u32) -> Self {
            let mut story = Self {
                observed: Observed {
                    row: 0,
                    limit,
                    last: None,
                    errors: 0,
                    unanswered: None,
                },
                now: Instant::now(),
                counted: Counted {
                    opened: 100,
                    sent: 1000,
                    failed: 50,
                },
            };
            assert_eq!(story.tick(0, 0, 0), None, "what is past counts for nothing");
            story
        }

        /// A tenth of a second with so many connections made, packets sent by the backend, and connections failed.
        fn tick(&mut self, opened: u64, sent: u64, failed: u64) -> Option<u32> {
            self.now += EVERY;
            self.counted.opened += opened;
            self.counted.sent += sent;
            self.counted.failed += failed;
            self.observed.look(self.counted, self.now)
        }
    }

    #[test]
    fn refusals_in_a_row_are_an_error_at_the_limit_and_then_count_anew() {
        let mut story = Story::new(10);
        assert_eq!(story.tick(4, 4, 4), None);
        assert_eq!(story.tick(4, 4, 4), None);
        assert_eq!(story.tick(4, 4, 4), Some(12));
        assert_eq!(story.tick(9, 9, 9), None);
    }

    #[test]
    fn a_connection_that_is_taken_forgives_what_was_before() {
        let mut story = Story::new(10);
        assert_eq!(story.tick(9, 9, 9), None);
        assert_eq!(story.tick(1, 5, 0), None);
        assert_eq!(story.tick(9, 9, 9), None);
    }

    #[test]
    fn silence_is_an_error_before_clients_repeat_themselves() {
        let mut story = Story::new(10);
        for _ in 0..5 {
            assert_eq!(story.tick(3, 0, 0), None);
        }
        assert_eq!(story.tick(3, 0, 0), Some(18));
    }

    #[test]
    fn a_single_answer_ends_a_silence_and_nobody_asking_is_none() {
        let mut story = Story::new(1);
        assert_eq!((0..20).find_map(|_| story.tick(0, 0, 0)), None);
        for _ in 0..50 {
            assert_eq!(story.tick(1, 0, 0), None);
            assert_eq!(story.tick(0, 1, 0), None);
        }
    }
}
