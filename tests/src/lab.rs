//! A lab that stands, and what can be asked of it.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context as _, Result};

use crate::{
    BACKEND_PORT, Builder, Daemon, DaemonConfig, ECHO_PORT, Family, Namespace, Role, RunDirectory, WEB_PORT,
    audit::Baseline, backend::Process, command, daemon, observe, pins, tunnel_end::TunnelEnd,
    xdp_pass::XdpPass,
};

/// Generous: the first checks run at once, on a machine that may be busy.
const ALL_UP_LIMIT: Duration = Duration::from_secs(20);

/// A lab with its backends running. Dropping it ends all processes and removes all namespaces and files.
#[derive(Debug)]
pub struct Lab {
    // In the order in which they have to go.
    pub(crate) daemon: Option<Daemon>,
    pub(crate) baseline: Option<Baseline>,
    pub(crate) backends: Vec<Process>,
    pub(crate) _pass_program: XdpPass,
    pub(crate) _tunnel_ends: Vec<TunnelEnd>,
    pub(crate) namespaces: BTreeMap<Role, Namespace>,
    pub(crate) builder: Builder,
    pub(crate) directory: RunDirectory,
}

impl Lab {
    /// The configuration that fits this lab.
    #[must_use]
    pub fn config(&self) -> DaemonConfig {
        let Builder {
            wiring,
            backends,
            dataplane,
            check,
            ..
        } = self.builder;
        DaemonConfig {
            wiring,
            backends,
            interfaces: wiring.balancer_interfaces(backends),
            dataplane,
            check,
            services: self.builder.services.clone(),
            directory: self.directory.path().to_owned(),
        }
    }

    /// Writes a configuration file for `ballast`; its path.
    pub fn write_config(&self, text: &str) -> Result<PathBuf> {
        let file = self.directory.path().join("ballast.toml");
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }

    /// A `ballast` command in the balancer's namespace, still without arguments.
    pub fn ballast(&self) -> Result<Command> {
        Ok(self.balancer().command(command::ballast()?))
    }

    /// As [`Lab::ballast`], of another build.
    pub fn rebuilt_ballast(&self) -> Result<Command> {
        Ok(self.balancer().command(command::rebuilt_ballast()?))
    }

    /// Starts the daemon, and waits until it found all backends up.
    pub fn start_daemon(&mut self) -> Result<&Daemon> {
        self.start_daemon_on(&self.config().to_toml())
    }

    /// Starts the daemon on another configuration, and waits until it found all its backends up.
    pub fn start_daemon_on(&mut self, config: &str) -> Result<&Daemon> {
        self.start(self.ballast()?, config)
    }

    /// Starts the daemon on a configuration some of whose backends are down, and does not wait for any.
    pub fn start_daemon_unready(&mut self, config: &str) -> Result<&Daemon> {
        let ballast = self.ballast()?;
        let program = PathBuf::from(ballast.get_program());
        let adopts = self.has_pins();
        self.start_process(ballast, program, config)?;
        self.begin_to_count(adopts)
    }

    /// Starts the daemon of another build, and waits until it found all backends up.
    pub fn start_rebuilt_daemon(&mut self) -> Result<&Daemon> {
        self.start(self.rebuilt_ballast()?, &self.config().to_toml())
    }

    /// Starts the daemon without these capabilities, and waits until it found all backends up.
    pub fn start_daemon_without(&mut self, capabilities: &[&str]) -> Result<&Daemon> {
        let without: Vec<String> = capabilities.iter().map(|name| format!("-{name}")).collect();
        let mut command = self.balancer().command("setpriv");
        let ballast = command::ballast()?;
        command
            .arg(format!("--bounding-set={}", without.join(",")))
            .arg(&ballast);
        self.start_by(command, ballast, &self.config().to_toml())
    }

    fn start(&mut self, ballast: Command, config: &str) -> Result<&Daemon> {
        let program = PathBuf::from(ballast.get_program());
        self.start_by(ballast, program, config)
    }

    /// Starts `program` by a command that becomes it, and waits until it found all backends up.
    fn start_by(&mut self, command: Command, program: PathBuf, config: &str) -> Result<&Daemon> {
        let adopts = self.has_pins();
        let daemon = self.start_process(command, program, config)?;
        daemon.wait_until_all_up(ALL_UP_LIMIT)?;
        self.begin_to_count(adopts)
    }

    fn start_process(&mut self, command: Command, program: PathBuf, config: &str) -> Result<&Daemon> {
        let file = self.write_config(config)?;
        let socket = self.config().socket();
        let daemon = Daemon::start_by(command, program, &file, socket, &self.log())?;
        Ok(self.daemon.insert(daemon))
    }

    /// Whether a daemon that starts now finds a packet path to take over.
    fn has_pins(&self) -> bool {
        !pins::pinned(self.directory.identity()).is_empty()
    }

    /// Notes what was counted before the story goes on: see [`Lab::audit`].
    fn begin_to_count(&mut self, adopts: bool) -> Result<&Daemon> {
        let daemon = self.daemon.as_ref().context("no daemon runs")?;
        let now = Baseline::of(daemon, &self.namespaces[&Role::Balancer])?;
        // A packet path that is taken over goes on counting, and what it did without a daemon counts.
        self.baseline = match self.baseline.take() {
            Some(earlier) if adopts && earlier.leads_to(&now) => Some(earlier),
            _ => Some(now),
        };
        Ok(daemon)
    }

    /// Checks what must be true of any lab once all connections in it are closed: every frame that the balancer's
    /// interfaces received has a verdict, and no flow is active any more. Waits for flows over UDP, which end when
    /// they have been quiet for long enough.
    ///
    /// Where no daemon runs, because none was to start or the story was about its end, nobody counts any more, and
    /// there is nothing to check.
    pub fn audit(&self) -> Result<()> {
        match (&self.daemon, &self.baseline) {
            (Some(daemon), Some(baseline)) => baseline.audit(daemon, self.balancer()),
            _ => Ok(()),
        }
    }

    /// The running daemon.
    pub fn daemon(&self) -> Result<&Daemon> {
        self.daemon.as_ref().context("the daemon has not been started")
    }

    /// Stops the daemon as Ctrl-C does.
    pub fn stop_daemon(&mut self) -> Result<()> {
        self.daemon
            .take()
            .context("the daemon has not been started")?
            .stop()
    }

    /// Kills the daemon without a chance to clean up.
    pub fn kill_daemon(&mut self) -> Result<()> {
        self.daemon
            .take()
            .context("the daemon has not been started")?
            .kill()
            .map(drop)
    }

    /// Waits until the daemon ends that something else told to. It must exit with code 0.
    pub fn wait_for_daemon_end(&mut self) -> Result<()> {
        self.daemon
            .take()
            .context("the daemon has not been started")?
            .wait_for_end()
    }

    /// All that the daemons of this lab have logged.
    pub fn daemon_log(&self) -> Result<String> {
        let file = self.log();
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
    }

    /// The backends.
    #[must_use]
    pub fn backends(&self) -> &[Process] {
        &self.backends
    }

    /// Their names.
    #[must_use]
    pub fn backend_names(&self) -> Vec<String> {
        self.backends
            .iter()
            .map(|backend| backend.name().to_owned())
            .collect()
    }

    /// The backend of this name.
    pub fn backend(&mut self, name: &str) -> Result<&mut Process> {
        let known = self.backend_names().join(", ");
        let found = self.backends.iter_mut().find(|backend| backend.name() == name);
        found.with_context(|| format!("there is no backend {name}; there are {known}"))
    }

    /// The namespace that requests come from.
    #[must_use]
    pub fn client(&self) -> &Namespace {
        &self.namespaces[&Role::Client]
    }

    /// The namespace that the daemon runs in.
    #[must_use]
    pub fn balancer(&self) -> &Namespace {
        &self.namespaces[&Role::Balancer]
    }

    /// The namespace of a role; `None` when the lab's wiring has no such role.
    #[must_use]
    pub fn namespace(&self, role: Role) -> Option<&Namespace> {
        self.namespaces.get(&role)
    }

    /// Where the lab keeps its files.
    #[must_use]
    pub fn directory(&self) -> &RunDirectory {
        &self.directory
    }

    /// The web service's virtual address.
    #[must_use]
    pub fn web(&self, family: Family) -> SocketAddr {
        SocketAddr::new(family.vip(), WEB_PORT)
    }

    /// The echo service's virtual address.
    #[must_use]
    pub fn echo(&self, family: Family) -> SocketAddr {
        SocketAddr::new(family.vip(), ECHO_PORT)
    }

    /// A backend's own address, for traffic that does not go through Ballast.
    #[must_use]
    pub fn direct(&self, backend: u8, family: Family) -> SocketAddr {
        SocketAddr::new(
            self.builder.wiring.address(Role::Backend(backend), family),
            BACKEND_PORT,
        )
    }

    /// Everything that helps to understand a failure: attachments, statistics, the end of the daemon's log.
    #[must_use]
    pub fn explain(&self) -> String {
        let attachments = observe::xdp_attachments(self.balancer());
        let stats = match self.daemon().and_then(Daemon::stats_document) {
            Ok(document) => format!("{document:#}"),
            Err(error) => format!("none: {error:#}"),
        };
        let log = daemon::log_tail(&self.log());
        format!(
            "── {} ──\nXDP on the balancer: {attachments:?}\n── statistics ──\n{stats}\n── the daemon's log ──\n{log}\n",
            self.directory.identity()
        )
    }

    /// What the daemon says.
    fn log(&self) -> PathBuf {
        self.directory.path().join("ballast.log")
    }
}
