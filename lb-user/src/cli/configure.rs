//! `ballast reload`, `diff`, `save`, `rollback`, `journal`, and what all changes of what runs have in common.

use clap::Args;
use comfy_table::Cell;
use serde::Deserialize;

use super::{client::Client, output, table};
use crate::{
    daemon::Applied,
    runtime::{Change, Entry},
};

/// Take the configuration file in, without an end to any flow
///
/// A file with an error changes nothing, and the error says where it is. Changes that were made since the file was loaded
/// and are not in it are made again; `ballast rollback` undoes them.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ballast check --config /etc/ballast/ballast.toml && ballast reload")]
pub(super) struct Reload {
    #[command(flatten)]
    client: Client,
}

/// Show what `ballast save` would change in the configuration file
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ballast diff")]
pub(super) struct Diff {
    #[command(flatten)]
    client: Client,
}

/// Write what runs to the configuration file; comments and order stay
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ballast diff && ballast save")]
pub(super) struct Save {
    #[command(flatten)]
    client: Client,
}

/// Undo all changes that are not in the configuration file
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ballast rollback")]
pub(super) struct Rollback {
    #[command(flatten)]
    client: Client,
}

/// Show who changed what, and when
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ballast journal --count 5")]
pub(super) struct JournalCommand {
    #[command(flatten)]
    client: Client,
    /// At most so many entries, the latest last
    #[arg(long, value_name = "N", default_value_t = 100)]
    count: usize,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Reload {
    pub(super) fn run(self) -> anyhow::Result<()> {
        order(&self.client, "reload")
    }
}

impl Diff {
    pub(super) fn run(self) -> anyhow::Result<()> {
        #[derive(Deserialize)]
        struct Difference {
            difference: String,
        }
        let Difference { difference } = self.client.ask("diff")?;
        output::print(&difference)
    }
}

impl Save {
    pub(super) fn run(self) -> anyhow::Result<()> {
        order(&self.client, "save")
    }
}

impl Rollback {
    pub(super) fn run(self) -> anyhow::Result<()> {
        order(&self.client, "rollback")
    }
}

impl JournalCommand {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let entries: Vec<Entry> = self.client.ask(&format!("journal?count={}", self.count))?;
        if self.json {
            return output::print_json(&entries);
        }
        let mut lines = table::table(&["WHEN", "WHO", "WHAT"]);
        for entry in entries {
            lines.add_row([entry.at, entry.who, entry.what].map(Cell::new));
        }
        output::print(&table::text(&lines))
    }
}

/// Changes what runs, and says what has become of it.
pub(super) fn change(client: &Client, change: &Change) -> anyhow::Result<()> {
    output::print(&said(&client.send("changes", change)?))
}

fn order(client: &Client, path: &str) -> anyhow::Result<()> {
    output::print(&said(&client.send(path, &())?))
}

/// What was done, for people.
pub(super) fn said(applied: &Applied) -> String {
    let Applied {
        changed,
        unsaved,
        left_out,
    } = applied;
    let mut lines = changed.clone();
    if changed.is_empty() {
        lines.push("nothing runs differently".to_owned());
    }
    let undone = left_out.iter();
    lines.extend(undone.map(|line| format!("undone, as it does not fit the file: {line}")));
    match unsaved.len() {
        0 => {}
        1 => lines.push(
            "1 change is not in the file: `ballast diff` shows it, `ballast save` writes it".to_owned(),
        ),
        more => lines.push(format!(
            "{more} changes are not in the file: `ballast diff` shows them, `ballast save` writes them"
        )),
    }
    lines.push(String::new());
    lines.join("\n")
}
