//! Where things are in this workspace, and cargo started in it.

use std::{
    env,
    ffi::OsString,
    iter,
    path::{Path, PathBuf},
    process::Command,
};

/// The folder with the workspace's `Cargo.toml`.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask is a folder of the workspace")
}

/// `path` under the workspace's target folder.
pub(crate) fn target(path: &str) -> PathBuf {
    root().join("target").join(path)
}

/// Where commands are looked for: first what set-up built, last where Debian keeps an administrator's tools,
/// which are missing from other users' `PATH`.
pub(crate) fn search_path() -> OsString {
    let inherited = env::var_os("PATH").unwrap_or_default();
    let administration = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let folders = iter::once(target("tools/bin"))
        .chain(env::split_paths(&inherited))
        .chain(administration);
    env::join_paths(folders).expect("folders of PATH hold no colon")
}

/// The file that `command` would start.
pub(crate) fn find(command: &str) -> Option<PathBuf> {
    which::which_in(command, Some(search_path()), root()).ok()
}

/// Cargo in the workspace, whose output goes where the documentation says, whatever the caller's environment.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(root())
        .env("PATH", search_path())
        .env("CARGO_TARGET_DIR", target(""));
    without_our_package(&mut cargo);
    cargo
}

/// Keeps from `command` what the cargo that started this program says of our package. Some build scripts ask to be run again
/// when one of these variables differs, and would be, each time after cargo was started by hand.
pub(crate) fn without_our_package(command: &mut Command) {
    let is_of_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(is_of_package) {
            command.env_remove(name);
        }
    }
}

/// Cargo, installing a program under `target/tools`, where [`find`] looks first.
pub(crate) fn cargo_install(program: &str, version: &str) -> Command {
    let mut cargo = cargo();
    cargo
        // By default it builds in a temporary folder, and leaves nothing behind.
        .env_remove("CARGO_TARGET_DIR")
        .args(["install", program, "--version", version, "--locked", "--root"])
        .arg(target("tools"));
    cargo
}
