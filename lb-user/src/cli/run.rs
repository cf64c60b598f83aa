//! `ballast run`

use std::{
    collections::HashSet,
    env,
    io::{self, IsTerminal as _},
    path::PathBuf,
};

use anyhow::{anyhow, bail};
use clap::{Args, ValueEnum, builder::PossibleValue};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use crate::{
    config::{self, Config, types::DataplaneChoice},
    daemon,
};

/// Variable that sets what is logged, such as `debug` or `info,lb_user::health=debug`.
const LOG_VARIABLE: &str = "BALLAST_LOG";

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
}

impl Run {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let config = self.merged_config()?;
        start_logging()?;
        daemon::run(config)
    }

    /// The file's configuration, with what the command line says instead.
    pub(super) fn merged_config(self) -> anyhow::Result<Config> {
        let mut config = config::load(&self.config)?;
        if let Some(dataplane) = self.dataplane {
            config.global.dataplane = dataplane;
        }
        if !self.interfaces.is_empty() {
            config.global.interfaces = each_once(self.interfaces);
        }
        if config.global.interfaces.is_empty() {
            bail!(
                "no interface to serve on; set `interfaces` in [global] of {} or give --interface",
                self.config.display()
            );
        }
        Ok(config)
    }
}

fn each_once(names: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    names
        .into_iter()
        .filter(|name| seen.insert(name.clone()))
        .collect()
}

fn start_logging() -> anyhow::Result<()> {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .with_env_var(LOG_VARIABLE)
        .from_env()
        .map_err(|error| {
            anyhow!("{LOG_VARIABLE} is not a log filter: {error}; write a level such as \"debug\"")
        })?;
    let no_colour = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal() && !no_colour)
        .with_env_filter(filter)
        .init();
    Ok(())
}

impl ValueEnum for DataplaneChoice {
    fn value_variants<'a>() -> &'a [Self] {
        Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.as_str()))
    }
}
