//! Real connections through real balancers, in network namespaces on this machine: directly, through `HAProxy`,
//! nginx, nftables and Ballast, in turn.
//!
//! All share the client, the backend (one nginx) and the cables. Each has its own ports at the virtual address and
//! at the backend, so that what one leaves behind in `TIME_WAIT` is in nobody's way.

mod cpu;
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

/// How often and how long.
#[derive(Debug, Clone, Copy)]
struct Plan {
    /// Of connections and requests, of which differences of a hundredth are looked for.
    rounds: u32,
    /// Of all loads: the first of those rounds.
    whole: u32,
    /// Of one load at one target.
    length: Duration,
}

impl Plan {
    /// Where nothing else is measured there is time for more rounds.
    fn new(effort: Effort, alone: bool) -> Self {
        if effort.rounds < Effort::FULL.rounds {
            return Self {
                rounds: 1,
                whole: 1,
                length: Duration::from_secs(1),
            };
        }
        Self {
            rounds: if alone { 12 } else { 5 },
            whole: 3,
            length: Duration::from_secs(2),
        }
    }

    /// How often that load is put on each target.
    fn rounds_of(self, load: Load) -> u32 {
        match load {
            Load::Short | Load::KeepAlive => self.rounds,
            Load::Bulk | Load::Datagrams => self.whole,
        }
    }
}

/// One load at one target, once.
struct Measured {
    target: Target,
    load: Load,
    measurement: Measurement,
}

/// Measures all targets, round by round; `alone`, if nothing else is measured.
pub fn measure(effort: Effort, alone: bool) -> Result<Vec<Table>> {
    let plan = Plan::new(effort, alone);
    let mut site = Site::new()?;
    let mut measured = Vec::new();
    for round in 0..plan.rounds {
        let loads = Load::ALL.into_iter().filter(|load| round < plan.rounds_of(*load));
        for target in Target::ALL {
            let results = at(&mut site, target, loads.clone(), plan.length);
            let results = results.with_context(|| format!("target {target}"))?;
            measured.extend(results);
        }
    }
    Ok(summary::tables(&measured, plan))
}

/// Starts the target, puts each of these loads on it, and stops it.
fn at(
    site: &mut Site,
    target: Target,
    loads: impl Iterator<Item = Load>,
    length: Duration,
) -> Result<Vec<Measured>> {
    let running = target.start(site)?;
    let mut measured = Vec::new();
    for load in loads {
        if load == Load::Datagrams && !target.forwards_udp() {
            continue;
        }
        let measurement = load.put_on(site, target, length)?;
        measured.push(Measured {
            target,
            load,
            measurement,
        });
    }
    running.stop()?;
    Ok(measured)
}
