//! The licences of what we build on, against the list of those we accept in `deny.toml`.
//!
//! `cargo deny` reads the same file and knows more; this check needs nothing installed.

use std::{collections::BTreeSet, env::consts, fs};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use spdx::Expression;

use crate::{process::output, workspace};

#[derive(Deserialize)]
struct DenyToml {
    licenses: Licences,
}

#[derive(Deserialize)]
struct Licences {
    allow: BTreeSet<String>,
    #[serde(default)]
    exceptions: Vec<Exception>,
}

/// What one package may come under besides.
#[derive(Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    package: String,
    allow: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
}

/// Fails when a package of any lock file comes under none of the accepted licences.
pub(crate) fn check() -> Result<()> {
    let deny = fs::read_to_string(workspace::root().join("deny.toml")).context("cannot read deny.toml")?;
    let deny: DenyToml = toml::from_str(&deny).context("deny.toml")?;
    let Licences { allow, exceptions } = deny.licenses;
    for folder in [".", "lb-ebpf", "tests/fuzz"] {
        for package in packages(folder)? {
            let licence = package.license.as_deref().unwrap_or("none");
            let its_own = exceptions
                .iter()
                .filter(|exception| exception.package == package.name);
            let its_own = its_own.flat_map(|exception| exception.allow.clone());
            if !is_accepted(licence, &allow.iter().cloned().chain(its_own).collect()) {
                bail!(
                    "{} {}: deny.toml does not accept its licence: {licence}",
                    package.name,
                    package.version
                );
            }
        }
    }
    Ok(())
}

fn packages(folder: &str) -> Result<Vec<Package>> {
    let platform = format!("{}-unknown-linux-gnu", consts::ARCH);
    let mut cargo = workspace::cargo();
    cargo.current_dir(workspace::root().join(folder));
    cargo.args([
        "metadata",
        "--format-version",
        "1",
        "--filter-platform",
        &platform,
    ]);
    let metadata = output(&mut cargo).with_context(|| format!("cargo metadata failed in {folder}"))?;
    let metadata: Metadata = serde_json::from_str(&metadata).context("cargo metadata")?;
    Ok(metadata.packages)
}

/// Whether `accepted` satisfies the SPDX expression `licence`; what is no such expression is not accepted.
fn is_accepted(licence: &str, accepted: &BTreeSet<String>) -> bool {
    // Older crates write MIT/Apache-2.0 for "or", as cargo once had it.
    Expression::parse(&licence.replace('/', " OR "))
        .is_ok_and(|expression| expression.evaluate(|licence| accepted.contains(&licence.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_weighed_as_wholes() {
        let accepted = ["MIT", "Unicode-3.0"].map(str::to_owned).into();
        for (licence, expected) in [
            ("MIT", true),
            ("GPL-3.0-only", false),
            ("MIT OR GPL-3.0-only", true),
            ("MIT AND GPL-3.0-only", false),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
            ("Unlicense/MIT", true),
            ("none", false),
        ] {
            assert_eq!(is_accepted(licence, &accepted), expected, "{licence}");
        }
    }
}
