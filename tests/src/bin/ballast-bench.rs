//! `ballast-bench`: measures Ballast, and what it is compared with, in one run.

use std::{path::PathBuf, process::ExitCode, time::Instant};

use anyhow::Result;
use clap::Parser;
use lab::bench::{self, Part, compare::Earlier, timing::Effort};

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
    /// An earlier report: rows that differ from it by more than 10 % are shown, and the exit code is 1.
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    let start = Instant::now();
    // Before the new report may take its place.
    let earlier = arguments.compare.as_deref().map(Earlier::read).transpose()?;
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
    let comparison = earlier.map(|earlier| earlier.compare(&report));
    if let Some(comparison) = &comparison {
        comparison.print();
    }
    let agrees = comparison.is_none_or(|comparison| comparison.agrees());
    Ok(if agrees {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
