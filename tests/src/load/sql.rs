//! SQL, spoken by the client that comes with `MariaDB`.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::{Namespace, backend::MariaDb, command};

/// For an answer of a few words.
const PATIENCE: Duration = Duration::from_secs(10);

/// For a client with a large answer, in seconds.
const LIMIT: &str = "60";

/// Has a client connect, execute `statements` and leave; what they answer, a line for each row.
pub fn query(namespace: &Namespace, target: SocketAddr, statements: &str) -> Result<String> {
    let mut client = namespace.command("timeout");
    client.args([LIMIT, "mariadb"]);
    command::output(connected(&mut client, target).args(["--quick", "--execute", statements]))
}

/// A client's session that stays open; it is never opened again by itself. Ended when dropped.
#[derive(Debug)]
pub struct Session {
    client: Child,
    statements: ChildStdin,
    answers: mpsc::Receiver<String>,
}

impl Session {
    /// Opens a session from `namespace`.
    pub fn open(namespace: &Namespace, target: SocketAddr) -> Result<Self> {
        let mut client = connected(&mut namespace.command("mariadb"), target)
            .args(["--skip-reconnect", "--unbuffered"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start mariadb: is it installed? `cargo xtask setup` does that")?;
        let statements = client.stdin.take().context("the client has no standard input")?;
        let output = client
            .stdout
            .take()
            .context("the client has no standard output")?;
        let (sender, answers) = mpsc::channel();
        // Ends with the client's output.
        thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            lines.for_each(|line| drop(sender.send(line)));
        });
        Ok(Self {
            client,
            statements,
            answers,
        })
    }

    /// Executes a statement that answers one row.
    pub fn ask(&mut self, statement: &str) -> Result<String> {
        writeln!(self.statements, "{statement};")?;
        let answer = self.answers.recv_timeout(PATIENCE);
        answer.with_context(|| format!("no answer to {statement}"))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Both fail only when it has ended before, which is what is wanted. The kernel closes its connection.
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}

fn connected(client: &mut Command, target: SocketAddr) -> &mut Command {
    client
        .args(["--no-defaults", "--batch", "--skip-column-names"])
        .args([
            format!("--host={}", target.ip()),
            format!("--port={}", target.port()),
        ])
        .arg(format!("--database={}", MariaDb::DATABASE))
}
