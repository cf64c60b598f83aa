//! A backend as a child process: it can be killed and started again, as real servers are.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use super::server::READY;
use crate::{Namespace, command};

/// A backend server and the namespace it lives in; killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    namespace: Namespace,
    addresses: Vec<SocketAddr>,
    child: Option<Child>,
}

impl Process {
    /// Starts `ballast-lab backend` and waits until it listens.
    pub fn start(name: &str, namespace: Namespace, addresses: Vec<SocketAddr>) -> Result<Self> {
        let mut process = Self {
            name: name.to_owned(),
            namespace,
            addresses,
            child: None,
        };
        process.restart()?;
        Ok(process)
    }

    /// The name it answers with.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace it lives in.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Whether it has been started and not killed since.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// Kills it (SIGKILL); the kernel resets its connections.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child
                .kill()
                .with_context(|| format!("cannot kill backend {}", self.name))?;
            child.wait()?;
        }
        Ok(())
    }

    /// Starts it again, and waits until it listens. Does nothing when it runs.
    pub fn restart(&mut self) -> Result<()> {
        if self.child.is_some() {
            return Ok(());
        }
        let mut command = self.namespace.command(command::ballast_lab()?);
        command.args(["backend", "--name", &self.name]);
        for address in &self.addresses {
            command.args(["--listen", &address.to_string()]);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().context("the child has no standard output")?;
        self.child = Some(child);
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        ensure!(line.trim() == READY, "backend {} did not start", self.name);
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            eprintln!("{error:#}");
        }
    }
}
