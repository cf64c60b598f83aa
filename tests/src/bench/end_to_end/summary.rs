//! The tables of the end-to-end part.

use super::{
    GOAL, LENGTH, Pair, Plan, REFERENCE,
    load::{Load, Measurement},
    target::Target,
};
use crate::bench::{
    report::{self, Column, Row, Table},
    sample::Sample,
};

/// One table for each load.
pub(super) fn tables(pairs: &[Pair], plan: Plan) -> Vec<Table> {
    Load::ALL.iter().map(|load| table(pairs, *load, plan)).collect()
}

/// Medians of one target's measurements.
struct Medians {
    /// Units per second.
    rate: f64,
    /// How far rates spread.
    spread: f64,
    /// Rate as a multiple of the reference's, and by how much that may be off.
    ratio: (f64, f64),
    /// CPU time per unit, in microseconds.
    cpu: f64,
    /// How much more that is than the reference's, and by how much that may be off.
    added: (f64, f64),
    /// Milliseconds that half of the requests, 99 and 99.9 of a hundred took at most.
    latency: Option<[f64; 3]>,
    /// Of all measurements together.
    failed: u64,
}

fn table(pairs: &[Pair], load: Load, plan: Plan) -> Table {
    let rows = Target::ALL.into_iter().filter_map(|target| {
        let of = |pair: &&Pair| pair.load == load && pair.target == target;
        let medians = medians(&pairs.iter().filter(of).collect::<Vec<_>>())?;
        Some(Row::new(target.to_string(), figures(load, &medians)))
    });
    Table {
        name: match load {
            Load::Short => "short_connections",
            Load::KeepAlive => "keep_alive",
            Load::Bulk => "bulk",
            Load::Datagrams => "datagrams",
        },
        title: format!("End to end, {}", describe(load)),
        notes: vec![format!(
            "Medians of {} times {} s ({} for `{GOAL}`), targets in turn. What is added to, or a multiple of, \
             `{REFERENCE}` is so beside that in the second before or after; ± is that median's standard error. CPU is \
             the whole machine's, client and backend included.",
            plan.total_of(REFERENCE, load),
            LENGTH.as_secs(),
            plan.total_of(GOAL, load),
        )],
        columns: columns(load),
        rows: rows.collect(),
    }
}

fn describe(load: Load) -> &'static str {
    match load {
        Load::Short => "short connections: 64 clients of wrk, a connection for each request",
        Load::KeepAlive => "keep-alive: 64 connections of wrk",
        Load::Bulk => "bulk: 4 connections download 32 MiB again and again, no segmentation offload anywhere",
        Load::Datagrams => "UDP: 4 flows with 32 datagrams of 64 bytes under way, there and back",
    }
}

fn columns(load: Load) -> Vec<Column> {
    let unit = load.unit();
    let (rate_key, rate) = match load {
        Load::Bulk => ("gigabits_per_second", "Gbit/s".to_owned()),
        _ => ("per_second", format!("{unit}s/s")),
    };
    let digits = if load == Load::Bulk { 2 } else { 0 };
    let cpu = format!("CPU µs/{unit}");
    report::columns(&[
        (rate_key, rate.as_str(), digits),
        ("rate_to_direct", "× direct", 3),
        ("rate_to_direct_error", "±", 3),
        ("p50_ms", "p50 ms", 2),
        ("p99_ms", "p99 ms", 2),
        ("p999_ms", "p99.9 ms", 2),
        ("cpu_us", &cpu, 1),
        ("cpu_added_us", "added µs", 1),
        ("cpu_added_error_us", "± µs", 1),
        ("failed", "failed", 0),
        ("spread_percent", "spread %", 0),
    ])
}

#[expect(clippy::cast_precision_loss, reason = "failures are few")]
fn figures(load: Load, medians: &Medians) -> Vec<Option<f64>> {
    // Megabytes to gigabits.
    let scale = if load == Load::Bulk { 8.0 / 1000.0 } else { 1.0 };
    let latency = |index: usize| medians.latency.map(|latency| latency[index]);
    vec![
        Some(medians.rate * scale),
        Some(medians.ratio.0),
        Some(medians.ratio.1),
        latency(0),
        latency(1),
        latency(2),
        Some(medians.cpu),
        Some(medians.added.0),
        Some(medians.added.1),
        Some(medians.failed as f64),
        Some(100.0 * medians.spread),
    ]
}

/// `None` where nothing was measured.
fn medians(pairs: &[&Pair]) -> Option<Medians> {
    let first = pairs.first()?.measured;
    let of = |figure: &dyn Fn(&Pair) -> f64| pairs.iter().map(|pair| figure(pair)).collect::<Sample>();
    let with_error = |sample: Sample| (sample.median(), sample.error());
    let latency = |index: usize| {
        let figures = pairs
            .iter()
            .filter_map(|pair| Some(pair.measured.latency?[index]));
        figures.collect::<Sample>().median()
    };
    let rates = of(&|pair| rate(&pair.measured));
    Some(Medians {
        rate: rates.median(),
        spread: rates.spread(),
        ratio: with_error(of(&|pair| rate(&pair.measured) / rate(&pair.reference))),
        cpu: of(&|pair| cpu(&pair.measured)).median(),
        added: with_error(of(&|pair| cpu(&pair.measured) - cpu(&pair.reference))),
        latency: first.latency.map(|_| [0, 1, 2].map(latency)),
        failed: pairs.iter().map(|pair| pair.measured.failed).sum(),
    })
}

/// Units per second.
fn rate(one: &Measurement) -> f64 {
    one.units / one.elapsed.as_secs_f64()
}

/// Microseconds of CPU time per unit.
fn cpu(one: &Measurement) -> f64 {
    1e6 * one.cpu.as_secs_f64() / one.units
}
