//! `ballast check`

use std::path::PathBuf;

use clap::Args;

use super::output;
use crate::config::{self, Config};

/// Check a configuration file without touching anything
///
/// An error names the file, line and column, what is wrong there and what to do.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ballast check --config /etc/ballast/ballast.toml")]
pub(super) struct Check {
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl Check {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let config = config::load(&self.config)?;
        output::print(&format!("{}: ok ({})\n", self.config.display(), summary(&config)))
    }
}

fn summary(config: &Config) -> String {
    let services = config.services.len();
    let backends = config.services.iter().map(|service| service.backends.len()).sum();
    format!(
        "{}, {}",
        counted(services, "service"),
        counted(backends, "backend")
    )
}

fn counted(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}
