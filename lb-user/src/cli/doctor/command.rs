//! What other programs and the kernel's own files say.

use std::{fs, path::Path, process::Command};

/// What a program prints, if it is here and content.
pub(super) fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A setting of the kernel, by its name in `sysctl`; the network's are those of this network namespace.
pub(super) fn sysctl(name: &str) -> Option<String> {
    // The dots of an interface's name stand for themselves: names are given with slashes here.
    let path = Path::new("/proc/sys").join(name);
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}
