//! How a scenario is told: one lab at a time, and a failure explains itself.

use std::{
    fs::File,
    io::Read as _,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use clap::ValueEnum as _;
use lab::{Builder, Dataplane, Lab, wait_for};
use nix::fcntl::{Flock, FlockArg};

/// How far a backend's share may be from the even one, as a part of it.
pub(crate) const TOLERATED_UNEVENNESS: f64 = 0.15;

/// Requests after which that is more than four standard deviations, with three backends.
pub(crate) const TELLING: u64 = 1_800;

/// The engine under test.
pub(crate) fn dataplane() -> Dataplane {
    match std::env::var("BALLAST_LAB_DATAPLANE") {
        Err(_) => Dataplane::Xdp,
        Ok(word) => Dataplane::from_str(&word, false).expect("BALLAST_LAB_DATAPLANE names no dataplane"),
    }
}

/// The usual lab: two-armed, three backends, brisk checks.
pub(crate) fn usual() -> Builder {
    Builder::new().dataplane(dataplane())
}

/// Builds a lab without a daemon and tells the story in it. In the end the books of the daemon that runs then, if one
/// does, must balance: see [`Lab::audit`].
pub(crate) fn in_lab(builder: Builder, tell: impl FnOnce(&mut Lab) -> Result<()>) {
    let _turn = wait_for_turn();
    beside_others(builder, tell);
}

/// As [`in_lab`], without waiting for a turn: for a story that takes minutes in which little happens.
pub(crate) fn beside_others(builder: Builder, tell: impl FnOnce(&mut Lab) -> Result<()>) {
    let mut lab = builder.build().expect("the lab cannot be built");
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        tell(&mut lab)?;
        lab.audit()
    }));
    if !matches!(outcome, Ok(Ok(()))) {
        eprintln!("{}", lab.explain());
    }
    match outcome {
        Ok(result) => result.unwrap_or_else(|error| panic!("{error:#}")),
        Err(panic) => resume_unwind(panic),
    }
}

/// Builds a lab, starts the daemon and tells the story in it.
pub(crate) fn with_daemon(builder: Builder, tell: impl FnOnce(&mut Lab) -> Result<()>) {
    in_lab(builder, |lab| {
        lab.start_daemon()?;
        tell(lab)
    });
}

/// As [`with_daemon`], for stories of a packet path that outlives its daemon. That of af-packet does not: such a story is
/// not told there, and the run says so.
pub(crate) fn with_daemon_that_leaves_a_packet_path(
    builder: Builder,
    tell: impl FnOnce(&mut Lab) -> Result<()>,
) {
    if outlives_its_daemon() {
        with_daemon(builder, tell);
    }
}

/// Whether the packet path under test outlives its daemon; says so if not.
pub(crate) fn outlives_its_daemon() -> bool {
    match dataplane() {
        Dataplane::Auto | Dataplane::Xdp | Dataplane::XdpGeneric => true,
        Dataplane::AfPacket => {
            println!("does not apply to dataplane af-packet, whose flows end with their daemon");
            false
        }
    }
}

/// What a program that ended left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// Runs a program that must end by itself, soon and with little to say.
    pub(crate) fn of(command: &mut Command) -> Result<Self> {
        const LIMIT: Duration = Duration::from_secs(20);
        let command = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot start the program")?;
        let ended = wait_for("the program to end by itself", LIMIT, || Ok(child.try_wait()?));
        if ended.is_err() {
            child.kill()?;
        }
        let code = child.wait()?.code();
        let (mut stdout, mut stderr) = (String::new(), String::new());
        child
            .stdout
            .take()
            .context("no standard output")?
            .read_to_string(&mut stdout)?;
        child
            .stderr
            .take()
            .context("no standard error")?
            .read_to_string(&mut stderr)?;
        ended.with_context(|| format!("it had said:\n{stdout}{stderr}"))?;
        Ok(Self { code, stdout, stderr })
    }

    /// The one line of its refusal: exit code 1, nothing on standard output, one line on standard error.
    pub(crate) fn refusal(&self) -> Result<&str> {
        let line = self.stderr.trim_end();
        let is_refusal = self.code == Some(1) && self.stdout.is_empty() && !line.is_empty();
        if is_refusal && line.lines().count() == 1 {
            Ok(line)
        } else {
            Err(anyhow!(
                "should have ended with exit code 1 and one line, but: {self:?}"
            ))
        }
    }
}

/// Asking the daemon of a lab as an operator does.
pub(crate) trait Asks {
    /// What `ballast` says to these arguments.
    fn ask(&self, arguments: &[&str]) -> Result<Ended>;
}

impl Asks for Lab {
    fn ask(&self, arguments: &[&str]) -> Result<Ended> {
        let socket = self.config().socket();
        Ended::of(self.ballast()?.args(arguments).env("BALLAST_SOCKET", socket))
    }
}

/// Labs share two cores' worth of machine and the BPF file system: one at a time.
fn wait_for_turn() -> Flock<File> {
    let file =
        File::create("/run/ballast-lab.lock").expect("cannot open the lab's lock: the suite needs root");
    Flock::lock(file, FlockArg::LockExclusive).expect("cannot take the lab's lock")
}
