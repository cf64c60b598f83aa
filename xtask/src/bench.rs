//! `cargo xtask bench`: what Ballast costs, beside what others cost on the same machine.

use std::{os::unix::process::CommandExt as _, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::{build, process::as_root, setup, workspace};

/// What to measure.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Only these parts: packet, flows, end-to-end, control or scale
    #[arg(value_name = "PART")]
    parts: Vec<String>,
    /// Fewer and shorter measurements, for a first look
    #[arg(long)]
    quick: bool,
    /// An earlier report: show the rows that differ from it by more than 10 %
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
}

/// Builds, then becomes the bench; comes back only when that cannot be started.
pub(crate) fn bench(arguments: &Arguments) -> Result<ExitCode> {
    build::with(&setup::for_bench()?)?;

    let program = workspace::target("release/ballast-bench");
    let mut command = as_root(&program)?;
    command
        .env("BALLAST_BIN", workspace::target("release/ballast"))
        .args(&arguments.parts)
        .args(arguments.quick.then_some("--quick"));
    if let Some(earlier) = &arguments.compare {
        command.arg("--compare").arg(earlier);
    }
    Err(command.exec()).with_context(|| format!("cannot start {}", program.display()))
}
