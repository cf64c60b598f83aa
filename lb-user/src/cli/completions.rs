//! `ballast completions`

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, output};

/// Print what makes a shell complete the arguments of `ballast`
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ballast completions bash > /etc/bash_completion.d/ballast
  ballast completions zsh > /usr/local/share/zsh/site-functions/_ballast")]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "ballast", &mut script);
        output::print(&String::from_utf8(script)?)
    }
}
