//! Another program in a namespace.

use std::{
    fs::File,
    net::{SocketAddr, TcpStream},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use crate::{Namespace, daemon::log_tail, wait_for};

/// An empty database takes its time to be filled with what is in every one.
const START_LIMIT: Duration = Duration::from_mins(1);

/// A program and the processes that it made; killed when dropped.
#[derive(Debug)]
pub(crate) struct Program {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts `command`, of a namespace; what it says goes to a file in `directory`.
    pub(crate) fn start(mut command: Command, directory: &Path) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let log = directory.join(format!("{name}.log"));
        let output = File::options().create(true).append(true).open(&log)?;
        // A group of its own takes along what it starts.
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| {
                format!("cannot start {name}: is it installed? `cargo xtask setup` does that")
            })?;
        Ok(Self { name, child, log })
    }

    /// Waits until it takes connections at `address`, asked from `namespace`.
    pub(crate) fn wait_for(&mut self, namespace: &Namespace, address: SocketAddr) -> Result<()> {
        let what = format!("{} to listen on {address}", self.name);
        wait_for(&what, START_LIMIT, || {
            if let Some(status) = self.child.try_wait()? {
                let said = log_tail(&self.log);
                bail!("{} ended at its start with {status}: {said}", self.name);
            }
            namespace.run(|| Ok(TcpStream::connect(address).ok().map(drop)))
        })?;
        Ok(())
    }

    /// Ends all of it without a chance to say goodbye (SIGKILL).
    pub(crate) fn kill(&mut self) -> Result<()> {
        killpg(Pid::from_raw(i32::try_from(self.child.id())?), Signal::SIGKILL)?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails only when all of them have ended before, which is what is wanted.
        let _ = self.kill();
        let _ = self.child.wait();
    }
}
