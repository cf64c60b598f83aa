//! The check by a command: its exit code says how the backend is.

use std::{io, net::SocketAddr, process::Stdio};

use futures_util::FutureExt as _;
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::AsyncReadExt as _,
    process::{Child, ChildStdout, Command},
};

use super::probe::{Failure, Verdict, printable};
use crate::config::types::ExecCheck;

/// Where programs are that a script calls by their names.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// As much of what it prints as may be shown.
const SHOWN: usize = 256;

/// Runs the command and waits for its end. Who stops waiting ends it, and everything that it started.
pub(super) async fn ask(check: &ExecCheck, address: SocketAddr) -> Result<Verdict, Failure> {
    let mut group = Group::start(check, address).map_err(Failure::Host)?;
    let (status, printed) = group.end().await.map_err(Failure::Host)?;
    let said = match printed.split(|byte| *byte == b'\n').next() {
        None | Some([]) => String::new(),
        Some(line) => format!(": {}", printable(line)),
    };
    Ok(if status.success() {
        Verdict::ok(format!("{status}{said}"))
    } else {
        Verdict::failed(format!("{status}{said}"))
    })
}

/// A command and all processes that it starts.
struct Group(Child);

impl Group {
    fn start(check: &ExecCheck, address: SocketAddr) -> io::Result<Self> {
        let Some((program, arguments)) = check.command.split_first() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        Command::new(program)
            .args(arguments)
            // The daemon's own variables may be secrets.
            .env_clear()
            .env("PATH", PATH)
            .env("BALLAST_ADDRESS", address.ip().to_string())
            .env("BALLAST_PORT", address.port().to_string())
            .envs(check.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map(Self)
    }

    /// Waits for the command, and takes off what it prints, so that it never waits for us. A process that it leaves
    /// behind may hold its output open, and is not waited for.
    async fn end(&mut self) -> io::Result<(std::process::ExitStatus, Vec<u8>)> {
        let mut output = self.0.stdout.take();
        let mut printed = Vec::new();
        let status = loop {
            let Some(open) = &mut output else {
                break self.0.wait().await?;
            };
            tokio::select! {
                biased;
                more = take(open, &mut printed) => if !more? {
                    output = None;
                },
                status = self.0.wait() => break status?,
            }
        };
        if let Some(open) = &mut output {
            // What it printed last may not have been looked at yet.
            let _nothing_more = take(open, &mut printed).now_or_never();
        }
        Ok((status, printed))
    }
}

/// Takes off some output, and keeps what may be shown of it; says whether there may be more.
async fn take(output: &mut ChildStdout, printed: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 1024];
    let length = output.read(&mut buffer).await?;
    let room = SHOWN.saturating_sub(printed.len());
    printed.extend(buffer.iter().take(length.min(room)));
    Ok(length > 0)
}

impl Drop for Group {
    fn drop(&mut self) {
        // No number any more: it has ended, and its number may be another process's by now.
        let Some(leader) = self.0.id().and_then(|id| i32::try_from(id).ok()) else {
            return;
        };
        if let Err(error) = killpg(Pid::from_raw(leader), Signal::SIGKILL) {
            tracing::warn!(%error, "cannot end a check's command");
        }
    }
}
