//! Schemathesis, from `PyPI`, in a virtual environment of its own.

use std::{path::PathBuf, process::Command};

use anyhow::{Context as _, Result};

use super::packages::{self, Apt, Program};
use crate::{
    process::{output, quiet},
    step::step,
    workspace,
};

const VERSION: &str = "4.32.5";

/// What makes virtual environments.
const PYTHON: [Program; 1] = [Program {
    command: "python3",
    package: "python3-venv",
}];

/// Makes sure of Schemathesis; the program.
pub(crate) fn ensure() -> Result<PathBuf> {
    let home = workspace::target("tools/schemathesis");
    let program = home.join("bin/schemathesis");
    let there = output(Command::new(&program).arg("--version"));
    if there.is_some_and(|said| said.contains(VERSION)) {
        return Ok(program);
    }
    packages::ensure(&PYTHON, &mut Apt::default())?;
    step(&format!("installing schemathesis {VERSION}"), || {
        // Anew, should an installation have been broken off.
        quiet(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home))?;
        let wanted = format!("schemathesis=={VERSION}");
        quiet(Command::new(home.join("bin/pip")).args(["install", &wanted]))
    })
    .context("cannot install schemathesis")?;
    Ok(program)
}
