//! `ballast flow`

use clap::{Args, Subcommand};
use comfy_table::Cell;
use serde::Serialize;

use super::{client::Client, output, table};
use crate::{
    flows::{Flow, FlowId, FlowPage, Killed, Query},
    stats::format,
};

/// Look at flows, and end them
#[derive(Debug, Subcommand)]
pub(super) enum FlowCommand {
    List(List),
    Kill(Kill),
}

/// List flows: who talks to which backend, and how far they have come
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ballast flow list --service fe
  ballast flow list --json | jq '.flows[] | select(.state == \"half-open\") | .client'")]
pub(super) struct List {
    #[command(flatten)]
    client: Client,
    /// Only flows of this service
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 1000)]
    limit: usize,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// What is printed.
#[derive(Debug, Serialize)]
pub(super) struct Listed {
    /// How many flows there are.
    pub(super) total: u64,
    /// Those that are shown.
    pub(super) flows: Vec<Flow>,
}

impl FlowCommand {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::List(list) => list.run(),
            Self::Kill(kill) => kill.run(),
        }
    }
}

/// End flows: both ends of a TCP connection get a reset at once
///
/// A backend in mode tunnel hears of it when it next speaks.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ballast flow kill 3f2a-1
  ballast flow list --service fe --json | jq -r '.flows[] | select(.idle_seconds > 3600) | .id' | xargs ballast flow kill")]
pub(super) struct Kill {
    #[command(flatten)]
    client: Client,
    /// Flows, by the ids that `ballast flow list` shows
    #[arg(value_name = "ID", required = true)]
    ids: Vec<FlowId>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Kill {
    /// All that can be ended are, and the first that cannot is the error.
    fn run(self) -> anyhow::Result<()> {
        let order = |id: &FlowId| self.client.order(&format!("flows/{id}/kill"), &());
        let (mut killed, mut failed) = (Vec::new(), None);
        for outcome in self.ids.iter().map(order) {
            match outcome {
                Ok(flow) => killed.push(flow),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if self.json {
            output::print_json(&killed)?;
        } else {
            output::print(&killed.iter().map(said).collect::<String>())?;
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }
}

/// What became of a flow.
fn said(killed: &Killed) -> String {
    let Killed {
        flow,
        client_reset,
        backend_reset,
    } = killed;
    let told = match (client_reset, backend_reset) {
        (true, true) => "both ends were sent a reset",
        (true, false) => "its client was sent a reset",
        (false, true) => "its backend was sent a reset",
        (false, false) => "its ends will notice by themselves",
    };
    format!(
        "{} {} to {}: ended; {told}\n",
        flow.id, flow.client, flow.backend_address
    )
}

impl List {
    fn run(self) -> anyhow::Result<()> {
        let listed = self.listed()?;
        if self.json {
            output::print_json(&listed)
        } else {
            output::print(&text(&listed))
        }
    }

    /// Page by page.
    fn listed(&self) -> anyhow::Result<Listed> {
        let mut listed = Listed {
            total: 0,
            flows: Vec::new(),
        };
        let mut from = None;
        loop {
            let query = Query {
                service: self.service.clone(),
                from,
                limit: Some(self.limit - listed.flows.len()),
            };
            let page: FlowPage = self.client.ask_with("flows", &query)?;
            listed.total = page.total;
            listed.flows.extend(page.flows);
            from = page.next;
            if from.is_none() || listed.flows.len() >= self.limit {
                listed
                    .flows
                    .sort_by_key(|flow| (flow.service.clone(), flow.backend.clone(), flow.client));
                return Ok(listed);
            }
        }
    }
}

/// The flows as text for people.
pub(super) fn text(listed: &Listed) -> String {
    let mut table = table::table(&[
        "ID", "SERVICE", "CLIENT", "TO", "BACKEND", "MODE", "AS", "STATE", "IDLE",
    ]);
    for flow in &listed.flows {
        table.add_row([
            Cell::new(flow.id),
            Cell::new(flow.service.as_deref().unwrap_or("-")),
            Cell::new(flow.client),
            Cell::new(format!("{} {}", flow.virtual_address, flow.protocol)),
            Cell::new(&flow.backend),
            Cell::new(&flow.mode),
            Cell::new(flow.snat_address),
            Cell::new(flow.state),
            Cell::new(format::seconds(flow.idle_seconds)),
        ]);
    }
    let text = table::text(&table);
    let (shown, total) = (listed.flows.len() as u64, listed.total);
    if shown >= total {
        return text;
    }
    let (shown, total) = (format::count(shown), format::count(total));
    format!("{text}\n{shown} of {total} flows; --limit shows more\n")
}
