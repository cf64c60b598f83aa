//! The tables of the end-to-end part.

use super::{
    Measured, Plan,
    load::{Load, Measurement},
    target::Target,
};
use crate::bench::{
    report::{self, Column, Row, Table},
    sample::Sample,
};

/// What others are compared with.
const REFERENCE: Target = Target::Routed;

/// One table for each load.
pub(super) fn tables(measured: &[Measured], plan: Plan) -> Vec<Table> {
    Load::ALL
        .iter()
        .map(|load| table(measured, *load, plan))
        .collect()
}

/// Medians of one target's measurements.
struct Medians {
    /// Units per second.
    rate: f64,
    /// How far rates spread.
    spread: f64,
    /// Rate as a multiple of the reference's in the same round.
    ratio: Option<f64>,
    /// CPU time per unit, in microseconds.
    cpu: f64,
    /// How much more that is than the reference's in the same round, and by how much that may be off.
    added: Option<(f64, f64)>,
    /// Milliseconds that half of the requests, 99 and 99.9 of a hundred took at most.
    latency: Option<[f64; 3]>,
    /// Of all measurements together.
    failed: u64,
}

fn table(measured: &[Measured], load: Load, plan: Plan) -> Table {
    let of = |target| {
        let of = measured
            .iter()
            .filter(|measured| measured.load == load && measured.target == target);
        of.map(|measured| measured.measurement).collect::<Vec<_>>()
    };
    let reference = of(REFERENCE);
    let rows = Target::ALL.into_iter().filter_map(|target| {
        let medians = medians(&of(target), &reference)?;
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
            "Medians of {} rounds of {} s, targets in turn. What is added to, or a multiple of, `{REFERENCE}` is so within \
             a round; ± is that median's standard error. CPU is the whole machine's, client and backend included.",
            plan.rounds_of(load),
            plan.length.as_secs()
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
        ("rate_to_direct", "× direct", 2),
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
        medians.ratio,
        latency(0),
        latency(1),
        latency(2),
        Some(medians.cpu),
        medians.added.map(|(added, _)| added),
        medians.added.map(|(_, error)| error),
        Some(medians.failed as f64),
        Some(100.0 * medians.spread),
    ]
}

/// Of measurements in the order of their rounds; `None` where there are none.
fn medians(of: &[Measurement], reference: &[Measurement]) -> Option<Medians> {
    let first = of.first()?;
    let rates = of.iter().map(rate).collect::<Sample>();
    let against = |figure: fn(&Measurement, &Measurement) -> f64| {
        let figures = of.iter().zip(reference).map(|(one, other)| figure(one, other));
        (!reference.is_empty()).then(|| figures.collect::<Sample>())
    };
    let latency = |index: usize| {
        let figures = of.iter().filter_map(|one| Some(one.latency?[index]));
        figures.collect::<Sample>().median()
    };
    Some(Medians {
        rate: rates.median(),
        spread: rates.spread(),
        ratio: against(|one, other| rate(one) / rate(other)).map(|ratios| ratios.median()),
        cpu: of.iter().map(cpu).collect::<Sample>().median(),
        added: against(|one, other| cpu(one) - cpu(other)).map(|added| (added.median(), added.error())),
        latency: first.latency.map(|_| [0, 1, 2].map(latency)),
        failed: of.iter().map(|one| one.failed).sum(),
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
