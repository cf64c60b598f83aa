//! bpf-linker, which links LLVM bitcode into an eBPF object.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use super::packages::Apt;
use crate::{
    process::{output, quiet},
    step::step,
    workspace,
};

/// The version that the project is tested with.
pub(super) const VERSION: &str = "0.13.0";

/// Where Debian has LLVM 22; the environment's `LLVM_PREFIX` goes before.
const LLVM_PREFIX: &str = "/usr/lib/llvm-22";
const LLVM_PACKAGE: &str = "llvm-22-dev";

/// The linker to use: one of the right version in `PATH`, else our own under `target/tools`, built if need be.
pub(super) fn ensure(apt: &mut Apt) -> Result<PathBuf> {
    if let Some(linker) = workspace::find("bpf-linker").filter(|path| is_right_version(path)) {
        return Ok(linker);
    }
    let prefix = llvm(apt)?;
    step(&format!("building bpf-linker {VERSION}, a minute or two"), || {
        quiet(&mut cargo_install(&prefix))
    })
    .with_context(|| format!("cannot build bpf-linker {VERSION}"))?;
    Ok(workspace::target("tools/bin/bpf-linker"))
}

fn is_right_version(linker: &Path) -> bool {
    output(Command::new(linker).arg("--version"))
        .is_some_and(|version| version.trim() == format!("bpf-linker {VERSION}"))
}

/// LLVM's prefix, with the library that bpf-linker is linked to.
fn llvm(apt: &mut Apt) -> Result<PathBuf> {
    let prefix = env::var_os("LLVM_PREFIX").map_or_else(|| PathBuf::from(LLVM_PREFIX), PathBuf::from);
    let library = prefix.join("lib/libLLVM.so");
    if !library.exists() {
        apt.install(&[LLVM_PACKAGE])
            .context("bpf-linker needs LLVM 22 (where it is elsewhere, LLVM_PREFIX says so)")?;
    }
    if !library.exists() {
        bail!(
            "no {} although {LLVM_PACKAGE} is installed: is LLVM_PREFIX right?",
            library.display()
        );
    }
    Ok(prefix)
}

fn cargo_install(llvm_prefix: &Path) -> Command {
    let mut cargo = workspace::cargo_install("bpf-linker", VERSION);
    cargo
        .env("LLVM_PREFIX", llvm_prefix)
        // The default is LLVM 23, newer than Debian's; a binary that is there and does not start is replaced.
        .args(["--no-default-features", "--features", "llvm-22", "--force"]);
    cargo
}
