//! `ballast-lab`: a lab to look at (`run`), hands to interfere with it (`backend-stop`, `backend-start`), and the
//! server program that its backends are (`backend`).

mod cli;

use std::{net::SocketAddr, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};
use lab::Dataplane;

/// A client, a balancer and three backends in network namespaces, with Ballast between them.
#[derive(Debug, Parser)]
#[command(version, after_help = "Example: ballast-lab run --once --requests 10000")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build a lab and balance real traffic in it, until q or Ctrl-C.
    Run {
        /// Make a fixed load instead, and exit 0 only if all went well.
        #[arg(long)]
        once: bool,
        /// Requests of the fixed load.
        #[arg(long, default_value_t = 10_000, requires = "once")]
        requests: u64,
        /// Engine that the daemon is told to use.
        #[arg(long, value_enum, default_value_t = Dataplane::Auto)]
        dataplane: Dataplane,
    },
    /// Kill a backend of the running lab.
    BackendStop {
        /// be1, be2 or be3.
        name: String,
    },
    /// Start a killed backend of the running lab again.
    BackendStart {
        /// be1, be2 or be3.
        name: String,
    },
    /// Be a backend: HTTP and UDP echo; the lab starts these itself.
    Backend {
        /// What it answers when asked who it is.
        #[arg(long)]
        name: String,
        /// Where it listens, TCP and UDP; several allowed.
        #[arg(long, required = true)]
        listen: Vec<SocketAddr>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Run {
            once: true,
            requests,
            dataplane,
        } => cli::once::run(requests, dataplane),
        Command::Run {
            once: false,
            dataplane,
            ..
        } => cli::live::run(dataplane),
        Command::BackendStop { name } => cli::orders::send(&cli::orders::Order::Stop(name)),
        Command::BackendStart { name } => cli::orders::send(&cli::orders::Order::Start(name)),
        Command::Backend { name, listen } => serve(name, &listen),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn serve(name: String, listen: &[SocketAddr]) -> Result<()> {
    // The name is needed as long as the process lives.
    lab::backend::serve(name.leak(), listen).await
}
