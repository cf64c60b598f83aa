//! When each backend is checked, so that thousands of checks never start at once.

use std::time::Duration;

/// Between two backends' first checks: all start soon, since a backend is of no use before its first result.
const FIRST_SPACING: Duration = Duration::from_millis(1);

/// A backend's check times, counted from the start of the monitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Schedule {
    /// The first check.
    pub(super) first: Duration,
    /// The second; all others follow at distances of exactly `inter`.
    pub(super) second: Duration,
}

impl Schedule {
    /// Gives the backend at `position` of `count` its part of the interval, of which it may use the first half:
    /// without that jitter, backends whose intervals are multiples of each other would meet again and again.
    ///
    /// The second check comes between half and one and a half `inter` after the first.
    pub(super) fn new(position: u32, count: u32, inter: Duration) -> Self {
        let part = inter / count.max(1);
        let jitter = part.mul_f64(0.5 * golden_fraction(position));
        let phase = part * position + jitter;
        let first = phase.min(FIRST_SPACING * position);
        let second = if phase < first + inter / 2 {
            phase + inter
        } else {
            phase
        };
        Self { first, second }
    }
}

/// The multiples of the golden ratio without their integers: spread evenly over 0..1 however many there are,
/// the same on every run.
fn golden_fraction(position: u32) -> f64 {
    (f64::from(position) * 0.618_033_988_749_894_9).fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTER: Duration = Duration::from_secs(2);

    /// When within an interval the backends are checked, in order, in nanoseconds.
    fn phases(count: u32) -> Vec<u128> {
        let phase = |position| Schedule::new(position, count, INTER).second.as_nanos() % INTER.as_nanos();
        let mut phases: Vec<_> = (0..count).map(phase).collect();
        phases.sort_unstable();
        phases
    }

    #[test]
    fn checks_are_spread_over_the_interval() {
        for count in [1, 2, 3, 10, 1000, 10_000] {
            let mut phases = phases(count);
            phases.push(phases[0] + INTER.as_nanos());
            let part = INTER.as_nanos() / u128::from(count);
            // What rounding a part down to nanoseconds leaves over gathers at the end of the interval.
            let allowed = part / 2..=part * 3 / 2 + u128::from(count);
            for pair in phases.windows(2) {
                let gap = pair[1] - pair[0];
                assert!(
                    allowed.contains(&gap),
                    "{gap} ns between two of {count} backends, not {allowed:?}"
                );
            }
        }
    }

    #[test]
    fn every_backend_is_checked_early_and_then_in_its_rhythm() {
        for position in 0..1000 {
            let Schedule { first, second } = Schedule::new(position, 1000, INTER);
            assert!(
                first <= Duration::from_secs(1),
                "{position} first after {first:?}"
            );
            let expected = first + INTER / 2..=first + INTER * 3 / 2;
            assert!(
                expected.contains(&second),
                "{position}: {second:?}, not {expected:?}"
            );
        }
    }

    #[test]
    fn a_short_interval_bounds_the_first_round() {
        let last = Schedule::new(9_999, 10_000, INTER);
        assert!(last.first < INTER);
    }

    #[test]
    fn the_jitter_is_the_same_on_every_run() {
        assert_eq!(Schedule::new(7, 10, INTER), Schedule::new(7, 10, INTER));
        assert_ne!(Schedule::new(7, 10, INTER).second, INTER / 10 * 7 + INTER);
    }
}
