//! `ballast stats`

use clap::Args;
use comfy_table::{Cell, Table};

use super::{client::Client, output, table, watch};
use crate::stats::{Backend, Counters, Packets, Service, Statistics, format};

const HEADINGS: [&str; 12] = [
    "SERVICE", "BACKEND", "STATE", "SHARE", "FLOWS", "TOTAL", "IN", "OUT", "RETRIES", "REFUSED", "RESETS",
    "CHECK",
];

/// Show what the daemon has counted
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ballast stats
  ballast stats --json | jq '.services[] | {name, state}'
  ballast stats --watch
  ballast stats --csv | cut -d, -f1,2,18")]
pub(super) struct Stats {
    #[command(flatten)]
    client: Client,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// Print comma-separated values, in `HAProxy`'s columns
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Show all backends live on the whole screen, with the actions of `ballast backend`
    #[arg(long, conflicts_with_all = ["json", "csv"])]
    watch: bool,
}

impl Stats {
    pub(super) fn run(self) -> anyhow::Result<()> {
        if self.watch {
            return watch::run(&self.client);
        }
        if self.csv {
            return output::print(&self.client.ask_text("stats.csv")?);
        }
        let statistics: Statistics = self.client.ask("stats")?;
        if self.json {
            output::print_json(&statistics)
        } else {
            output::print(&text(&statistics))
        }
    }
}

/// The statistics as text for people.
pub(super) fn text(statistics: &Statistics) -> String {
    let mut text = format!(
        "Ballast {} · {} · running for {}\n{}\n\n",
        statistics.version,
        statistics.dataplane,
        format::seconds(statistics.uptime_seconds),
        packets(&statistics.packets),
    );
    let mut services = table::table(&HEADINGS);
    for service in &statistics.services {
        add_service(&mut services, service);
    }
    text.push_str(&table::text(&services));
    text
}

fn packets(packets: &Packets) -> String {
    let verdicts = &packets.verdicts;
    let summary = format!(
        "{} packets: {} forwarded, {} passed to this host, {} dropped",
        format::count(packets.total),
        format::count(verdicts.forwarded()),
        format::count(verdicts.pass),
        format::count(verdicts.drop),
    );
    let counted = packets.reasons.iter().filter(|(_, number)| **number > 0);
    let reasons: Vec<String> = counted
        .map(|(reason, number)| format!("{reason} {}", format::count(*number)))
        .collect();
    if reasons.is_empty() {
        summary
    } else {
        format!("{summary}\nnot forwarded: {}", reasons.join(", "))
    }
}

fn add_service(table: &mut Table, service: &Service) {
    let mut row = vec![
        Cell::new(&service.name),
        Cell::new(""),
        table::service_state(service.state),
        Cell::new(""),
    ];
    row.extend(traffic(&service.counters));
    table.add_row(row);
    for backend in &service.backends {
        add_backend(table, service, backend);
    }
}

fn add_backend(table: &mut Table, service: &Service, backend: &Backend) {
    let mut row = vec![
        Cell::new(""),
        Cell::new(&backend.name),
        table::backend_state(backend),
        table::figure(format::percent(service.share(backend))),
    ];
    row.extend(traffic(&backend.counters));
    row.push(table::check(backend));
    table.add_row(row);
}

fn traffic(counters: &Counters) -> [Cell; 7] {
    [
        table::figure(format::count(counters.flows_active)),
        table::figure(format::count(counters.flows_total)),
        table::figure(format::bytes(counters.bytes_in)),
        table::figure(format::bytes(counters.bytes_out)),
        table::figure(format::count(counters.retries)),
        table::figure(format::count(counters.refused)),
        table::figure(format::count(counters.resets)),
    ]
}
