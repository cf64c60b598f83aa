//! How soon a backend is checked again.

use std::time::Duration;

use tokio::time::Instant;

use super::{rise_fall::RiseFall, schedule::Schedule};
use crate::config::types::Check;

/// The next check of one backend.
#[derive(Debug)]
pub(super) struct Pace {
    /// When it is.
    pub(super) next: Instant,
    /// When the second one is, if it is an ordinary one; `None` from then on.
    second: Option<Instant>,
}

impl Pace {
    pub(super) fn new(started: Instant, schedule: Schedule) -> Self {
        Self {
            next: started + schedule.first,
            second: Some(started + schedule.second),
        }
    }

    /// After a check that left the backend so. Each check is counted from when the one before should have been, not when
    /// it was, so that none drifts towards others; one that takes longer than the interval costs the next ones.
    pub(super) fn checked(&mut self, check: &Check, results: &RiseFall, now: Instant) {
        let interval = interval(check, results);
        self.next = match self.second.take() {
            Some(second) if interval == check.inter && second > now => second,
            _ => following(self.next, interval, now),
        };
    }

    /// There is reason to check at once.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.next = self.next.min(now);
    }
}

fn interval(check: &Check, results: &RiseFall) -> Duration {
    if results.is_changing() {
        check.fastinter
    } else if results.is_down() {
        check.downinter
    } else {
        check.inter
    }
}

/// The first time after now in the rhythm that `last` is in.
fn following(last: Instant, interval: Duration, now: Instant) -> Instant {
    let passed = now.saturating_duration_since(last).as_nanos();
    let into = passed % interval.as_nanos().max(1);
    let into = Duration::from_nanos(u64::try_from(into).unwrap_or_default());
    now + interval - into
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::types::CheckKind,
        health::{Outcome, State, tests::check},
    };

    const SECOND: Duration = Duration::from_secs(1);

    fn paced() -> Check {
        Check {
            inter: 10 * SECOND,
            fastinter: SECOND,
            downinter: 5 * SECOND,
            ..check(CheckKind::None)
        }
    }

    /// When checks are made that take a tenth of a second and have these outcomes, in tenths of seconds.
    fn times(outcomes: &[Outcome]) -> Vec<u128> {
        let (check, start) = (paced(), Instant::now());
        let schedule = Schedule {
            first: Duration::ZERO,
            second: 10 * SECOND,
        };
        let mut pace = Pace::new(start, schedule);
        let mut results = RiseFall::new(2, 3, Some(State::Up));
        let mut time = |outcome: &Outcome| {
            let at = pace.next;
            results.record(*outcome);
            pace.checked(&check, &results, at + SECOND / 10);
            (at - start).as_millis() / 100
        };
        outcomes.iter().map(&mut time).collect()
    }

    #[test]
    fn a_backend_that_changes_is_checked_faster_and_a_dead_one_as_said() {
        use Outcome::{Failed, Ok};
        assert_eq!(times(&[Ok, Ok, Ok]), [0, 100, 200]);
        let story = [Failed, Failed, Failed, Failed, Ok, Ok, Ok];
        assert_eq!(times(&story), [0, 10, 20, 70, 120, 130, 230]);
    }

    #[test]
    fn a_check_that_takes_long_costs_the_next_ones_and_keeps_the_rhythm() {
        let start = Instant::now();
        let next = following(start, 2 * SECOND, start + 5 * SECOND);
        assert_eq!(next - start, 6 * SECOND);
        let next = following(start, 2 * SECOND, start + 6 * SECOND);
        assert_eq!(next - start, 8 * SECOND);
    }
}
