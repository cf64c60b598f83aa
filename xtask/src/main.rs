//! `cargo xtask`: one command for everything, the same for people and for CI.
//!
//! Every subcommand first sets up what it needs ([`setup`]): on a machine that has it all that takes no
//! noticeable time, on a fresh one it installs the missing parts and says which.

mod bench;
mod build;
mod conditions;
mod fuzz;
mod kernel;
mod licences;
mod process;
mod run;
mod setup;
mod step;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Build, try out and test Ballast.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build all, then balance real traffic in a lab of network namespaces, or on this host with --config
    Run(run::Arguments),
    /// Release build: target/release/ballast, with the eBPF object in it
    Build,
    /// Everything that CI runs: format, lints, documentation, licences, and all tests
    Test(test::Arguments),
    /// Measure what Ballast costs, beside HAProxy, nginx and nftables: less than 15 minutes
    Bench(bench::Arguments),
    /// Fuzz whatever takes bytes from outside: ten minutes for each target
    Fuzz(fuzz::Arguments),
    /// The verifier's budgets and the golden rows on Debian's own kernel, in an emulated machine: some ten minutes
    Kernel,
    /// Install what is missing on this machine, and nothing else
    Setup,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Run(arguments) => run::run(arguments),
        Task::Build => build::build().map(|()| ExitCode::SUCCESS),
        Task::Test(arguments) => test::test(&arguments),
        Task::Bench(arguments) => bench::bench(&arguments),
        Task::Fuzz(arguments) => fuzz::fuzz(&arguments),
        Task::Kernel => kernel::kernel(),
        Task::Setup => setup::for_tests().map(|_| ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
