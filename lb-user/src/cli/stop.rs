//! `ballast stop`

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::bail;
use clap::Args;
use serde::Serialize;

use super::{
    client::{AskError, Client},
    output,
};
use crate::{config, daemon::Stopping, dataplane::Pins};

/// How long a daemon may take from its answer to its end: answers to others that are under way are waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks whether it has ended.
const PAUSE: Duration = Duration::from_millis(10);

/// Stop the daemon and detach the packet path
///
/// Where no daemon runs, what a killed one left forwarding is removed.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ballast stop
  ballast stop --keep && ballast run --config /etc/ballast/ballast.toml")]
pub(super) struct Stop {
    #[command(flatten)]
    client: Client,
    /// Configuration file that names the control socket, instead of --socket
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Leave the packet path forwarding, for the next `ballast run` to go on with
    #[arg(long)]
    keep: bool,
}

/// The order's arguments.
#[derive(Serialize)]
struct Arguments {
    keep: bool,
}

impl Stop {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let keep = self.keep;
        let client = match self.config {
            Some(file) => Client::of(config::load(&file)?.global.socket),
            None => self.client,
        };
        let before = identity(client.socket());
        match client.order("stop", &Arguments { keep }) {
            Ok(stopping) => {
                wait_for_end(client.socket(), before)?;
                output::print(&said(&stopping))
            }
            Err(AskError::NobodyThere { .. }) => output::print(&stop_what_is_left(client.socket(), keep)?),
            Err(AskError::Other(error)) => Err(error),
        }
    }
}

fn said(stopping: &Stopping) -> String {
    let interfaces = stopping.interfaces.join(", ");
    if stopping.keeps {
        format!("stopped; packets on {interfaces} are still forwarded\n")
    } else {
        format!("stopped and detached from {interfaces}\n")
    }
}

/// The daemon removes its socket last of all; until then the next one would find it running.
fn wait_for_end(socket: &Path, before: Option<(u64, i64, i64)>) -> anyhow::Result<()> {
    let start = Instant::now();
    // Another identity: the next daemon is there already.
    while before.is_some() && identity(socket) == before {
        if start.elapsed() > PATIENCE {
            bail!("the daemon has let go of the packet path, but not ended within {PATIENCE:?}; see its log");
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// What tells a file from another one of the same name.
fn identity(path: &Path) -> Option<(u64, i64, i64)> {
    let metadata = fs::symlink_metadata(path).ok()?;
    Some((metadata.ino(), metadata.ctime(), metadata.ctime_nsec()))
}

/// What is to be done where no daemon runs; says what was.
fn stop_what_is_left(socket: &Path, keep: bool) -> anyhow::Result<String> {
    let left = Pins::find(socket)?.filter(Pins::are_in_force);
    let Some(mut left) = left else {
        bail!(
            "nothing to stop: nobody listens on {}, and no daemon has left anything forwarding in this network \
             namespace",
            socket.display()
        );
    };
    if keep {
        return Ok("no daemon runs; what the last one left forwarding goes on\n".to_owned());
    }
    let interfaces = left.remove().join(", ");
    Ok(format!(
        "no daemon runs; detached what the last one left forwarding on {interfaces}\n"
    ))
}
