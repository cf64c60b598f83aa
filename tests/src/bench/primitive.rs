//! What single look-ups and helpers cost: the distance of the packet path from what is possible at all.

use anyhow::{Context as _, Result};

use super::{
    kernel::{Kernel, SMALLEST},
    report::{Row, Table, columns},
    sample::Sample,
    scene::{Ends, Kind, Protocol},
    timing::{Effort, Timed, in_turn, once},
};
use crate::Family;

/// Bench programs, and what they do.
const PROGRAMS: [(&str, &str); 17] = [
    ("floor_swap", "parse, swap MAC addresses"),
    ("array", "array look-up"),
    ("per_cpu_array", "per-CPU array look-up"),
    ("compare_and_swap", "array look-up, compare-and-swap"),
    ("hash_hit", "kernel hash, 16-byte key, hit"),
    ("hash_miss", "kernel hash, 16-byte key, miss"),
    ("hash_update", "kernel hash, 16-byte key, update"),
    ("long_hash_hit", "kernel hash, 40-byte key, hit"),
    ("long_hash_update", "kernel hash, 40-byte key, update"),
    ("lru_hit", "kernel LRU hash, 16-byte key, hit"),
    ("lru_miss", "kernel LRU hash, 16-byte key, miss"),
    ("lru_update", "kernel LRU hash, 16-byte key, update"),
    ("ktime", "bpf_ktime_get_ns"),
    ("ktime_coarse", "bpf_ktime_get_coarse_ns"),
    ("jiffies", "bpf_jiffies64"),
    ("processor", "bpf_get_smp_processor_id"),
    ("redirect", "bpf_redirect"),
];

/// Those that put the entries there that others look up.
const FILLING: [&str; 3] = ["hash_update", "long_hash_update", "lru_update"];

/// Measures all of them.
pub fn measure(effort: Effort) -> Result<Table> {
    let mut kernel = Kernel::load(&SMALLEST, &[])?;
    let frame = Ends::of_client(0, Family::V4).frame(Protocol::Tcp, Kind::Data, 22);
    for program in FILLING {
        once(&mut kernel, &Timed::tx(program, &frame), 1)?;
    }
    let names = PROGRAMS.map(|(program, _)| program);
    let programs: Vec<_> = ["floor_tx"]
        .iter()
        .chain(&names)
        .map(|program| Timed::tx(program, &frame))
        .collect();
    let samples = in_turn(&mut kernel, effort.in_pieces(), &programs)?;
    let (floor, samples) = samples.split_first().context("the floor was not measured")?;
    let rows = PROGRAMS
        .iter()
        .zip(samples)
        .map(|((_, name), sample)| row(name, floor, sample))
        .collect();
    Ok(Table {
        name: "primitives",
        title: "Primitives, warm caches: nanoseconds above a program that returns XDP_TX".to_owned(),
        notes: vec!["The mean of the fastest twentieth, beside it the median.".to_owned()],
        columns: columns(&[
            ("above_floor_ns", "above floor ns", 1),
            ("above_floor_median_ns", "median ns", 1),
            ("ratio_to_floor", "× floor", 2),
            ("floor_ns", "floor ns", 1),
        ]),
        rows,
    })
}

fn row(name: &str, floor: &Sample, sample: &Sample) -> Row {
    let figures = [
        sample.least() - floor.least(),
        sample.median() - floor.median(),
        sample.least() / floor.least(),
        floor.least(),
    ];
    Row::new(name, figures.map(Some))
}
