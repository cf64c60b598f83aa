//! Debian packages, where there is apt.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{
    process::{as_root, output, quiet},
    step::step,
    workspace,
};

/// A program, and the Debian package that has it.
pub(super) struct Program {
    /// What is looked for in `PATH`; or the whole path of a file that need not be a program.
    pub(super) command: &'static str,
    /// What is installed when it is not found.
    pub(super) package: &'static str,
}

impl Program {
    fn is_here(&self) -> bool {
        let path = Path::new(self.command);
        if path.is_absolute() {
            path.is_file()
        } else {
            workspace::find(self.command).is_some()
        }
    }
}

/// Installs the packages of those programs that are not here.
pub(super) fn ensure(programs: &[Program], apt: &mut Apt) -> Result<()> {
    let missing = programs.iter().filter(|program| !program.is_here());
    let packages: Vec<_> = missing.map(|program| program.package).collect();
    if packages.is_empty() {
        Ok(())
    } else {
        apt.install(&packages)
    }
}

/// apt, whose package lists are brought up to date once, before the first question to it.
#[derive(Default)]
pub(super) struct Apt {
    updated: bool,
}

impl Apt {
    /// Whether this machine could install all of `packages`.
    pub(super) fn offers(&mut self, packages: &[&str]) -> Result<bool> {
        if workspace::find("apt-get").is_none() {
            return Ok(false);
        }
        self.update()?;
        Ok(packages.iter().all(|package| candidate(package).is_some()))
    }

    /// Installs `packages`, asking nothing.
    pub(super) fn install(&mut self, packages: &[&str]) -> Result<()> {
        let list = packages.join(" ");
        if !self.offers(packages)? {
            bail!(
                "not installed, and apt does not offer it here: {list}. Install it by hand, then try again"
            );
        }
        step(&format!("installing {list}"), || {
            quiet(
                apt_get()?
                    .args(["install", "--yes", "--no-install-recommends"])
                    .args(packages),
            )
        })
        .with_context(|| format!("cannot install {list}"))
    }

    fn update(&mut self) -> Result<()> {
        if !self.updated {
            step("updating apt's package lists", || quiet(apt_get()?.arg("update")))
                .context("cannot update apt's package lists")?;
            self.updated = true;
        }
        Ok(())
    }
}

/// apt-get as root, without questions, waiting for another apt to finish rather than failing.
fn apt_get() -> Result<Command> {
    let mut apt_get = as_root("apt-get")?;
    apt_get
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["--option", "DPkg::Lock::Timeout=300"]);
    Ok(apt_get)
}

/// The version of `package` that apt would install.
fn candidate(package: &str) -> Option<String> {
    let policy = output(
        Command::new("apt-cache")
            .env("LC_ALL", "C")
            .args(["policy", package]),
    )?;
    candidate_in(&policy).map(str::to_owned)
}

fn candidate_in(policy: &str) -> Option<&str> {
    let version = policy
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    (version != "(none)").then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_candidate_from_apt_policy() {
        let policy = "ethtool:\n  Installed: (none)\n  Candidate: 1:6.1-1\n  Version table:\n";
        assert_eq!(candidate_in(policy), Some("1:6.1-1"));
    }

    #[test]
    fn a_package_without_candidate_is_not_offered() {
        assert_eq!(
            candidate_in("rustc-web:\n  Installed: (none)\n  Candidate: (none)\n"),
            None
        );
        assert_eq!(
            candidate_in(""),
            None,
            "apt-cache prints nothing for a name it has never heard of"
        );
    }
}
