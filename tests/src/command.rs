//! Running other programs, with errors that say what they said; and finding our own.

use std::{
    ffi::OsStr,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};

/// Runs `command` to its end; its standard output. Anything but exit code 0 is an error with what it printed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| cannot_start(command))?;
    checked(command, output)
}

/// As [`output`], with `input` on its standard input.
pub(crate) fn output_with_input(command: &mut Command, input: &str) -> Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| cannot_start(command))?;
    let mut stdin = child.stdin.take().context("the child has no standard input")?;
    stdin.write_all(input.as_bytes())?;
    drop(stdin);
    let output = child.wait_with_output()?;
    checked(command, output).with_context(|| format!("its input was:\n{input}"))
}

/// `ip` with these arguments, in the namespace this process started in.
pub(crate) fn ip<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Result<String> {
    output(Command::new("ip").args(arguments))
}

/// The `ballast` program: `BALLAST_BIN`, else the release build beside the running executable.
pub(crate) fn ballast() -> Result<PathBuf> {
    program("BALLAST_BIN", "release/ballast", "cargo xtask build")
}

/// Another build of it: `BALLAST_REBUILT_BIN`, else where `cargo xtask test` puts it.
pub(crate) fn rebuilt_ballast() -> Result<PathBuf> {
    program("BALLAST_REBUILT_BIN", "rebuilt/ballast", "cargo xtask test")
}

/// The program that `variable` names, else the one at `path` of the target directory, which `how` builds.
fn program(variable: &str, path: &str, how: &str) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Ok(PathBuf::from(path));
    }
    let path = target_directory()?.join(path);
    ensure!(
        path.exists(),
        "there is no {}: run `{how}`, or set {variable}",
        path.display()
    );
    Ok(path)
}

/// The `ballast-lab` program of the same build as the running executable.
pub(crate) fn ballast_lab() -> Result<PathBuf> {
    let path = profile_directory()?.join("ballast-lab");
    ensure!(
        path.exists(),
        "there is no {}: run `cargo build -p lab`",
        path.display()
    );
    Ok(path)
}

/// `target` of the running executable.
pub fn target_directory() -> Result<PathBuf> {
    let profile = profile_directory()?;
    let target = profile
        .parent()
        .context("the running executable is not in a target directory")?;
    Ok(target.to_owned())
}

/// `target/<profile>` of the running executable: programs are in it, tests in its `deps`.
fn profile_directory() -> Result<PathBuf> {
    let executable = std::env::current_exe().context("cannot tell the running executable")?;
    let directory = executable.parent().unwrap_or(Path::new("/"));
    let directory = if directory.ends_with("deps") {
        directory.parent().unwrap_or(directory)
    } else {
        directory
    };
    Ok(directory.to_owned())
}

fn checked(command: &Command, output: Output) -> Result<String> {
    if !output.status.success() {
        bail!(
            "{} failed ({}): {}",
            shown(command),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    String::from_utf8(output.stdout).with_context(|| format!("{} printed no UTF-8", shown(command)))
}

fn cannot_start(command: &Command) -> String {
    format!("cannot start {}: is it installed?", shown(command))
}

fn shown(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect();
    format!("`{}`", words.join(" "))
}
