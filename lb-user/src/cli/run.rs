//! `ballast run`

use std::{collections::HashSet, path::PathBuf};

use anyhow::bail;
use clap::{Args, ValueEnum, builder::PossibleValue};

use super::log;
use crate::{
    config::{self, types::DataplaneChoice},
    daemon,
    runtime::Source,
};

/// Run the load balancer until it is told to stop
///
/// Logs go to stderr; `BALLAST_LOG=debug` in the environment makes them longer, `BALLAST_LOG=warn` shorter.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ballast run --config /etc/ballast/ballast.toml --interface eth0")]
pub(super) struct Run {
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Engine that forwards packets, instead of the configuration's
    #[arg(long, value_name = "ENGINE")]
    dataplane: Option<DataplaneChoice>,
    /// Interface that service traffic arrives on, instead of the configuration's; may be repeated
    #[arg(long = "interface", value_name = "INTERFACE", value_parser = config::interface_name)]
    interfaces: Vec<String>,
    /// How to log: lines for people or JSON on stderr, or to journald with all fields
    #[arg(
        long,
        value_name = "FORMAT",
        env = "BALLAST_LOG_FORMAT",
        value_enum,
        default_value_t
    )]
    log_format: log::Format,
}

impl Run {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let format = self.log_format;
        let source = self.source()?;
        log::start(format)?;
        daemon::run(source)
    }

    /// Where the configuration comes from. What is wrong with it is said before anything is started.
    pub(super) fn source(self) -> anyhow::Result<Source> {
        let source = Source {
            file: self.config,
            dataplane: self.dataplane,
            interfaces: each_once(self.interfaces),
        };
        let config = source.load()?;
        if config.global.interfaces.is_empty() {
            bail!(
                "no interface to serve on; set `interfaces` in [global] of {} or give --interface",
                source.file.display()
            );
        }
        Ok(source)
    }
}

fn each_once(names: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    names
        .into_iter()
        .filter(|name| seen.insert(name.clone()))
        .collect()
}

impl ValueEnum for DataplaneChoice {
    fn value_variants<'a>() -> &'a [Self] {
        Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.as_str()))
    }
}
