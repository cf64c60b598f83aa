//! CPU time of the whole machine: whoever does a balancer's work, it is counted.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};
use nix::unistd::{SysconfVar, sysconf};

/// Fields of /proc/stat's first line that are no work: idle and waiting for a disk (proc(5), counted from 0).
const IDLE: [usize; 2] = [3, 4];
/// Guests' time is in user time already, and stolen time is somebody else's.
const WORK_FIELDS: usize = 7;

/// CPU time that all CPUs together have worked since the machine started.
pub(super) fn busy() -> Result<Duration> {
    let text = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    let ticks = ticks(&text).context("cannot understand /proc/stat")?;
    let rate = sysconf(SysconfVar::CLK_TCK)?.context("the system does not tell its clock ticks")?;
    Ok(Duration::from_secs(1) * u32::try_from(ticks)? / u32::try_from(rate)?)
}

fn ticks(stat: &str) -> Option<u64> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
    let work = fields
        .take(WORK_FIELDS)
        .enumerate()
        .filter(|(index, _)| !IDLE.contains(index));
    work.map(|(_, field)| field.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_waiting_stolen_and_guest_time_are_no_work() {
        let stat = "cpu  1 2 4 1000 1000 8 16 1000 1000 1000\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(ticks(stat), Some(31));
    }
}
