//! `ballast-bench`: measures Ballast, and what it is compared with, in one run.

use std::{path::PathBuf, process::ExitCode, time::Instant};

use anyhow::Result;
use clap::Parser;
use lab::bench::{self, Part, timing::Effort};

/// Measures Ballast, and what it is compared with, in one run.
#[derive(Debug, Parser)]
#[command(version, after_help = "Example: ballast-bench packet --quick")]
struct Arguments {
    /// Only these parts.
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Fewer and shorter measurements, for a first look.
    #[arg(long)]
    quick: bool,
    /// Where the report goes as JSON.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let start = Instant::now();
    let parts = if arguments.parts.is_empty() {
        &Part::ALL[..]
    } else {
        &arguments.parts
    };
    let effort = if arguments.quick {
        Effort::QUICK
    } else {
        Effort::FULL
    };
    let report = bench::run(parts, effort)?;
    let output = match &arguments.output {
        Some(output) => output.clone(),
        None => bench::report_file()?,
    };
    report.write(&output)?;
    println!(
        "\n{:.0} s; the same as JSON in {}",
        start.elapsed().as_secs_f32(),
        output.display()
    );
    Ok(())
}
