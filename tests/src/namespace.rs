//! Named network namespaces, and ways to do something inside one.

use std::{
    ffi::OsStr,
    fs::File,
    io,
    os::unix::process::CommandExt as _,
    panic::resume_unwind,
    path::Path,
    process::Command,
    sync::Arc,
    thread::{self, JoinHandle},
};

use anyhow::{Context as _, Result};
use nix::{
    sched::{CloneFlags, setns},
    sys::{prctl::set_pdeathsig, signal::Signal},
};

use crate::command;

/// Where iproute2 keeps named network namespaces.
pub(crate) const DIRECTORY: &str = "/run/netns";

/// A network namespace, deleted when its last clone is dropped.
#[derive(Debug, Clone)]
pub struct Namespace(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    handle: File,
}

impl Namespace {
    /// Makes the namespace `name` (as `ip netns add` does), with its loopback interface still down.
    pub fn create(name: &str) -> Result<Self> {
        command::ip(["netns", "add", name]).context("cannot make a network namespace (this needs root)")?;
        let handle = File::open(Path::new(DIRECTORY).join(name))
            .with_context(|| format!("cannot open the network namespace {name}"))?;
        Ok(Self(Arc::new(Inner {
            name: name.to_owned(),
            handle,
        })))
    }

    /// Its name, as in `ip netns list`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Runs `work` in the namespace, on a thread of its own, and waits for it. A panic in `work` goes on here.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        thread::scope(|scope| {
            let worker = scope.spawn(|| {
                self.enter()?;
                work()
            });
            worker.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// Runs `work` in the namespace on a thread of its own, and does not wait for it.
    pub fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> JoinHandle<Result<T>> {
        let namespace = self.clone();
        thread::spawn(move || {
            namespace.enter()?;
            work()
        })
    }

    /// A command that will run in the namespace.
    ///
    /// The child gets its own process group, so that a Ctrl-C at the terminal is ours alone to handle, and is
    /// killed when the thread that started it ends, so that nothing stays behind however we end.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let namespace = self.clone();
        let mut command = Command::new(program);
        command.process_group(0);
        // SAFETY: between fork and exec the closure makes two plain system calls and allocates nothing.
        unsafe {
            command.pre_exec(move || {
                namespace.enter_raw()?;
                set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from)
            });
        }
        command
    }

    /// Runs `ip` on the namespace, one command per line of `batch`.
    pub fn ip_batch(&self, batch: &str) -> Result<()> {
        let mut ip = Command::new("ip");
        ip.args(["-n", self.name(), "-batch", "-"]);
        command::output_with_input(&mut ip, batch).map(drop)
    }

    /// Sets a kernel parameter of the namespace; `key` is a path under `/proc/sys/net`.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        // The kernel resolves this path by the thread's namespace.
        let path = format!("/proc/sys/net/{key}");
        self.run(|| std::fs::write(&path, value).with_context(|| format!("cannot write {value} to {path}")))
    }

    fn enter(&self) -> Result<()> {
        self.enter_raw()
            .with_context(|| format!("cannot enter the network namespace {}", self.name()))
    }

    fn enter_raw(&self) -> io::Result<()> {
        setns(&self.0.handle, CloneFlags::CLONE_NEWNET).map_err(io::Error::from)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Err(error) = command::ip(["netns", "delete", &self.name]) {
            eprintln!("{error:#}");
        }
    }
}
