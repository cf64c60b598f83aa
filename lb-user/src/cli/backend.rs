//! `ballast backend`

use std::net::SocketAddr;

use clap::{Args, Subcommand};
use comfy_table::Cell;

use super::{client::Client, configure, output, table};
use crate::{
    runtime::{Admin, Change},
    stats::{ListedBackend, format},
};

const HEADINGS: [&str; 9] = [
    "BACKEND", "ADDRESS", "STATE", "WEIGHT", "FLOWS", "RETRIES", "REFUSED", "RESETS", "CHECK",
];

/// Look at backends, and change them
#[derive(Debug, Subcommand)]
pub(super) enum Backend {
    List(List),
    /// Let a backend take no new flows; those it has stay
    #[command(after_help = "Example:
  ballast backend drain fe/node1")]
    Drain(One),
    /// Let a backend take flows again, as soon as its checks are good
    #[command(after_help = "Example:
  ballast backend ready fe/node1")]
    Ready(One),
    /// Let a backend take no new flows, and check it no more
    #[command(after_help = "Example:
  ballast backend maint fe/node1")]
    Maint(One),
    Weight(Weight),
    Add(Add),
    /// Remove a backend; the flows it has go on
    #[command(after_help = "Example:
  ballast backend remove fe/node3 && ballast save")]
    Remove(One),
}

/// Change a backend's share of new flows
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ballast backend weight fe/node1 50")]
pub(super) struct Weight {
    #[command(flatten)]
    one: One,
    /// Share beside the others', 0 to 256; 0 drains
    #[arg(value_name = "N", value_parser = clap::value_parser!(u16).range(0..=256))]
    weight: u16,
}

/// Add a backend to a service
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ballast backend add fe/node3 10.0.0.82:9030 --weight 50")]
pub(super) struct Add {
    #[command(flatten)]
    one: One,
    /// Where it is
    #[arg(value_name = "ADDRESS:PORT")]
    address: SocketAddr,
    /// Share beside the others', 0 to 256
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=256))]
    weight: Option<u16>,
    /// Takes new flows only while no other backend does
    #[arg(long)]
    backup: bool,
}

/// A backend, as the commands name it.
#[derive(Debug, Args)]
pub(super) struct One {
    #[command(flatten)]
    client: Client,
    /// The backend
    #[arg(value_name = "SERVICE/BACKEND", value_parser = named)]
    backend: (String, String),
}

fn named(text: &str) -> Result<(String, String), &'static str> {
    let (service, backend) = text
        .split_once('/')
        .ok_or("write SERVICE/BACKEND, as `ballast backend list` shows it")?;
    Ok((service.to_owned(), backend.to_owned()))
}

impl One {
    /// Makes a change that is made of the names of service and backend.
    fn change(self, change: impl FnOnce(String, String) -> Change) -> anyhow::Result<()> {
        let (service, backend) = self.backend;
        configure::change(&self.client, &change(service, backend))
    }

    fn set(self, state: Admin) -> anyhow::Result<()> {
        self.change(|service, backend| Change::State {
            service,
            backend,
            state,
        })
    }
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
            Self::Drain(one) => one.set(Admin::Drain),
            Self::Ready(one) => one.set(Admin::Ready),
            Self::Maint(one) => one.set(Admin::Maint),
            Self::Weight(Weight { one, weight }) => one.change(|service, backend| Change::Weight {
                service,
                backend,
                weight,
            }),
            Self::Add(Add {
                one,
                address,
                weight,
                backup,
            }) => one.change(|service, backend| Change::AddBackend {
                service,
                backend,
                address,
                weight,
                backup,
            }),
            Self::Remove(one) => one.change(|service, backend| Change::RemoveBackend { service, backend }),
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
            table::figure(format::count(backend.counters.resets)),
            table::check(backend),
        ]);
    }
    table::text(&table)
}
