//! `ballast lookup`

use std::net::SocketAddr;

use clap::Args;
use comfy_table::Cell;

use super::{client::Client, output, table};
use crate::control;

/// Show which backend a connection would go to, and why
///
/// The packet path's own chooser is asked, over the tables that packets are forwarded by. Nothing is sent, and nobody's
/// turn moves on.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ballast lookup --from 192.0.2.7:40000 --to 10.0.0.100:9030
  ballast lookup --from 192.0.2.7:53000 --to 10.0.0.100:53 --protocol udp")]
pub(super) struct LookUp {
    #[command(flatten)]
    client: Client,
    /// Client's address and port
    #[arg(long, value_name = "ADDR:PORT")]
    from: SocketAddr,
    /// Virtual address and port
    #[arg(long, value_name = "VIP:PORT")]
    to: SocketAddr,
    /// Transport protocol
    #[arg(long, default_value = "tcp", value_parser = ["tcp", "udp"])]
    protocol: String,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl LookUp {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let question = control::LookUp {
            from: self.from,
            to: self.to,
            protocol: self.protocol,
        };
        let found: control::Found = self.client.ask_with("lookup", &question)?;
        if self.json {
            output::print_json(&found)
        } else {
            output::print(&text(&found))
        }
    }
}

/// What was found, for people.
pub(super) fn text(found: &control::Found) -> String {
    let service = found.service.as_deref().unwrap_or("no service");
    let goes = match (&found.backend, found.address) {
        (Some(backend), Some(address)) => format!("{backend} at {address}"),
        _ => format!("{service}: no backend"),
    };
    let mut text = format!("{goes}\n{}\n", found.why);
    if !found.candidates.is_empty() {
        let mut candidates = table::table(&["BACKEND", "WEIGHT", "TAKES NEW FLOWS"]);
        for candidate in &found.candidates {
            candidates.add_row([
                Cell::new(&candidate.backend),
                table::figure(candidate.weight),
                Cell::new(candidate.obstacle.as_deref().unwrap_or("yes")),
            ]);
        }
        text.push('\n');
        text.push_str(&table::text(&candidates));
    }
    text
}
