//! `ballast doctor`

mod command;
mod finding;
mod host;
mod interface;
mod services;

use std::{path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use comfy_table::Cell;

use self::finding::{Finding, Severity};
use super::{client::Client, output, table};
use crate::{
    config::{self, Config, types::DataplaneChoice},
    daemon::Status,
};

/// What `ballast run` is mostly started with.
const USUAL_FILE: &str = "/etc/ballast/ballast.toml";

/// Look for what on this host would hurt, and name the command that mends it
///
/// Exits 1 if anything is wrong; what is only worth knowing does not count.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ballast doctor --config /etc/ballast/ballast.toml
  sudo ballast doctor --fix")]
pub(super) struct Doctor {
    #[command(flatten)]
    client: Client,
    /// Configuration file, whose interfaces and services are looked at; default: the usual one, or else what a running
    /// daemon is attached to
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Run the commands
    #[arg(long)]
    fix: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// What is looked at.
struct Subject {
    interfaces: Vec<String>,
    dataplane: DataplaneChoice,
    config: Option<Config>,
    /// Whether a daemon runs.
    running: bool,
}

impl Doctor {
    pub(super) fn run(self) -> Result<()> {
        let subject = self.subject()?;
        let mut findings = self.findings(&subject);
        if self.fix {
            mend(&findings)?;
            findings = self.findings(&subject);
        }
        if self.json {
            output::print_json(&findings)?;
        } else {
            output::print(&text(&findings))?;
        }
        let wrong = findings
            .iter()
            .filter(|finding| finding.severity == Severity::Wrong)
            .count();
        if wrong > 0 {
            bail!(
                "{wrong} of {} findings are wrong; --fix runs their commands",
                findings.len()
            );
        }
        Ok(())
    }

    fn findings(&self, subject: &Subject) -> Vec<Finding> {
        let mut findings = host::findings(subject, self.client.socket());
        findings.extend(
            subject
                .interfaces
                .iter()
                .flat_map(|name| interface::findings(subject, name)),
        );
        findings.extend(subject.config.iter().flat_map(services::findings));
        findings.sort_by_key(|finding| finding.severity);
        findings
    }

    fn subject(&self) -> Result<Subject> {
        let status: Option<Status> = self.client.question("status").ok();
        let usual = PathBuf::from(USUAL_FILE);
        let file = self.config.clone().or_else(|| usual.exists().then_some(usual));
        let config = file.map(|file| config::load(&file)).transpose()?;
        let mut interfaces = config
            .as_ref()
            .map_or_else(Vec::new, |config| config.global.interfaces.clone());
        if interfaces.is_empty() {
            let attached = status.iter().flat_map(|status| &status.interfaces);
            interfaces = attached.map(|interface| interface.name.clone()).collect();
        }
        Ok(Subject {
            interfaces,
            dataplane: config
                .as_ref()
                .map_or(DataplaneChoice::Auto, |config| config.global.dataplane),
            config,
            running: status.is_some(),
        })
    }
}

/// Runs the commands of what is wrong, each as it is shown.
fn mend(findings: &[Finding]) -> Result<()> {
    let wrong = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Wrong);
    for command in wrong.filter_map(|finding| finding.command.as_ref()) {
        eprintln!("+ {command}");
        let status = Command::new("sh")
            .args(["-c", command])
            .status()
            .context("cannot start sh")?;
        if !status.success() {
            bail!("`{command}` ended with {status}");
        }
    }
    Ok(())
}

/// The findings as text for people.
fn text(findings: &[Finding]) -> String {
    let mut table = table::table(&["", "WHERE", "WHAT"]);
    for finding in findings {
        let mut what = finding.what.clone();
        if let Some(command) = &finding.command {
            what.push_str("\n  ");
            what.push_str(command);
        }
        table.add_row([
            Cell::new(finding.severity.as_str()).fg(finding.severity.colour()),
            Cell::new(&finding.place),
            Cell::new(what),
        ]);
    }
    table::text(&table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_comes_first_with_its_command() {
        let mut findings = vec![
            Finding::fine("kernel", "Linux 6.18"),
            Finding::wrong("/sys/fs/bpf", "is not mounted").mended_by("mount -t bpf bpf /sys/fs/bpf"),
        ];
        findings.sort_by_key(|finding| finding.severity);
        let text = text(&findings);
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        assert_eq!(
            lines[1..],
            [
                "wrong  /sys/fs/bpf  is not mounted",
                "mount -t bpf bpf /sys/fs/bpf",
                "ok     kernel       Linux 6.18"
            ],
            "{text}"
        );
    }
}
