//! Nanoseconds per packet, case by case, with warm caches.

mod bench;
mod case;

use anyhow::{Context as _, Result};

use self::{
    bench::{Bench, Measured},
    case::{Case, cases},
};
use super::{
    report::{Row, Table, columns},
    sample::Sample,
    timing::Effort,
};

/// The floor of the machine that the goals were set on, in nanoseconds.
const FLOOR_OF_GOALS: f64 = 21.0;

/// Measures all cases.
pub fn measure(effort: Effort) -> Result<Table> {
    let effort = effort.in_pieces();
    let measured = in_rounds(cases(), effort)?;
    let floor = floor(&measured);
    let rows = measured.iter().map(|measured| row(measured, &floor)).collect();
    Ok(Table {
        name: "packet",
        title: "Packet path, warm caches: nanoseconds per packet in the kernel's test run".to_owned(),
        notes: notes(effort),
        columns: columns(&[
            ("above_floor_ns", "above floor ns", 1),
            ("above_floor_median_ns", "median ns", 1),
            ("ratio_to_floor", "× floor", 2),
            ("goal_ns", "goal ns", 1),
            ("ratio_to_goal", "× goal", 2),
            ("floor_ns", "floor ns", 1),
        ]),
        rows,
    })
}

/// Nanoseconds of the floor, and of an established TCP flow's packet over IPv4 above it.
pub fn established(effort: Effort) -> Result<(f64, f64)> {
    let measured = in_rounds(cases().into_iter().take(1), effort)?;
    let net = measured.first().context("there are no cases")?.net(Sample::least);
    Ok((floor(&measured).least(), net))
}

/// Times all cases in every round, so that a noisy minute meets them all and a quiet one too.
fn in_rounds(cases: impl IntoIterator<Item = Case>, effort: Effort) -> Result<Vec<Measured>> {
    let mut bench = Bench::default();
    let mut measured = (0..)
        .zip(cases)
        .map(|(client, case)| bench.prepare(case, client))
        .collect::<Result<Vec<_>>>()?;
    for round in 0..=effort.rounds {
        for measured in &mut measured {
            let times = bench.time(measured, effort.repeat);
            let times = times.with_context(|| format!("case `{}`", measured.case.name))?;
            // The first is to warm up.
            if round > 0 {
                measured.push(times);
            }
        }
    }
    Ok(measured)
}

/// The floor is the same program in all cases.
fn floor(measured: &[Measured]) -> Sample {
    let floors = measured.iter().flat_map(|measured| measured.floor.values());
    floors.collect()
}

fn notes(effort: Effort) -> Vec<String> {
    vec![
        format!(
            "{} rounds through all rows, of {} runs each: the mean of the fastest twentieth, beside it the median. A \
             wrapper puts the header of a forwarded packet back after each run, and what it costs alone, measured in \
             the same rounds, is taken off.",
            effort.rounds, effort.repeat
        ),
        "New flows: each run is a new client; the wrapper empties two buckets in turn, so that none has more \
         than one flow's entries on average."
            .to_owned(),
        format!("The goals are those of a machine with a floor of {FLOOR_OF_GOALS} ns, scaled to this one's."),
    ]
}

fn row(measured: &Measured, floor: &Sample) -> Row {
    let (floor, net) = (floor.least(), measured.net(Sample::least));
    let goal = measured.case.goal.map(|goal| goal * floor / FLOOR_OF_GOALS);
    let figures = [
        Some(net),
        Some(measured.net(Sample::median)),
        Some((floor + net) / floor),
        goal,
        goal.map(|goal| net / goal),
        Some(floor),
    ];
    Row::new(measured.case.name, figures)
}
