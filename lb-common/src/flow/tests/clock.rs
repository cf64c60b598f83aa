//! The time that actors go by.

use std::{
    iter,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

/// The time, and what it was when each actor began what it is at.
pub(super) struct Clock {
    now: AtomicU32,
    began: Vec<AtomicU64>,
}

/// Instead of a time: at nothing.
const RESTS: u64 = u64::MAX;

impl Clock {
    pub(super) fn new(now: u32, actors: u16) -> Self {
        Self {
            now: AtomicU32::new(now),
            began: iter::repeat_with(|| AtomicU64::new(RESTS))
                .take(actors.into())
                .collect(),
        }
    }

    /// The time, by which an actor begins something.
    pub(super) fn begin(&self, actor: u16) -> u32 {
        let mut now = self.now();
        loop {
            self.began[usize::from(actor)].store(now.into(), Ordering::SeqCst);
            // Who looks for it must not miss it while time goes on.
            match self.now() {
                same if same == now => return now,
                later => now = later,
            }
        }
    }

    /// An actor is done with all that it has begun.
    pub(super) fn rest(&self, actor: u16) {
        self.began[usize::from(actor)].store(RESTS, Ordering::SeqCst);
    }

    pub(super) fn now(&self) -> u32 {
        self.now.load(Ordering::SeqCst)
    }

    pub(super) fn pass(&self, ticks: u32) {
        self.now.fetch_add(ticks, Ordering::SeqCst);
    }

    /// For how many ticks any actor has been at something, at most, when it was that time. A packet that somebody is still at
    /// brings its flow's entry the time when it came, even if that has become another flow's meanwhile.
    pub(super) fn behind(&self, now: u32) -> u32 {
        let began = self.began.iter().map(|began| began.load(Ordering::SeqCst));
        let times = began.filter_map(|time| time.try_into().ok());
        let ages = times.map(|time: u32| now.wrapping_sub(time));
        // Who began after `now` is not behind.
        ages.filter(|age| *age <= u32::MAX / 2).max().unwrap_or_default()
    }
}
