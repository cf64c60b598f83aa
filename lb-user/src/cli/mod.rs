//! The command line: one file per subcommand, each a clap argument type with a `run` method.

mod backend;
mod check;
mod client;
mod doctor;
mod flow;
mod health;
mod look_up;
mod output;
mod run;
mod stats;
mod status;
mod stop;
mod table;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Layer-4 load balancer with an XDP packet path.
#[derive(Debug, Parser)]
#[command(name = "ballast", version, arg_required_else_help = true, after_help = EXAMPLE)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLE: &str = "Example:
  ballast check --config /etc/ballast/ballast.toml
  ballast run --config /etc/ballast/ballast.toml --interface eth0
  ballast stats";

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Run),
    Check(check::Check),
    Stop(stop::Stop),
    Stats(stats::Stats),
    Status(status::Status),
    #[command(subcommand)]
    Backend(backend::Backend),
    #[command(subcommand)]
    Flow(flow::FlowCommand),
    Lookup(look_up::LookUp),
    Health(health::Health),
    Doctor(doctor::Doctor),
}

/// Runs the command line of this process: a usage error exits 2, any other error prints one line and exits 1.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of a pipe, `head` for one, has seen enough.
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", output::one_line(&error));
            ExitCode::FAILURE
        }
    }
}

impl Cli {
    fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Run(run) => run.run(),
            Command::Check(check) => check.run(),
            Command::Stop(stop) => stop.run(),
            Command::Stats(stats) => stats.run(),
            Command::Status(status) => status.run(),
            Command::Backend(backend) => backend.run(),
            Command::Flow(flow) => flow.run(),
            Command::Lookup(look_up) => look_up.run(),
            Command::Health(health) => health.run(),
            Command::Doctor(doctor) => doctor.run(),
        }
    }
}
