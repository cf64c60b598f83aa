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
    rounds: u32,
    /// Of one load at one target.
    length: Duration,
}

impl Plan {
    fn new(effort: Effort) -> Self {
        if effort.rounds < Effort::FULL.rounds {
            return Self {
                rounds: 1,
                length: Duration::from_secs(1),
            };
        }
        Self {
            rounds: 3,
            length: Duration::from_secs(2),
        }
    }
}

/// One load at one target, once.
struct Measured {
    target: Target,
    load: Load,
    measurement: Measurement,
}

/// Measures all targets, round by round.
pub fn measure(effort: Effort) -> Result<Vec<Table>> {
    let plan = Plan::new(effort);
    let mut site = Site::new()?;
    let mut measured = Vec::new();
    for _ in 0..plan.rounds {
        for target in Target::ALL {
            let results = at(&mut site, target, plan.length).with_context(|| format!("target {target}"))?;
            measured.extend(results);
        }
    }
    Ok(summary::tables(&measured, plan))
}

/// Starts the target, puts every load on it, and stops it.
fn at(site: &mut Site, target: Target, length: Duration) -> Result<Vec<Measured>> {
    let running = target.start(site)?;
    let mut measured = Vec::new();
    for load in Load::ALL {
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
