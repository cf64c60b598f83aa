//! Other programs, started quietly and as root.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{self, IsTerminal as _},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use nix::unistd::Uid;

use crate::workspace;

/// Lines of a failed program's output worth showing; the log has the rest.
const TAIL_LINES: usize = 25;

/// Runs `command` with its output kept in `target/xtask.log`, and shows the end of that if it fails.
pub(crate) fn quiet(command: &mut Command) -> Result<()> {
    let log = workspace::target("xtask.log");
    fs::create_dir_all(workspace::target(""))?;
    let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    let status = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .status()
        .with_context(|| format!("cannot start {}", name(command)))?;
    if !status.success() {
        let output = fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<_> = output.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
        bail!(
            "{} failed ({status}); from {}:\n{tail}",
            name(command),
            log.display()
        );
    }
    Ok(())
}

/// Runs `command`, and shows all that it says: of a compiler told to be quiet, warnings and errors.
pub(crate) fn terse(command: &mut Command) -> Result<()> {
    if io::stderr().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", name(command)))?;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    if !said.trim().is_empty() {
        eprintln!("\n{}", said.trim_end());
    }
    if !output.status.success() {
        bail!("{} failed ({})", name(command), output.status);
    }
    Ok(())
}

/// What `command` prints, or `None` when it cannot be started or fails.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then_some(text)
}

/// `program`, as root: through sudo where we are not root ourselves.
///
/// Only what needs root gets it, so that no file that we build ends up belonging to root.
pub(crate) fn as_root(program: impl AsRef<OsStr>) -> Result<Command> {
    let program = program.as_ref();
    if Uid::effective().is_root() {
        let mut command = Command::new(program);
        command.env("PATH", workspace::search_path());
        workspace::without_our_package(&mut command);
        return Ok(command);
    }
    let Some(sudo) = workspace::find("sudo") else {
        bail!(
            "{} needs root, and there is no sudo here: run this command as root",
            program.display()
        );
    };
    let mut command = Command::new(sudo);
    workspace::without_our_package(&mut command);
    if !io::stdin().is_terminal() {
        command.arg("--non-interactive");
    }
    command
        .args(["--preserve-env", "env"])
        .arg(assignment("PATH", workspace::search_path()));
    // sudo may set HOME, and would lose us the toolchain under our own.
    if let Some(home) = env::var_os("HOME") {
        command.arg(assignment("HOME", home));
    }
    command.arg(program);
    Ok(command)
}

fn assignment(variable: &str, value: OsString) -> OsString {
    let mut assignment = OsString::from(variable);
    assignment.push("=");
    assignment.push(value);
    assignment
}

/// How an error names `command`: with its first argument, for cargo alone says little.
fn name(command: &Command) -> String {
    let words = [Some(command.get_program()), command.get_args().next()];
    let words: Vec<_> = words.into_iter().flatten().map(OsStr::to_string_lossy).collect();
    words.join(" ")
}
