//! `cargo xtask fuzz`: random bytes, led by what code they reach, into whatever takes bytes from outside.
//!
//! The targets are a package of their own, `tests/fuzz`, since all that they reach is compiled with libFuzzer's
//! instrumentation and with AddressSanitizer. A target is a file in its `src/bin`; seeds are files in `corpus/TARGET`.
//! What a run adds to them stays in `target/fuzz/corpus`, and an input that fails in `target/fuzz/findings`.

use std::{
    env::consts,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::{
    build,
    process::{quiet, terse},
    setup,
    step::step,
    workspace,
};

/// Coverage as libFuzzer wants it (what cargo-fuzz passes), and AddressSanitizer, whose runtime comes with the standard
/// library.
const INSTRUMENTATION: &str = "-Cpasses=sancov-module \
     -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
     -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares \
     --cfg fuzzing \
     -Zsanitizer=address";

/// Of each target in `cargo xtask test`.
const SECONDS_IN_TEST: u64 = 4;

/// What to fuzz, and for how long.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Only this target
    #[arg(value_name = "TARGET")]
    target: Option<String>,
    /// For so many minutes each
    #[arg(long, value_name = "N", default_value_t = 10)]
    minutes: u64,
}

/// Builds, then runs the targets one after the other; fails at the first finding.
pub(crate) fn fuzz(arguments: &Arguments) -> Result<ExitCode> {
    build::with(&setup::for_fuzz()?)?;
    step("building the fuzz targets", build_targets)?;
    let known = targets()?;
    let wanted = match &arguments.target {
        None => known,
        Some(name) if known.contains(name) => vec![name.clone()],
        Some(name) => bail!("there is no target `{name}`: there are {}", known.join(", ")),
    };
    for target in wanted {
        run(&target, 60 * arguments.minutes)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A few seconds of each target, for `cargo xtask test`.
pub(crate) fn briefly() -> Result<()> {
    step("building the fuzz targets", build_targets)?;
    for target in targets()? {
        run(&target, SECONDS_IN_TEST)?;
    }
    Ok(())
}

/// The package's folder.
pub(crate) fn folder() -> PathBuf {
    workspace::root().join("tests/fuzz")
}

fn targets() -> Result<Vec<String>> {
    let folder = folder().join("src/bin");
    let files = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names = Vec::new();
    for file in files {
        let name = file?.path();
        names.extend(name.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

fn build_targets() -> Result<()> {
    terse(
        instrumented(INSTRUMENTATION)
            .current_dir(folder())
            .args(["build", "--quiet"]),
    )
}

/// Cargo, for programs with instrumentation; build scripts and macros go without, for that `--target` is there.
pub(crate) fn instrumented(flags: &str) -> Command {
    let mut cargo = workspace::cargo();
    cargo
        .env("CARGO_TARGET_DIR", workspace::target("fuzz"))
        .env("CARGO_BUILD_TARGET", platform())
        .env("RUSTFLAGS", flags)
        // A stable compiler has the sanitizers too, and asks for this.
        .env("RUSTC_BOOTSTRAP", "1")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    cargo
}

fn platform() -> String {
    format!("{}-unknown-linux-gnu", consts::ARCH)
}

fn run(target: &str, seconds: u64) -> Result<()> {
    let found = workspace::target("fuzz/corpus").join(target);
    let findings = workspace::target("fuzz/findings");
    for folder in [&found, &findings] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let program = workspace::target("fuzz")
        .join(platform())
        .join("debug")
        .join(target);
    let mut command = Command::new(program);
    command
        .arg(&found)
        .arg(folder().join("corpus").join(target))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/{target}-", findings.display()))
        .args(["-max_len=8192", "-print_final_stats=1", "-timeout=10"]);
    step(&format!("fuzzing {target} for {seconds} s"), || {
        quiet(&mut command)
    })?;
    eprintln!("    {} executions", executions(&workspace::target("xtask.log"))?);
    Ok(())
}

/// What libFuzzer counted, in its last words.
fn executions(log: &Path) -> Result<String> {
    let log = fs::read_to_string(log).context("cannot read what the fuzzer said")?;
    let counted = log
        .lines()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    Ok(counted
        .context("the fuzzer has counted nothing")?
        .trim()
        .to_owned())
}
