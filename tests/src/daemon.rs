//! The real `ballast` daemon, as a child process in the balancer's namespace.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use lb_user::{daemon::Status, flows::Flow, stats::Statistics};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::Deserialize;
use serde_json::Value;

use crate::{command, wait_for};

/// Loading and attaching take well under a second; a busy machine may need its time.
const START_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(15);

/// A running daemon; killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    program: PathBuf,
    socket: PathBuf,
}

impl Daemon {
    /// Starts `ballast run` on the configuration in `file`, and waits until its control socket answers.
    pub(crate) fn start(ballast: Command, file: &Path, socket: PathBuf, log: &Path) -> Result<Self> {
        let program = PathBuf::from(ballast.get_program());
        Self::start_by(ballast, program, file, socket, log)
    }

    /// As [`Daemon::start`], by a command that becomes `program`.
    pub(crate) fn start_by(
        mut command: Command,
        program: PathBuf,
        file: &Path,
        socket: PathBuf,
        log: &Path,
    ) -> Result<Self> {
        let output = File::options().create(true).append(true).open(log)?;
        let child = command
            .args(["run", "--config"])
            .arg(file)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut daemon = Self {
            child,
            program,
            socket,
        };
        daemon.wait_until_ready()?;
        Ok(daemon)
    }

    /// `ballast status --json`.
    pub fn status(&self) -> Result<Status> {
        serde_json::from_str(&self.ask("status")?).context("`ballast status --json` is not as documented")
    }

    /// `ballast stats --json`.
    pub fn stats(&self) -> Result<Statistics> {
        serde_json::from_str(&self.ask("stats")?).context("`ballast stats --json` is not as documented")
    }

    /// `ballast stats --json`, with no idea of what is in it.
    pub fn stats_document(&self) -> Result<Value> {
        serde_json::from_str(&self.ask("stats")?).context("`ballast stats --json` is not JSON")
    }

    /// `ballast flow list --json`: how many flows there are, and all of them.
    pub fn flows(&self) -> Result<(u64, Vec<Flow>)> {
        #[derive(Deserialize)]
        struct Listed {
            total: u64,
            flows: Vec<Flow>,
        }
        let arguments = ["flow", "list", "--limit", "1000000"];
        let Listed { total, flows } = serde_json::from_str(&self.ask_with(&arguments)?)
            .context("`ballast flow list --json` is not as documented")?;
        Ok((total, flows))
    }

    /// State of a backend: `up`, `down`, …
    pub fn backend_state(&self, service: &str, backend: &str) -> Result<String> {
        let stats = self.stats()?;
        let service_found = stats.services.iter().find(|candidate| candidate.name == service);
        let backends = &service_found
            .with_context(|| format!("no service {service} in the statistics"))?
            .backends;
        let found = backends.iter().find(|candidate| candidate.name == backend);
        Ok(found
            .with_context(|| format!("no backend {service}/{backend} in the statistics"))?
            .state
            .clone())
    }

    /// Waits until a backend of a service has this state; how long that took.
    pub fn wait_for_state(
        &self,
        service: &str,
        backend: &str,
        state: &str,
        limit: Duration,
    ) -> Result<Duration> {
        let what = format!("{service}/{backend} to be {state}");
        let look = || Ok((self.backend_state(service, backend)? == state).then_some(()));
        wait_for(&what, limit, look).map(|((), took)| took)
    }

    /// Waits until every backend of every service has been checked and is up.
    pub fn wait_until_all_up(&self, limit: Duration) -> Result<()> {
        let look = || {
            let stats = self.stats()?;
            let mut backends = stats.services.iter().flat_map(|service| &service.backends);
            Ok(backends
                .all(|backend| backend.state == "up" && backend.check.status == "ok")
                .then_some(()))
        };
        wait_for("all backends to be up", limit, look).map(drop)
    }

    /// Stops it as Ctrl-C does, and waits. It must exit with code 0.
    pub fn stop(self) -> Result<()> {
        signal(&self.child, Signal::SIGINT)?;
        self.wait_for_end()
    }

    /// Waits until it ends because something else told it to. It must exit with code 0.
    pub fn wait_for_end(mut self) -> Result<()> {
        let (status, _) = wait_for("the daemon to stop", STOP_LIMIT, || Ok(self.child.try_wait()?))?;
        ensure!(status.success(), "the daemon stopped with {status}");
        Ok(())
    }

    /// Kills it without a chance to clean up (SIGKILL).
    pub fn kill(mut self) -> Result<ExitStatus> {
        self.child.kill()?;
        Ok(self.child.wait()?)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let mut last_error = None;
        let ready = wait_for(
            "the daemon to answer `ballast status --json`",
            START_LIMIT,
            || {
                if let Some(status) = self.child.try_wait()? {
                    bail!("the daemon ended at its start with {status}");
                }
                Ok(self.status().map_err(|error| last_error = Some(error)).ok())
            },
        );
        match ready {
            Ok(_) => Ok(()),
            Err(error) => {
                let last = last_error.map_or_else(String::new, |error| format!("\nlast answer: {error:#}"));
                bail!("{error:#}{last}")
            }
        }
    }

    fn ask(&self, question: &str) -> Result<String> {
        self.ask_with(&[question])
    }

    fn ask_with(&self, arguments: &[&str]) -> Result<String> {
        command::output(
            Command::new(&self.program)
                .args(arguments)
                .args(["--json", "--socket"])
                .arg(&self.socket),
        )
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Both fail only when it has ended before, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The last lines of a log file, or why it cannot be read.
pub(crate) fn log_tail(path: &Path) -> String {
    const LINES: usize = 60;
    match fs::read_to_string(path) {
        Ok(text) => {
            let lines: Vec<_> = text.lines().collect();
            lines[lines.len().saturating_sub(LINES)..].join("\n")
        }
        Err(error) => format!("cannot read {}: {error}", path.display()),
    }
}

fn signal(child: &Child, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(i32::try_from(child.id())?);
    kill(pid, signal).with_context(|| format!("cannot send {signal} to process {pid}"))
}
