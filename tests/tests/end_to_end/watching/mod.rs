//! Packets that an operator watches: what is told of them, what is recorded, and that it ends.

mod capture;
mod trace;

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lab::{Lab, wait_for};
use lb_user::{
    runtime::Entry,
    trace::{Line, Packet},
};

use crate::story::Asks as _;

/// For whatever is to happen soon.
const LIMIT: Duration = Duration::from_secs(20);

/// Somebody watches.
struct Watching {
    child: Child,
    lines: mpsc::Receiver<String>,
    /// All packets that were told of.
    packets: Vec<Packet>,
    /// How many were not.
    unshown: u64,
}

/// Begins to watch; the daemon has noted it, and so shows packets.
fn begin(lab: &Lab, arguments: &[&str]) -> Result<Watching> {
    let noted = journal(lab)?.len();
    let mut child = lab
        .ballast()?
        .args(arguments)
        .env("BALLAST_SOCKET", lab.config().socket())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = BufReader::new(child.stdout.take().context("no standard output")?);
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            // Who reads may have heard enough.
            let _gone = sender.send(line);
        }
    });
    wait_for("the journal to name the watch", LIMIT, || {
        Ok((journal(lab)?.len() > noted).then_some(()))
    })?;
    Ok(Watching {
        child,
        lines,
        packets: Vec::new(),
        unshown: 0,
    })
}

impl Watching {
    /// Takes a line in.
    fn read(&mut self, limit: Duration) -> Result<()> {
        let line = self.lines.recv_timeout(limit)?;
        match serde_json::from_str(&line).with_context(|| line.clone())? {
            Line::Packet(packet) => self.packets.push(*packet),
            Line::Unshown { packets } => self.unshown += packets,
        }
        Ok(())
    }

    /// The first such packet, once it is told of.
    fn find(&mut self, what: &str, is_it: impl Fn(&Packet) -> bool) -> Result<Packet> {
        let end = Instant::now() + LIMIT;
        let mut looked = 0;
        loop {
            if let Some(found) = self.packets[looked..].iter().find(|packet| is_it(packet)) {
                return Ok(found.clone());
            }
            looked = self.packets.len();
            let left = end.saturating_duration_since(Instant::now());
            let read = self.read(left);
            read.with_context(|| format!("never told of {what}, but of {:#?}", self.packets))?;
        }
    }

    /// Kills it, and waits until the daemon has noticed.
    fn kill(mut self, lab: &Lab) -> Result<()> {
        let before = ends(lab)?;
        self.child.kill()?;
        let noticed = || Ok((ends(lab)? > before).then_some(()));
        wait_for("the daemon to notice", LIMIT, noticed).map(drop)
    }

    /// Waits until it ends by itself.
    fn wait(mut self) -> Result<()> {
        let (status, _) = wait_for("the watch to end by itself", LIMIT, || {
            Ok(self.child.try_wait()?)
        })?;
        ensure!(status.success(), "it ended with {status}");
        Ok(())
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        // Both fail only when it has ended before, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn journal(lab: &Lab) -> Result<Vec<Entry>> {
    let asked = lab.ask(&["journal", "--json"])?;
    serde_json::from_str(&asked.stdout).with_context(|| format!("{asked:?}"))
}

/// How often the daemon has noticed that somebody watches no more.
fn ends(lab: &Lab) -> Result<usize> {
    Ok(lab.daemon_log()?.matches("packets are watched no more").count())
}
