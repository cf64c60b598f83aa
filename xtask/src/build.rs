//! `cargo xtask build`: the eBPF object, and the programs that hold it or need it.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use crate::{
    process::terse,
    setup::{self, BpfTools},
    step::step,
    workspace,
};

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

fn ebpf_object(tools: &BpfTools) -> Result<()> {
    let mut cargo = tools.toolchain.cargo_build();
    cargo
        // Its .cargo/config.toml has the target and the code generation.
        .current_dir(workspace::root().join("lb-ebpf"))
        .env("CARGO_TARGET_DIR", workspace::target("bpf"))
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &tools.linker)
        // Meant for the host; they would replace those of the configuration.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .args(["--quiet", "--release"]);
    terse(&mut cargo)?;
    for (program, object) in [("lb-ebpf", "ballast.bpf.o"), ("bench", "bench.bpf.o")] {
        copy_if_different(
            &workspace::target("bpf/bpfel-unknown-none/release").join(program),
            &workspace::target("bpf").join(object),
        )?;
    }
    Ok(())
}

/// Copies, unless `to` has those bytes already: a new modification time alone would compile lb-user again.
fn copy_if_different(from: &Path, to: &Path) -> Result<()> {
    let new = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
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
        let [from, to] = ["from", "to"].map(|name| folder.path().join(name));
        fs::write(&from, "object").unwrap();
        fs::write(&to, "object").unwrap();
        let long_ago = SystemTime::UNIX_EPOCH;
        fs::File::open(&to).unwrap().set_modified(long_ago).unwrap();

        copy_if_different(&from, &to).unwrap();

        assert_eq!(fs::metadata(&to).unwrap().modified().unwrap(), long_ago);
    }

    #[test]
    fn a_changed_object_is_copied() {
        let folder = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| folder.path().join(name));
        fs::write(&from, "new").unwrap();
        fs::write(&to, "old").unwrap();

        copy_if_different(&from, &to).unwrap();

        assert_eq!(fs::read(&to).unwrap(), b"new");
    }
}
