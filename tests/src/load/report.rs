//! What came of a load of requests.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

/// Failures kept one by one; older ones are only counted.
const KEPT_FAILURES: usize = 10_000;

/// Latencies above a minute are recorded as a minute.
const LONGEST_MICROSECONDS: u64 = 60_000_000;

/// Answers and failures so far.
#[derive(Debug, Clone)]
pub struct Report {
    /// Requests answered, by the backend that did.
    pub answered: BTreeMap<String, u64>,
    /// Requests that were not answered.
    pub failed: u64,
    /// The last failures, oldest first.
    pub failures: VecDeque<Failure>,
    /// Since the first request.
    pub elapsed: Duration,
    latencies: Histogram<u64>,
}

/// A request that was not answered.
#[derive(Debug, Clone)]
pub struct Failure {
    /// When it began.
    pub began: Instant,
    /// What happened.
    pub reason: String,
}

impl Report {
    pub(super) fn new() -> Self {
        let latencies = Histogram::new_with_bounds(1, LONGEST_MICROSECONDS, 3)
            .expect("the bounds and digits are allowed");
        Self {
            answered: BTreeMap::new(),
            failed: 0,
            failures: VecDeque::new(),
            elapsed: Duration::ZERO,
            latencies,
        }
    }

    pub(super) fn add_answer(&mut self, backend: String, latency: Duration) {
        *self.answered.entry(backend).or_default() += 1;
        self.latencies
            .saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    }

    pub(super) fn add_failure(&mut self, failure: Failure) {
        self.failed += 1;
        if self.failures.len() == KEPT_FAILURES {
            self.failures.pop_front();
        }
        self.failures.push_back(failure);
    }

    /// Answered and failed.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.total_answered() + self.failed
    }

    /// Answered by anyone.
    #[must_use]
    pub fn total_answered(&self) -> u64 {
        self.answered.values().sum()
    }

    /// Requests per second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "for people to read")]
    pub fn rate(&self) -> f64 {
        self.requests() as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Part of the answers that came from `backend`, 0 to 1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share needs no 53 bits")]
    pub fn share(&self, backend: &str) -> f64 {
        let answered = self.answered.get(backend).copied().unwrap_or(0);
        answered as f64 / self.total_answered().max(1) as f64
    }

    /// How far the backend that is farthest from an even share is away from it, as a part of that share: 0.15
    /// when it has 15 % too much or too little.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a lab has a handful of backends")]
    pub fn unevenness(&self, backends: &[String]) -> f64 {
        let even = 1.0 / backends.len() as f64;
        backends
            .iter()
            .map(|backend| (self.share(backend) / even - 1.0).abs())
            .fold(0.0, f64::max)
    }

    /// Time from before the connection to after the answer that `percent` of the answered requests kept below.
    #[must_use]
    pub fn latency(&self, percent: f64) -> Duration {
        Duration::from_micros(self.latencies.value_at_percentile(percent))
    }
}

/// A summary of a few lines.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} requests in {:.1?} ({:.0}/s), {} failed, p50 {:.1?}, p99 {:.1?}",
            self.requests(),
            self.elapsed,
            self.rate(),
            self.failed,
            self.latency(50.0),
            self.latency(99.0)
        )?;
        for (backend, answered) in &self.answered {
            writeln!(
                f,
                "  {backend}: {answered} ({:.1} %)",
                100.0 * self.share(backend)
            )?;
        }
        if let Some(failure) = self.failures.back() {
            writeln!(f, "  last failure: {}", failure.reason)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(answers: &[(&str, u64)]) -> Report {
        let mut report = Report::new();
        for &(backend, count) in answers {
            (0..count).for_each(|_| report.add_answer(backend.to_owned(), Duration::from_millis(1)));
        }
        report
    }

    #[test]
    fn unevenness_is_relative_to_the_even_share() {
        let backends = ["a".to_owned(), "b".to_owned()];
        assert!(report(&[("a", 50), ("b", 50)]).unevenness(&backends) < 1e-9);
        assert!((report(&[("a", 55), ("b", 45)]).unevenness(&backends) - 0.1).abs() < 1e-9);
        assert!((report(&[("a", 10)]).unevenness(&backends) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn latency_is_that_of_the_slowest_among_so_many_percent() {
        let mut report = Report::new();
        (1..=100).for_each(|ms| report.add_answer("a".to_owned(), Duration::from_millis(ms)));
        let within_a_millisecond = |percent, ms| {
            report.latency(percent).abs_diff(Duration::from_millis(ms)) < Duration::from_millis(1)
        };
        assert!(within_a_millisecond(50.0, 50), "{:?}", report.latency(50.0));
        assert!(within_a_millisecond(99.0, 99), "{:?}", report.latency(99.0));
    }

    #[test]
    fn counts_every_failure_but_keeps_the_last() {
        let mut report = Report::new();
        for number in 0..=KEPT_FAILURES {
            report.add_failure(Failure {
                began: Instant::now(),
                reason: number.to_string(),
            });
        }
        assert_eq!(report.failed, KEPT_FAILURES as u64 + 1);
        assert_eq!(report.failures.len(), KEPT_FAILURES);
        assert_eq!(report.failures[0].reason, "1");
    }
}
