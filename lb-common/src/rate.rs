//! How often a worker may do something that strangers can ask it for.

use crate::layout::{Allowance, Settings};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_allowed_each_second_and_no_more() {
        let (settings, allowance) = (Settings::default(), Allowance::default());
        settings.second.store(1000);
        let allowed = |now| (0..10).filter(|_| allows(&settings, &allowance, now, 3)).count();
        assert_eq!(allowed(5000), 3);
        assert_eq!(allowed(5999), 0);
        assert_eq!(allowed(6000), 3);
        assert_eq!(allowed(5), 3, "after the clock has wrapped round");
    }
}
