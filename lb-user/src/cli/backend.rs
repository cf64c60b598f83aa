//! `ballast backend`

use clap::{Args, Subcommand};
use comfy_table::Cell;

use super::{client::Client, output, table};
use crate::stats::{ListedBackend, format};

const HEADINGS: [&str; 8] = [
    "BACKEND", "ADDRESS", "STATE", "WEIGHT", "FLOWS", "RETRIES", "REFUSED", "CHECK",
];

/// Look at backends
#[derive(Debug, Subcommand)]
pub(super) enum Backend {
    List(List),
}

/// List the backends of all services
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ballast backend list
  ballast backend list --json | jq -r '.[] | select(.state == \"down\") | .name'")]
pub(super) struct List {
    #[command(flatten)]
    client: Client,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Backend {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::List(list) => list.run(),
        }
    }
}

impl List {
    fn run(self) -> anyhow::Result<()> {
        let backends: Vec<ListedBackend> = self.client.ask("backends")?;
        if self.json {
            output::print_json(&backends)
        } else {
            output::print(&text(&backends))
        }
    }
}

/// The backends as text for people.
pub(super) fn text(backends: &[ListedBackend]) -> String {
    let mut table = table::table(&HEADINGS);
    for ListedBackend { service, backend } in backends {
        table.add_row([
            Cell::new(format!("{service}/{}", backend.name)),
            Cell::new(backend.address),
            table::backend_state(backend),
            table::figure(backend.weight),
            table::figure(format::count(backend.counters.flows_active)),
            table::figure(format::count(backend.counters.retries)),
            table::figure(format::count(backend.counters.refused)),
            table::check(backend),
        ]);
    }
    table::text(&table)
}
