//! The kernel of this Debian release, and what runs it in an emulated machine.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::packages::{self, Apt, Program};
use crate::{
    process::{output, quiet},
    step::step,
    workspace,
};

/// The package that depends on the release's newest kernel.
const NEWEST: &str = "linux-image-amd64";

/// The shell, and all that the machine has besides its kernel and the tests.
const BUSYBOX: &str = "busybox-static";

const MACHINE: [Program; 1] = [Program {
    command: "qemu-system-x86_64",
    package: "qemu-system-x86",
}];

/// Files of the kernel and for it.
pub(crate) struct DebianKernel {
    /// The kernel itself.
    pub(crate) image: PathBuf,
    /// Its driver of virtual Ethernet pairs.
    pub(crate) veth: PathBuf,
    /// Shell and tools, without libraries.
    pub(crate) busybox: PathBuf,
}

/// Makes sure of them: unpacked, and not installed, for this machine has a kernel of its own.
pub(crate) fn ensure() -> Result<DebianKernel> {
    packages::ensure(&MACHINE, &mut Apt::default())?;
    let folder = workspace::target("tools/debian-kernel");
    if let Some(kernel) = DebianKernel::unpacked(&folder) {
        return Ok(kernel);
    }
    step("fetching Debian's kernel", || fetch(&folder)).context("cannot fetch Debian's kernel")?;
    DebianKernel::unpacked(&folder).context("Debian's packages have other files than were looked for")
}

impl DebianKernel {
    fn unpacked(folder: &Path) -> Option<Self> {
        let release = only_file(&folder.join("lib/modules"), "")?;
        Some(Self {
            image: only_file(&folder.join("boot"), "vmlinuz-")?,
            veth: only_file(&release.join("kernel/drivers/net"), "veth.ko")?,
            busybox: only_file(&folder.join("bin"), "busybox")?,
        })
    }
}

/// The file of a folder whose name begins so.
fn only_file(folder: &Path, beginning: &str) -> Option<PathBuf> {
    let files = fs::read_dir(folder).ok()?.filter_map(Result::ok);
    let mut named = files.filter(|file| file.file_name().to_string_lossy().starts_with(beginning));
    named.next().map(|file| file.path())
}

fn fetch(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    let depends = output(Command::new("apt-cache").args(["depends", NEWEST])).unwrap_or_default();
    let kernel = depends
        .lines()
        .find_map(|line| line.trim().strip_prefix("Depends: "))
        .with_context(|| format!("apt knows no {NEWEST}"))?;
    quiet(
        Command::new("apt-get")
            .current_dir(folder)
            .args(["download", kernel, BUSYBOX]),
    )?;
    for file in fs::read_dir(folder)? {
        let package = file?.path();
        quiet(
            Command::new("dpkg-deb")
                .arg("--extract")
                .arg(&package)
                .arg(folder),
        )?;
        fs::remove_file(package)?;
    }
    Ok(())
}
