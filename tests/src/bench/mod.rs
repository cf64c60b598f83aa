//! `ballast-bench`: what Ballast costs, beside what other things cost in the same run.
//!
//! [`packet`], [`primitive`] and [`flows`] time programs in the kernel's test run ([`kernel`]) over tables of a
//! made-up network ([`scene`]). [`end_to_end`] puts load on real balancers in the lab.

pub mod compare;
pub mod control;
pub mod end_to_end;
mod establish;
pub mod fleet;
pub mod flows;
mod flows_report;
pub mod kernel;
pub mod machine;
pub mod packet;
mod plot;
pub mod primitive;
pub mod report;
pub mod sample;
pub mod scale;
pub mod scene;
mod shared_tables;
pub mod size;
pub mod timing;

use std::path::PathBuf;

use anyhow::Result;

use self::{
    machine::Machine,
    report::{Report, Table},
    timing::Effort,
};
use crate::command;

/// A part of the bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Nanoseconds per packet, case by case, and of primitives.
    Packet,
    /// Nanoseconds per packet with up to four million flows.
    Flows,
    /// Real connections, beside `HAProxy`, nginx and nftables.
    EndToEnd,
    /// Time that the control plane takes.
    Control,
    /// Time and memory of the daemon as it grows.
    Scale,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Packet,
        Self::Flows,
        Self::EndToEnd,
        Self::Control,
        Self::Scale,
    ];

    /// `alone`, if nothing else is measured.
    fn measure(self, effort: Effort, alone: bool) -> Result<Vec<Table>> {
        match self {
            Self::Packet => machine::on_one_cpu(|| {
                Ok(vec![
                    primitive::measure(effort)?,
                    packet::measure(effort)?,
                    size::measure()?,
                ])
            }),
            Self::Flows => machine::on_one_cpu(|| flows::measure(effort, &flows::SIZES)),
            Self::EndToEnd => end_to_end::measure(effort, alone),
            Self::Control => Ok(control::measure(effort)),
            Self::Scale => scale::measure(),
        }
    }
}

/// Measures these parts one after the other, and prints each when it is done.
pub fn run(parts: &[Part], effort: Effort) -> Result<Report> {
    let machine = Machine::new()?;
    println!("{machine}");
    let mut report = Report {
        machine,
        tables: Vec::new(),
    };
    for part in parts {
        let tables = part.measure(effort, parts.len() == 1)?;
        tables.iter().for_each(Table::print);
        report.tables.extend(tables);
    }
    Ok(report)
}

/// Where the report goes: `target/bench/report.json`.
pub fn report_file() -> Result<PathBuf> {
    Ok(directory()?.join("report.json"))
}

/// Where reports and pictures go.
fn directory() -> Result<PathBuf> {
    Ok(command::target_directory()?.join("bench"))
}
