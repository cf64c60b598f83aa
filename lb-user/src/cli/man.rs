//! `ballast man`

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};

use super::{Cli, output};

/// Print the manual page, or write those of all subcommands into a directory
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ballast man | man --local-file -
  ballast man --directory /usr/local/share/man/man1")]
pub(super) struct Man {
    /// Where to write a page for each subcommand
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
}

impl Man {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let command = Cli::command();
        if let Some(directory) = self.directory {
            let failed = || format!("cannot write manual pages into {}", directory.display());
            return clap_mangen::generate_to(command, &directory).with_context(failed);
        }
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        output::print(&String::from_utf8(page)?)
    }
}
