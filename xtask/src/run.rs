//! `cargo xtask run`: see it work, in a lab of network namespaces or on this host's own NIC.

use std::{os::unix::process::CommandExt as _, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::{build, process::as_root, setup, workspace};

/// What to run, and where.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Lab: a fixed load and a summary; fails unless every request was answered by a healthy backend
    #[arg(long, conflicts_with = "config")]
    once: bool,
    /// Lab: requests of that fixed load
    #[arg(long, value_name = "N", requires = "once")]
    requests: Option<u64>,
    /// Which engine forwards packets: auto, xdp, xdp-generic or af-packet
    #[arg(long, value_name = "D")]
    dataplane: Option<String>,
    /// Not the lab: run with this configuration on this host's own network interfaces
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Interface that service traffic arrives on, instead of those in the configuration
    #[arg(long = "interface", value_name = "NAME", requires = "config")]
    interfaces: Vec<String>,
}

/// Builds, then becomes the lab or the daemon; comes back only when that cannot be started.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    build::with(&setup::for_run()?)?;

    let ballast = workspace::target("release/ballast");
    let program = if arguments.config.is_some() {
        ballast.clone()
    } else {
        workspace::target("release/ballast-lab")
    };
    let mut command = as_root(&program)?;
    command
        .env("BALLAST_BIN", ballast)
        .arg("run")
        .args(arguments.into_words());
    Err(command.exec()).with_context(|| format!("cannot start {}", program.display()))
}

impl Arguments {
    /// The arguments as `ballast run` and `ballast-lab run` take them.
    fn into_words(self) -> Vec<String> {
        let mut words = Vec::new();
        if self.once {
            words.push("--once".to_owned());
        }
        let requests = self.requests.map(|requests| ("--requests", requests.to_string()));
        let dataplane = self.dataplane.map(|dataplane| ("--dataplane", dataplane));
        let config = self
            .config
            .map(|config| ("--config", config.display().to_string()));
        let interfaces = self
            .interfaces
            .into_iter()
            .map(|interface| ("--interface", interface));
        for (option, value) in requests
            .into_iter()
            .chain(dataplane)
            .chain(config)
            .chain(interfaces)
        {
            words.extend([option.to_owned(), value]);
        }
        words
    }
}
