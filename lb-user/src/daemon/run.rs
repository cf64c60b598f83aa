//! The daemon from start to end.

use crate::config::Config;

/// Runs the daemon with this configuration until it is told to stop.
pub fn run(config: Config) -> anyhow::Result<()> {
    drop(config);
    anyhow::bail!("the packet path is not part of this build; use a later one")
}
