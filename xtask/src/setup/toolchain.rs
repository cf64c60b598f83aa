//! The compiler for the BPF target, and its `core`.
//!
//! Rust ships no `core` for `bpfel-unknown-none`. Debian does, for its own rustc; elsewhere it is compiled from the
//! `rust-src` component by a nightly. Either does: what is installed wins, else Debian's (prebuilt, a smaller
//! download), else rustup's.

use std::{fmt, path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

use super::packages::Apt;
use crate::{
    process::{output, quiet},
    step::step,
    workspace,
};

/// The nightly, chosen for its LLVM: 22, like bpf-linker's. bpf-linker reads no bitcode that is newer than itself,
/// so a later nightly must wait for a later [`super::linker::VERSION`].
const NIGHTLY: &str = "nightly-2026-05-20";

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CORE: &str = "/usr/lib/rustlib/bpfel-unknown-none/lib";
const DEBIAN_PACKAGES: [&str; 2] = ["rustc-web", "libstd-rust-web-dev-bpf"];

/// How long rustup may take: its server may be out of reach, which it can take long to find out.
const RUSTUP_SECONDS: &str = "300";

/// A way to compile for the BPF target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// Debian's rustc with its prebuilt `core`.
    Debian,
    /// rustup's [`NIGHTLY`], compiling `core` from source.
    Rustup,
}

impl Toolchain {
    /// `cargo build` for `lb-ebpf`, up to what differs between toolchains.
    pub(crate) fn cargo_build(self) -> Command {
        let mut cargo = workspace::cargo();
        match self {
            // Debian's rustc is a stable one; the switch opens the features that the BPF target cannot do without.
            Self::Debian => cargo
                .env("RUSTC", DEBIAN_RUSTC)
                .env("RUSTC_BOOTSTRAP", "1")
                .arg("build"),
            Self::Rustup => cargo.env("RUSTUP_TOOLCHAIN", NIGHTLY).env_remove("RUSTC").args([
                "build",
                "-Z",
                "build-std=core",
            ]),
        };
        cargo
    }

    fn is_installed(self) -> bool {
        match self {
            Self::Debian => Path::new(DEBIAN_RUSTC).is_file() && Path::new(DEBIAN_CORE).is_dir(),
            Self::Rustup => nightly_has_source(),
        }
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Debian => f.write_str("Debian's rustc and its prebuilt core"),
            Self::Rustup => write!(f, "rustup's {NIGHTLY}, building core from source"),
        }
    }
}

/// The toolchain to use, installed if need be.
pub(super) fn ensure(apt: &mut Apt) -> Result<Toolchain> {
    if let Some(toolchain) = [Toolchain::Debian, Toolchain::Rustup]
        .into_iter()
        .find(|way| way.is_installed())
    {
        return Ok(toolchain);
    }
    if apt.offers(&DEBIAN_PACKAGES)? {
        apt.install(&DEBIAN_PACKAGES)?;
        return Ok(Toolchain::Debian);
    }
    install_nightly()?;
    Ok(Toolchain::Rustup)
}

fn nightly_has_source() -> bool {
    let mut rustc = Command::new("rustup");
    // Asking must not install.
    rustc
        .env("RUSTUP_AUTO_INSTALL", "0")
        .args(["run", NIGHTLY, "rustc", "--print", "sysroot"]);
    output(&mut rustc).is_some_and(|sysroot| {
        Path::new(sysroot.trim())
            .join("lib/rustlib/src/rust/library/core")
            .is_dir()
    })
}

fn install_nightly() -> Result<()> {
    if workspace::find("rustup").is_none() {
        let packages = DEBIAN_PACKAGES.join(" ");
        bail!(
            "no compiler for the BPF target: apt does not offer {packages}, and there is no rustup; \
             install rustup (https://rustup.rs), then try again"
        );
    }
    step(&format!("installing {NIGHTLY} with rust-src"), || {
        quiet(
            Command::new("timeout")
                .arg(RUSTUP_SECONDS)
                .args(["rustup", "toolchain", "install", NIGHTLY])
                .args(["--profile", "minimal", "--component", "rust-src"]),
        )
    })
    .context("no compiler for the BPF target: rustup cannot install it, and apt does not offer one")
}
