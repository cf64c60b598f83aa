//! How often something may be done in a second: by a worker, or by all of them together.

use crate::{
    hash::{high, low},
    layout::{Allowance, Settings},
    shared::Shared,
};

/// Whether something that is allowed so many times a second may be done once more; counts it if so.
#[inline(always)]
pub(crate) fn allows(settings: &Settings, allowance: &Allowance, now: u32, per_second: u32) -> bool {
    // Also where the clock has wrapped round since.
    if now.wrapping_sub(allowance.since.load()) >= settings.second.load() {
        allowance.since.store(now);
        allowance.used.store(0);
    }
    let used = allowance.used.load();
    let allowed = used < per_second;
    if allowed {
        allowance.used.store(used.wrapping_add(1));
    }
    allowed
}

/// The same for what all workers do: their window is when its second began, in ticks, above how often since then. Where
/// several begin a second at once, some of them may be let in beside it.
#[inline(always)]
pub(crate) fn takes(settings: &Settings, window: &Shared<u64>, now: u32, per_second: u32) -> bool {
    let before = window.load();
    let begun = u64::from(now) << 32 | 1;
    if is_over(before, now, settings.second.load()) && window.compare_exchange(before, begun) {
        return true;
    }
    // Who is refused changes nothing, lest a flood cost more than a look.
    low(window.load()) < per_second && low(window.fetch_add(1)) < per_second
}

/// Whether a window's second is over, or never began; not where another worker's clock, which began it, is a little ahead
/// of ours.
#[inline(always)]
pub(crate) fn is_over(window: u64, now: u32, second: u32) -> bool {
    let since = now.wrapping_sub(high(window));
    window == 0 || since.wrapping_add(second) >= second.wrapping_mul(2)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::shared::zeroed;

    #[test]
    fn so_many_are_allowed_each_second_and_no_more() {
        let (settings, allowance) = (zeroed::<Settings>(), Allowance::default());
        settings.second.store(1000);
        let allowed = |now| (0..10).filter(|_| allows(&settings, &allowance, now, 3)).count();
        assert_eq!(allowed(5000), 3);
        assert_eq!(allowed(5999), 0);
        assert_eq!(allowed(6000), 3);
        assert_eq!(allowed(5), 3, "after the clock has wrapped round");
    }

    #[test]
    fn all_workers_together_are_allowed_so_many_each_second() {
        let (settings, window) = (zeroed::<Settings>(), Shared::<u64>::default());
        settings.second.store(1000);
        let allowed = |now| (0..10).filter(|_| takes(&settings, &window, now, 3)).count();
        assert_eq!(allowed(5000), 3);
        assert_eq!(allowed(5999), 0);
        assert_eq!(allowed(4999), 0, "by a clock that is behind");
        assert_eq!(allowed(6000), 3);
        assert_eq!(allowed(5), 3, "after the clock has wrapped round");
    }

    #[test]
    fn what_never_began_is_over_at_any_time() {
        for now in [0, 1, 999, 1000, u32::MAX] {
            assert!(is_over(0, now, 1000), "{now}");
        }
    }

    #[test]
    fn no_race_lets_more_in_than_are_allowed() {
        let (settings, window) = (zeroed::<Settings>(), Shared::<u64>::default());
        settings.second.store(1000);
        let allowed = || {
            (0..10_000)
                .filter(|_| takes(&settings, &window, 5000, 7000))
                .count()
        };
        let total: usize = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(allowed)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(total, 7000);
    }
}
