//! Cargo's companions for the tests.

use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{
    process::{output, quiet},
    step::step,
    workspace,
};

/// Builds with the compiler that the workspace asks for.
const NEXTEST_VERSION: &str = "0.9.143";

/// Makes sure of cargo-nextest, and of rustup's rustfmt and clippy.
pub(super) fn ensure() -> Result<()> {
    if workspace::find("cargo-nextest").is_none() {
        step(
            &format!("building cargo-nextest {NEXTEST_VERSION}, some minutes"),
            || quiet(&mut install_nextest()),
        )
        .context("cannot build cargo-nextest")?;
    }
    for (command, component) in [("cargo-fmt", "rustfmt"), ("cargo-clippy", "clippy")] {
        if !has_component(command) {
            step(&format!("installing {component}"), || {
                quiet(Command::new("rustup").args(["component", "add", component]))
            })
            .with_context(|| format!("cannot install {component}"))?;
        }
    }
    Ok(())
}

fn install_nextest() -> Command {
    let mut cargo = workspace::cargo_install("cargo-nextest", NEXTEST_VERSION);
    // Unoptimized it takes a third of the time to build, and does not feel slower.
    cargo
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .args(["--debug", "--no-default-features", "--features"])
        .arg("default-no-update");
    cargo
}

/// rustup has a proxy for each component, installed or not: only starting it tells.
fn has_component(command: &str) -> bool {
    output(Command::new(command).arg("--version")).is_some()
}
