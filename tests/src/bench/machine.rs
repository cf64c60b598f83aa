//! Where it was measured.

use std::{fmt, fs, panic::resume_unwind, thread};

use anyhow::{Context as _, Result};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    sys::utsname::uname,
    unistd::{Pid, SysconfVar, sysconf},
};
use serde::Serialize;

/// What figures depend on.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// How many of its cores are here.
    pub processors: usize,
    /// The kernel's release.
    pub kernel: String,
    /// What else ran: the load average of the last minute, before the first measurement.
    pub load: f64,
}

impl Machine {
    /// This machine now.
    pub fn new() -> Result<Self> {
        let cpu = fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
        let name = cpu
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let load = fs::read_to_string("/proc/loadavg").context("cannot read /proc/loadavg")?;
        let load = load.split(' ').next().unwrap_or_default();
        Ok(Self {
            processor: name.map_or_else(|| "unknown".to_owned(), |(_, name)| name.to_owned()),
            processors: processors()?,
            kernel: uname()?.release().to_string_lossy().into_owned(),
            load: load.parse().context("cannot understand /proc/loadavg")?,
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} × {}, Linux {}, load {}",
            self.processors, self.processor, self.kernel, self.load
        )
    }
}

/// How many CPUs there are, whichever of them we may run on.
pub fn processors() -> Result<usize> {
    let processors = sysconf(SysconfVar::_NPROCESSORS_CONF)?;
    Ok(usize::try_from(
        processors.context("the system does not tell its CPUs")?,
    )?)
}

/// Runs `work` on a thread that stays on the last CPU, where caches stay warm and interrupts are fewer than on the
/// first.
pub fn on_one_cpu<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let last = processors()? - 1;
    let mut set = CpuSet::new();
    set.set(last)?;
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            sched_setaffinity(Pid::from_raw(0), &set).context("cannot stay on one CPU")?;
            work()
        });
        worker.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}
