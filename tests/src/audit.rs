//! What must be true of a balancer whose work is done: every frame that its interfaces received has a verdict, and no flow
//! is active any more.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::{Daemon, Namespace, observe, wait_for};

/// For a moment in which no packet comes. Where checks leave none, frames are compared with verdicts as exactly as it goes.
const PATIENCE: Duration = Duration::from_secs(2);

/// For what is on its way to be counted.
const COUNT_LIMIT: Duration = Duration::from_secs(10);

/// For flows to end by themselves, of which those wait longest (`connect_timeout`) that a dead backend never answered.
const END_LIMIT: Duration = Duration::from_mins(1);

/// What had been counted when the daemon was ready: from then on, frames and verdicts must keep pace.
#[derive(Debug)]
pub(crate) struct Baseline {
    interfaces: Vec<String>,
    surplus: Surplus,
}

/// How many more verdicts than frames have been counted: not a single number, if frames came between the looks at both.
#[derive(Debug, Clone, Copy)]
struct Surplus {
    least: i64,
    most: i64,
}

impl Baseline {
    /// What has been counted by now.
    pub(crate) fn of(daemon: &Daemon, balancer: &Namespace) -> Result<Self> {
        let interfaces = daemon.status()?.interfaces;
        let interfaces: Vec<_> = interfaces.into_iter().map(|interface| interface.name).collect();
        let surplus = Surplus::of(daemon, balancer, &interfaces)?;
        Ok(Self { interfaces, surplus })
    }

    /// Whether the counters of `later` go on from these, if those of the packet path do.
    pub(crate) fn leads_to(&self, later: &Self) -> bool {
        self.interfaces == later.interfaces
    }

    /// Waits until all flows are over and everything is counted.
    pub(crate) fn audit(&self, daemon: &Daemon, balancer: &Namespace) -> Result<()> {
        no_flow_stays_active(daemon)?;
        let mut last = None;
        let counted = wait_for("every frame to have a verdict", COUNT_LIMIT, || {
            let now = Surplus::of(daemon, balancer, &self.interfaces)?;
            last = Some(now);
            Ok(now.may_be(self.surplus).then_some(()))
        });
        counted
            .map(drop)
            .with_context(|| format!("verdicts beyond frames: {:?}, and then {last:?}", self.surplus))
    }
}

impl Surplus {
    /// Looks until it is known exactly, or [`PATIENCE`] ends.
    fn of(daemon: &Daemon, balancer: &Namespace, interfaces: &[String]) -> Result<Self> {
        let start = Instant::now();
        let mut known = Self::look(daemon, balancer, interfaces)?;
        while known.least < known.most && start.elapsed() < PATIENCE {
            let look = Self::look(daemon, balancer, interfaces)?;
            known.least = known.least.max(look.least);
            known.most = known.most.min(look.most);
        }
        Ok(known)
    }

    fn look(daemon: &Daemon, balancer: &Namespace, interfaces: &[String]) -> Result<Self> {
        let frames = || -> Result<i64> {
            let frames = observe::received_frames(balancer, interfaces)?;
            Ok(i64::try_from(frames)?)
        };
        let before = frames()?;
        let packets = daemon.stats()?.packets;
        let after = frames()?;
        let by_verdict = &packets.verdicts;
        let sum = by_verdict.pass + by_verdict.tx + by_verdict.redirect + by_verdict.drop;
        ensure!(sum == packets.total, "{packets:?}");
        // What an engine in userspace says it never saw is accounted for, too.
        let verdicts = i64::try_from(sum + packets.lost.unread)?;
        Ok(Self {
            least: verdicts - after,
            most: verdicts - before,
        })
    }

    /// Whether both can be the same number.
    fn may_be(self, other: Self) -> bool {
        self.least <= other.most && other.least <= self.most
    }
}

/// Waits until no flow is active: those over TCP end with their connections, those over UDP when they have been quiet for
/// long enough.
fn no_flow_stays_active(daemon: &Daemon) -> Result<()> {
    let waited = wait_for("all flows to be over", END_LIMIT, || {
        let stats = daemon.stats()?;
        let active = stats.services.iter().map(|service| service.counters.flows_active);
        Ok((active.sum::<u64>() == 0).then_some(()))
    });
    waited.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_the_same_number_is_told_from_what_cannot() {
        let between = |least, most| Surplus { least, most };
        assert!(between(-3, -3).may_be(between(-3, -3)));
        assert!(between(-3, -3).may_be(between(-5, 0)));
        assert!(
            !between(-3, -3).may_be(between(-2, -2)),
            "a frame without a verdict"
        );
        assert!(!between(-5, -4).may_be(between(-3, 0)));
    }
}
