//! Real connections through real balancers, in network namespaces on this machine: directly, through `HAProxy`,
//! nginx, nftables and Ballast, in turn.
//!
//! All share the client, the backend (one nginx) and the cables. Each has its own ports at the virtual address and
//! at the backend, so that what one leaves behind in `TIME_WAIT` is in nobody's way.

mod cpu;
mod direct;
mod load;
mod site;
mod summary;
mod target;
mod udp;
mod wrk;

use std::time::Duration;

use anyhow::{Context as _, Result};

use self::{
    load::{Load, Measurement},
    site::Site,
    target::Target,
};
use super::{report::Table, timing::Effort};
use crate::{Dataplane, Mode};

/// What others are compared with.
const REFERENCE: Target = Target::Routed;

/// How long one load is put on one target.
const LENGTH: Duration = Duration::from_secs(1);

/// What the goals are set for.
const GOAL: Target = Target::Ballast(Dataplane::Xdp, Mode::FullNat);

/// How often.
#[derive(Debug, Clone, Copy)]
struct Plan {
    /// How often each target is started.
    rounds: u32,
    /// In how many of these rounds all loads are put on it: the first ones.
    whole: u32,
    /// How often connections are put on it in a round before any are measured: until a client's ports come round, at first
    /// in some seconds, the backend has no old connection in `TIME_WAIT` by this target for a new one to replace, as it
    /// always has by [`REFERENCE`].
    unmeasured: u32,
    /// How often connections and requests are put on it in a round.
    pairs: u32,
    /// How many times as often connections are put on [`GOAL`], of which differences of a hundredth are looked for.
    focus: u32,
}

impl Plan {
    /// Where nothing else is measured there is time for more.
    fn new(effort: Effort, alone: bool) -> Self {
        let (rounds, whole, unmeasured, pairs, focus) = match (effort.rounds < Effort::FULL.rounds, alone) {
            (true, _) => (1, 1, 0, 1, 1),
            (false, false) => (3, 2, 0, 1, 6),
            (false, true) => (6, 3, 3, 3, 9),
        };
        Self {
            rounds,
            whole,
            unmeasured,
            pairs,
            focus,
        }
    }

    /// How often that load is put on a target in a round.
    fn pairs_of(self, target: Target, load: Load, round: u32) -> u32 {
        match load {
            Load::Datagrams if !target.forwards_udp() => 0,
            Load::Bulk | Load::Datagrams => u32::from(round < self.whole),
            Load::Short if target == GOAL => self.pairs * self.focus,
            Load::Short | Load::KeepAlive => self.pairs,
        }
    }

    /// How often it is in all.
    fn total_of(self, target: Target, load: Load) -> u32 {
        (0..self.rounds)
            .map(|round| self.pairs_of(target, load, round))
            .sum()
    }
}

/// One load at one target, and at the reference.
struct Pair {
    target: Target,
    load: Load,
    measured: Measurement,
    reference: Measurement,
}

/// Measures all targets, round by round; `alone`, if nothing else is measured.
pub fn measure(effort: Effort, alone: bool) -> Result<Vec<Table>> {
    let plan = Plan::new(effort, alone);
    let mut site = Site::new()?;
    let mut pairs = Vec::new();
    for round in 0..plan.rounds {
        for target in Target::ALL {
            let loads = Load::ALL.map(|load| (load, plan.pairs_of(target, load, round)));
            let measured = at(&mut site, target, plan.unmeasured, loads);
            pairs.extend(measured.with_context(|| format!("target {target}"))?);
        }
    }
    Ok(summary::tables(&pairs, plan))
}

/// Starts the target, puts connections on it so many times `unmeasured`, and then each of these loads on it and on the
/// reference, and stops it.
fn at(
    site: &mut Site,
    target: Target,
    unmeasured: u32,
    loads: [(Load, u32); Load::ALL.len()],
) -> Result<Vec<Pair>> {
    let running = target.start(site)?;
    for _ in 0..unmeasured {
        Load::Short.put_on(site, target, LENGTH)?;
    }
    let mut pairs = Vec::new();
    for (load, count) in loads {
        for number in 0..count {
            pairs.push(pair(site, target, load, number % 2 == 0)?);
        }
    }
    running.stop()?;
    Ok(pairs)
}

/// Puts a load on the target and on the reference, one right after the other, since the machine is not as fast in one second
/// as in another; which of them comes `first` changes.
fn pair(site: &Site, target: Target, load: Load, first: bool) -> Result<Pair> {
    let at = |target| load.put_on(site, target, LENGTH);
    let (measured, reference) = if first {
        let measured = at(target)?;
        (measured, at(REFERENCE)?)
    } else {
        let reference = at(REFERENCE)?;
        (at(target)?, reference)
    };
    Ok(Pair {
        target,
        load,
        measured,
        reference,
    })
}
