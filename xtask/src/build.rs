//! `cargo xtask build`: the eBPF object, and the programs that hold it or need it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{
    conditions,
    process::terse,
    setup::{self, BpfTools},
    step::step,
    workspace,
};

/// The binary target with Ballast's programs.
const BALLAST: &str = "lb-ebpf";

/// The one of them that every packet runs through.
const EVERY_PACKETS: &str = "ballast";

/// Sets up what is missing, and builds.
pub(crate) fn build() -> Result<()> {
    with(&setup::for_build()?)
}

/// Builds with tools that are there.
pub(crate) fn with(tools: &BpfTools) -> Result<()> {
    step("building the eBPF object", || ebpf_object(tools))?;
    step("building ballast and its lab", || {
        terse(workspace::cargo().args([
            "build",
            "--quiet",
            "--release",
            "--package",
            "lb-user",
            "--package",
            "lab",
        ]))
    })
}

/// Builds the daemon once more from the same source: other bytes around another eBPF program. Returns its path.
///
/// Only the two packages themselves are compiled again, beside what the other build has of them. What cargo leaves
/// where the other build's programs belong is theirs again as soon as that is asked for.
pub(crate) fn rebuilt(tools: &BpfTools) -> Result<PathBuf> {
    let folder = workspace::target("rebuilt");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let [object, program] = ["ballast.bpf.o", "ballast"].map(|name| folder.join(name));

    terse(
        ebpf(tools)
            .args(["--quiet", "--release", "--bin", BALLAST])
            .args(["--config", "profile.release.package.lb-ebpf.opt-level=2"]),
    )?;
    place_object(BALLAST, &object)?;
    terse(
        workspace::cargo()
            .env("BALLAST_EBPF_OBJECT", &object)
            .args(["build", "--quiet", "--workspace", "--bin", "ballast"])
            .args(["--config", "profile.dev.package.lb-user.opt-level=1"]),
    )?;
    fs::copy(workspace::target("debug/ballast"), &program)
        .with_context(|| format!("cannot write {}", program.display()))?;
    Ok(program)
}

fn ebpf_object(tools: &BpfTools) -> Result<()> {
    terse(ebpf(tools).args(["--quiet", "--release"]))?;
    for (program, object) in [(BALLAST, "ballast.bpf.o"), ("bench", "bench.bpf.o")] {
        place_object(program, &workspace::target("bpf").join(object))?;
    }
    Ok(())
}

/// `cargo build` in `lb-ebpf`.
fn ebpf(tools: &BpfTools) -> Command {
    let mut cargo = tools.toolchain.cargo_build();
    cargo
        // Its .cargo/config.toml has the target and the code generation.
        .current_dir(workspace::root().join("lb-ebpf"))
        .env("CARGO_TARGET_DIR", workspace::target("bpf"))
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &tools.linker)
        // Meant for the host; they would replace those of the configuration.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    cargo
}

/// Brings one of cargo's objects to where it is asked for.
fn place_object(program: &str, to: &Path) -> Result<()> {
    let from = workspace::target("bpf/bpfel-unknown-none/release").join(program);
    let mut object = fs::read(&from).with_context(|| format!("cannot read {}", from.display()))?;
    // All that is measured is a path that packets take; of Ballast's own programs one is run by all of them.
    let is_hot = |function: &str| program != BALLAST || function == EVERY_PACKETS;
    conditions::turn_around(&mut object, is_hot)
        .with_context(|| format!("cannot understand {}", from.display()))?;
    write_if_different(&object, to)
}

/// Writes, unless `to` has those bytes already: a new modification time alone would compile lb-user again.
fn write_if_different(new: &[u8], to: &Path) -> Result<()> {
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    fs::write(to, new).with_context(|| format!("cannot write {}", to.display()))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn an_unchanged_object_is_not_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("object");
        fs::write(&to, "object").unwrap();
        let long_ago = SystemTime::UNIX_EPOCH;
        fs::File::open(&to).unwrap().set_modified(long_ago).unwrap();

        write_if_different(b"object", &to).unwrap();

        assert_eq!(fs::metadata(&to).unwrap().modified().unwrap(), long_ago);
    }

    #[test]
    fn a_changed_object_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("object");
        fs::write(&to, "old").unwrap();

        write_if_different(b"new", &to).unwrap();

        assert_eq!(fs::read(&to).unwrap(), b"new");
    }
}
