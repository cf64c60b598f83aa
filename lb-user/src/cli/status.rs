//! `ballast status`

use clap::Args;
use comfy_table::Cell;

use super::{client::Client, output, table};
use crate::{
    daemon::{self, AttachedInterface},
    stats::format,
};

/// Show whether the daemon runs, on what, and whether it can serve
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ballast status
  ballast status --json | jq .services_down")]
pub(super) struct Status {
    #[command(flatten)]
    client: Client,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let status: daemon::Status = self.client.ask("status")?;
        if self.json {
            output::print_json(&status)
        } else {
            output::print(&text(&status))
        }
    }
}

/// The status as text for people.
pub(super) fn text(status: &daemon::Status) -> String {
    let mut lines = vec![
        format!(
            "Ballast {} · {} · process {} · running for {}",
            status.version,
            status.dataplane,
            status.pid,
            format::seconds(status.uptime_seconds),
        ),
        format!(
            "services: {} up, {} degraded, {} down",
            status.services_up, status.services_degraded, status.services_down
        ),
    ];
    lines.extend(status.stats.map(|address| format!("stats page: on {address}")));
    lines.push(String::new());
    lines.push(interfaces(&status.interfaces));
    lines.join("\n")
}

fn interfaces(interfaces: &[AttachedInterface]) -> String {
    let mut table = table::table(&["INTERFACE", "MODE", "WHY"]);
    for interface in interfaces {
        let why = interface.why.as_deref().unwrap_or_default();
        table.add_row([
            Cell::new(&interface.name),
            Cell::new(&interface.mode),
            Cell::new(why),
        ]);
    }
    table::text(&table)
}
