//! `cargo xtask test`: everything that CI runs, in the order in which it fails soonest.

use std::{
    env::consts,
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::{
    build, fuzz, licences,
    process::{as_root, quiet, terse},
    setup,
    step::step,
    workspace,
};

/// The test of the golden rows.
const GOLDEN: &str = "golden";

/// The end-to-end suite.
const END_TO_END: &str = "end_to_end";

/// The engines that it runs with besides native XDP.
const OTHER_DATAPLANES: [&str; 2] = ["xdp-generic", "af-packet"];

/// The part of it that says soonest whether an engine forwards: requests, transfers and datagrams, and both ways of
/// cabling.
const ENGINES: &str = "binary(end_to_end) & test(/^(balancing|flow_log|one_armed)::/)";

/// Which tests.
#[derive(Args)]
pub(crate) struct Arguments {
    /// All end-to-end scenarios on each dataplane: on xdp-generic and af-packet else a few
    #[arg(long)]
    all_dataplanes: bool,
    /// Have schemathesis (from `PyPI`) ask the API whatever its description allows, and more
    #[arg(long)]
    schemathesis: bool,
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
        step("linting the fuzz targets", lint_fuzz)?;
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
    if everything {
        step("testing the unsafe doors under AddressSanitizer", unsafe_doors)?;
        fuzz::briefly()?;
    }
    if everything && !golden_rows()? {
        return Ok(ExitCode::FAILURE);
    }
    let mut passed = run_tests(arguments, &rebuilt)?;
    if everything {
        passed &= other_dataplanes(arguments.all_dataplanes, &rebuilt)?;
    }
    Ok(if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Runs the end-to-end scenarios, or a part of them, with the other engines; says which run. Whether all passed.
fn other_dataplanes(all: bool, rebuilt: &Path) -> Result<bool> {
    let whole = format!("binary({END_TO_END})");
    let scenarios = if all { &whole } else { ENGINES };
    let mut passed = true;
    for dataplane in OTHER_DATAPLANES {
        eprintln!("  end to end on {dataplane}: {scenarios}");
        passed &= nextest(rebuilt)?
            .env("BALLAST_LAB_DATAPLANE", dataplane)
            .args(["--filterset", scenarios])
            .status()
            .context("cannot start cargo nextest")?
            .success();
    }
    Ok(passed)
}

fn check_format() -> Result<()> {
    terse(workspace::cargo().args(["fmt", "--all", "--check"]))?;
    terse(
        workspace::cargo()
            .current_dir(fuzz::folder())
            .args(["fmt", "--check"]),
    )?;
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

/// Lints the fuzz targets, which are a workspace of their own, long before they are built: whatever they reach may have
/// changed under them.
fn lint_fuzz() -> Result<()> {
    terse(
        workspace::cargo()
            .current_dir(fuzz::folder())
            .env("CARGO_TARGET_DIR", workspace::target("fuzz"))
            .args(["clippy", "--quiet", "--", "--deny", "warnings"]),
    )
}

fn check_documentation() -> Result<()> {
    let mut cargo = workspace::cargo();
    terse(
        cargo
            .env("RUSTDOCFLAGS", "--deny warnings")
            .args(["doc", "--quiet", "--workspace", "--no-deps"]),
    )
}

/// The tests of `lb-common`, where all unsafe code of the packet path is, under AddressSanitizer: Miri sees more, but its
/// component is there for some nightlies only. Without the minute of four threads, and without models, which switch stacks
/// behind the sanitizer's back.
fn unsafe_doors() -> Result<()> {
    quiet(
        fuzz::instrumented("-Zsanitizer=address")
            .args([
                "test",
                "--quiet",
                "--package",
                "lb-common",
                "--all-features",
                "--lib",
                "--",
            ])
            .args(["--skip", "model", "--skip", "stress"]),
    )
}

/// Plays the golden rows in one process: each would else have the kernel verify all programs again, which takes a hundred
/// times as long as the row. Says whether all were right.
fn golden_rows() -> Result<bool> {
    let status = as_root("cargo")?
        .current_dir(workspace::root())
        .env("CARGO_TARGET_DIR", workspace::target(""))
        .args(["test", "--quiet", "--workspace", "--test", GOLDEN])
        .status()
        .context("cannot start cargo test")?;
    Ok(status.success())
}

/// Runs the other tests, or those that pass the filter; whether all passed.
fn run_tests(arguments: &Arguments, rebuilt: &Path) -> Result<bool> {
    let filter = &arguments.filter;
    let others = ["--filterset".to_owned(), format!("not binary({GOLDEN})")];
    eprintln!("  all other tests, with the end-to-end suite on xdp");
    let mut nextest = nextest(rebuilt)?;
    if arguments.schemathesis {
        nextest
            .env("BALLAST_SCHEMATHESIS", setup::schemathesis::ensure()?)
            .args(["--run-ignored", "all"]);
    }
    let status = nextest
        .args(if filter.is_empty() { &others[..] } else { filter })
        .status()
        .context("cannot start cargo nextest")?;
    Ok(status.success())
}

/// Nextest as root, for tests make network namespaces and load BPF programs. Of the workspace, as all tests are built: a
/// package alone would be compiled again, with other features.
fn nextest(rebuilt: &Path) -> Result<Command> {
    let mut nextest = as_root("cargo")?;
    nextest
        .current_dir(workspace::root())
        .env("CARGO_TARGET_DIR", workspace::target(""))
        .env("BALLAST_BIN", workspace::target("release/ballast"))
        .env("BALLAST_REBUILT_BIN", rebuilt)
        .args(["nextest", "run", "--workspace"]);
    Ok(nextest)
}

fn in_ebpf() -> Command {
    let mut cargo = workspace::cargo();
    cargo
        .current_dir(workspace::root().join("lb-ebpf"))
        .env("CARGO_TARGET_DIR", workspace::target("bpf"));
    cargo
}
