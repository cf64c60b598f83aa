//! What all subcommands print, and how.

use std::io::{self, ErrorKind, Write as _};

use anyhow::Context as _;
use serde::Serialize;

/// Prints text that ends its own lines.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    io::stdout()
        .write_all(text.as_bytes())
        .context("cannot write to stdout")
}

/// Prints one JSON document.
pub(super) fn print_json(document: &impl Serialize) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(document).context("cannot write the answer as JSON")?;
    print(&format!("{json}\n"))
}

/// An error with all its causes in one line.
pub(super) fn one_line(error: &anyhow::Error) -> String {
    format!("{error:#}")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// Whether the error is that nobody reads stdout any more.
pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}
