//! `cargo xtask test`: everything that CI runs, in the order in which it fails soonest.

use std::{
    env::consts,
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::{
    build, licences,
    process::{as_root, quiet, terse},
    setup,
    step::step,
    workspace,
};

/// The test of the golden rows.
const GOLDEN: &str = "golden";

/// Which tests.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Only tests with this in their name, or other arguments of `cargo nextest run`; leaves out what is no test
    #[arg(value_name = "FILTER", trailing_var_arg = true, allow_hyphen_values = true)]
    filter: Vec<String>,
}

/// Runs the checks, then the tests; the exit code is that of the tests.
pub(crate) fn test(arguments: &Arguments) -> Result<ExitCode> {
    let tools = setup::for_tests()?;
    let everything = arguments.filter.is_empty();
    if everything {
        step("checking the format", check_format)?;
    }
    build::with(&tools)?;
    if everything {
        step("linting", lint)?;
        step("linting the eBPF program", lint_ebpf)?;
        step("checking the documentation", check_documentation)?;
        step("checking licences", licences::check)?;
    }
    let rebuilt = step("building another ballast to replace it", || {
        build::rebuilt(&tools)
    })?;
    step("building the tests", || {
        terse(workspace::cargo().args(["test", "--quiet", "--workspace", "--no-run"]))
    })?;
    if everything {
        step("testing the documentation's examples", || {
            quiet(workspace::cargo().args(["test", "--workspace", "--doc"]))
        })?;
    }
    if everything && !golden_rows()? {
        return Ok(ExitCode::FAILURE);
    }
    run_tests(&arguments.filter, &rebuilt)
}

fn check_format() -> Result<()> {
    terse(workspace::cargo().args(["fmt", "--all", "--check"]))?;
    terse(in_ebpf().args(["fmt", "--check"]))
}

fn lint() -> Result<()> {
    terse(workspace::cargo().args([
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ]))
}

/// Lints `lb-ebpf` apart from the workspace, which would unify features and give two panic handlers, and as if for
/// the host: there is no clippy to match Debian's rustc, and the code is the same for both.
fn lint_ebpf() -> Result<()> {
    let host = format!("{}-unknown-linux-gnu", consts::ARCH);
    let mut cargo = in_ebpf();
    // The switch opens the intrinsics that it uses to a stable compiler.
    cargo
        .env("RUSTC_BOOTSTRAP", "1")
        .args(["clippy", "--quiet", "--target", &host, "--", "--deny", "warnings"]);
    terse(&mut cargo)
}

fn check_documentation() -> Result<()> {
    let mut cargo = workspace::cargo();
    terse(
        cargo
            .env("RUSTDOCFLAGS", "--deny warnings")
            .args(["doc", "--quiet", "--workspace", "--no-deps"]),
    )
}

/// Plays the golden rows in one process: each would else have the kernel verify all programs again, which takes a hundred
/// times as long as the row. Says whether all were right.
fn golden_rows() -> Result<bool> {
    let status = as_root("cargo")?
        .current_dir(workspace::root())
        .env("CARGO_TARGET_DIR", workspace::target(""))
        .args(["test", "--quiet", "--package", "lab", "--test", GOLDEN])
        .status()
        .context("cannot start cargo test")?;
    Ok(status.success())
}

/// Runs the other tests, or those that pass the filter, as root, for they make network namespaces and load BPF programs.
fn run_tests(filter: &[String], rebuilt: &Path) -> Result<ExitCode> {
    let others = ["--filterset".to_owned(), format!("not binary({GOLDEN})")];
    let mut nextest = as_root("cargo")?;
    let status = nextest
        .current_dir(workspace::root())
        .env("CARGO_TARGET_DIR", workspace::target(""))
        .env("BALLAST_BIN", workspace::target("release/ballast"))
        .env("BALLAST_REBUILT_BIN", rebuilt)
        .args(["nextest", "run", "--workspace"])
        .args(if filter.is_empty() { &others[..] } else { filter })
        .status()
        .context("cannot start cargo nextest")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

fn in_ebpf() -> Command {
    let mut cargo = workspace::cargo();
    cargo
        .current_dir(workspace::root().join("lb-ebpf"))
        .env("CARGO_TARGET_DIR", workspace::target("bpf"));
    cargo
}
