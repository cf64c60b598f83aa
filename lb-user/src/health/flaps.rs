//! Backends that go up and down all the time.

use std::{collections::VecDeque, time::Instant};

use crate::config::types;

/// The last times that a backend went down.
#[derive(Debug)]
pub(super) struct Flaps {
    limit: Option<types::Flaps>,
    /// Oldest first. Mostly empty, and then of no weight.
    downs: VecDeque<Instant>,
}

impl Flaps {
    pub(super) fn new(limit: Option<types::Flaps>) -> Self {
        Self {
            limit,
            downs: VecDeque::new(),
        }
    }

    /// Notes that it went down.
    pub(super) fn down(&mut self, now: Instant) {
        if self.limit.is_some() {
            self.downs.push_back(now);
        }
        self.forget(now);
    }

    /// Whether it has gone down too often to be believed when it comes up.
    pub(super) fn are_too_many(&mut self, now: Instant) -> bool {
        self.forget(now);
        let most = self.limit.map_or(usize::MAX, |limit| limit.most.get() as usize);
        self.downs.len() > most
    }

    fn forget(&mut self, now: Instant) {
        let Some(types::Flaps { most, window }) = self.limit else {
            return;
        };
        while self
            .downs
            .front()
            .is_some_and(|down| now.duration_since(*down) > window)
        {
            self.downs.pop_front();
        }
        // One more than may be is as many as it takes.
        while self.downs.len() > most.get() as usize + 1 {
            self.downs.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, time::Duration};

    use super::*;

    const WINDOW: Duration = Duration::from_mins(1);

    fn flaps(most: u32) -> Flaps {
        let limit = NonZeroU32::new(most).map(|most| types::Flaps { most, window: WINDOW });
        Flaps::new(limit)
    }

    #[test]
    fn a_backend_is_believed_again_when_its_falls_are_long_ago() {
        let (mut flaps, start) = (flaps(2), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        for second in [0, 10] {
            flaps.down(at(second));
            assert!(!flaps.are_too_many(at(second)));
        }
        flaps.down(at(20));
        assert!(flaps.are_too_many(at(20)) && flaps.are_too_many(at(60)));
        assert!(!flaps.are_too_many(at(61)), "the first is over a minute ago");
    }

    #[test]
    fn without_a_limit_nothing_is_too_many_or_remembered() {
        let (mut flaps, now) = (flaps(0), Instant::now());
        (0..1000).for_each(|_| flaps.down(now));
        assert!(!flaps.are_too_many(now) && flaps.downs.is_empty());
    }

    #[test]
    fn no_more_is_remembered_than_counts() {
        let (mut flaps, now) = (flaps(5), Instant::now());
        (0..1000).for_each(|_| flaps.down(now));
        assert_eq!(flaps.downs.len(), 6);
    }
}
