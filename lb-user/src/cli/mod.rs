//! The command line: one file per subcommand, each a clap argument type with a `run` method.

mod backend;
mod capture;
mod check;
mod client;
mod completions;
mod configure;
mod doctor;
mod flow;
mod health;
mod log;
mod look_up;
mod man;
mod output;
mod passwd;
mod run;
mod service;
mod stats;
mod status;
mod stop;
mod table;
#[cfg(test)]
mod tests;
mod trace;
mod watch;

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
    #[command(subcommand)]
    Service(service::ServiceCommand),
    Reload(configure::Reload),
    Diff(configure::Diff),
    Save(configure::Save),
    Rollback(configure::Rollback),
    Journal(configure::JournalCommand),
    Lookup(look_up::LookUp),
    Trace(trace::Trace),
    Capture(capture::Capture),
    Health(health::Health),
    Doctor(doctor::Doctor),
    Passwd(passwd::Passwd),
    Completions(completions::Completions),
    Man(man::Man),
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
            Command::Service(service) => service.run(),
            Command::Reload(reload) => reload.run(),
            Command::Diff(diff) => diff.run(),
            Command::Save(save) => save.run(),
            Command::Rollback(rollback) => rollback.run(),
            Command::Journal(journal) => journal.run(),
            Command::Lookup(look_up) => look_up.run(),
            Command::Trace(trace) => trace.run(),
            Command::Capture(capture) => capture.run(),
            Command::Health(health) => health.run(),
            Command::Doctor(doctor) => doctor.run(),
            Command::Passwd(passwd) => passwd.run(),
            Command::Completions(completions) => completions.run(),
            Command::Man(man) => man.run(),
        }
    }
}
