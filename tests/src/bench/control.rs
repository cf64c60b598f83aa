//! What the control plane takes to build, to install and to change.

use std::{
    hint::black_box,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Result;
use lb_common::memory::Memory;
use lb_user::{
    config,
    control::{
        self, Control,
        maglev::{self, Candidate},
    },
    dataplane::Object,
    health::{Event, State},
};

use super::{
    fleet::Fleet,
    machine,
    report::{Row, Table, columns},
    sample::Sample,
    scene,
    timing::Effort,
};

const TABLE_SIZE: u32 = 65_537;

/// Sizes of a choice table's set of backends.
const CANDIDATES: [u32; 3] = [10, 100, 1000];

/// Services and backends of each.
const FLEETS: [(u32, u32); 5] = [(10, 100), (100, 10), (100, 100), (1000, 60), (1000, 100)];

/// Backends that change one after the other.
const CHANGES: u32 = 50;

/// Measures all of it.
#[must_use]
pub fn measure(effort: Effort) -> Vec<Table> {
    vec![choice_tables(effort), installations()]
}

fn choice_tables(effort: Effort) -> Table {
    let stores = milliseconds(effort, || {
        let mut slots = vec![0_u32; TABLE_SIZE as usize];
        slots.iter_mut().zip(0..).for_each(|(slot, value)| *slot = value);
        black_box(slots);
    });
    let rows = CANDIDATES.map(|count| {
        let all: Vec<Candidate> = (0..count).map(candidate).collect();
        let built = milliseconds(effort, || {
            drop(black_box(maglev::build(TABLE_SIZE, black_box(&all))));
        });
        let (before, after) = (
            maglev::build(TABLE_SIZE, &all),
            maglev::build(TABLE_SIZE, &all[1..]),
        );
        let changed = before
            .iter()
            .zip(&after)
            .filter(|(before, after)| before != after);
        let changed = u32::try_from(changed.count()).unwrap_or(u32::MAX);
        let least = f64::from(TABLE_SIZE) / f64::from(count);
        let goal = (count == 1000).then_some(3.0);
        Row::new(
            format!("{count} backends"),
            [
                Some(built.min()),
                Some(built.median()),
                goal,
                Some(built.min() / stores.min()),
                Some(f64::from(changed)),
                Some(f64::from(changed) / least),
            ],
        )
    });
    Table {
        name: "choice_table",
        title: format!("Choice table of {TABLE_SIZE} slots"),
        notes: vec![
            "Changed: slots with another backend after one backend has left; the least is its own."
                .to_owned(),
        ],
        columns: columns(&[
            ("build_min_ms", "build, min ms", 3),
            ("build_median_ms", "median ms", 3),
            ("goal_ms", "goal ms", 0),
            ("build_to_stores", "× filling the slots", 0),
            ("changed", "changed", 0),
            ("changed_to_least", "× least", 2),
        ]),
        rows: rows.to_vec(),
    }
}

fn candidate(index: u32) -> Candidate {
    let [.., high, low] = index.to_be_bytes();
    Candidate {
        index,
        identity: maglev::identity(SocketAddr::from(([10, 1, high, low], 9030))),
        weight: 100,
    }
}

fn milliseconds(effort: Effort, mut work: impl FnMut()) -> Sample {
    let once = |_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64() * 1e3
    };
    (0..=effort.rounds).map(once).skip(1).collect()
}

fn installations() -> Table {
    let (mut rows, mut notes) = (Vec::new(), Vec::new());
    for (services, backends) in FLEETS {
        let fleet = Fleet { services, backends };
        match install(fleet) {
            Ok(figures) => rows.push(Row::new(fleet.to_string(), figures)),
            Err(error) => notes.push(format!("{fleet}: {error:#}")),
        }
    }
    notes.push(
        "All up: every check's result and every next hop taken in, and all choice tables stored. Change: from a \
         check's result until the last slot is stored in the kernel's memory. Goals, of 1000 × 100: all up in 1,000 ms \
         from the start, a change in 10 ms."
            .to_owned(),
    );
    Table {
        name: "control",
        title: "Control plane over the kernel's tables: milliseconds".to_owned(),
        notes,
        columns: columns(&[
            ("parse_ms", "parse", 1),
            ("load_ms", "load", 1),
            ("install_ms", "install", 2),
            ("all_up_ms", "all up", 1),
            ("start_ms", "sum", 1),
            ("start_us_per_backend", "µs/backend", 2),
            ("change_min_ms", "change, min", 3),
            ("change_median_ms", "median", 3),
            ("change_max_ms", "max", 3),
            ("statistics_ms", "statistics", 2),
            ("statistics_bytes", "their bytes", 0),
        ]),
        rows,
    }
}

/// The figures of a row of [`installations`].
fn install(fleet: Fleet) -> Result<Vec<Option<f64>>> {
    let text = fleet.to_toml("interfaces = [\"lo\"]\nmax_flows = 1024", "{ type = \"tcp\" }")?;
    let mut clock = Clock(Instant::now());
    let config = config::parse(&text, Path::new("fleet.toml"))?;
    let parse = clock.lap();
    let cpus = u32::try_from(machine::processors()?)?;
    let object = Object::load(&control::capacity(&config, cpus + 1))?;
    let memory = object.memory();
    let load = clock.lap();
    let mut control = Control::new(config, &memory)?;
    control.install(&memory)?;
    let install = clock.lap();
    for target in control.targets() {
        control.checked(&memory, [scene::is_up(target.id)]);
    }
    let next_hops = scene::next_hops(control::destinations(control.config()), scene::INTERFACE);
    control.resolved(&memory, &next_hops);
    let all_up = clock.lap();
    let change = changes(&mut control, &memory, fleet);
    let mut clock = Clock(Instant::now());
    let document = serde_json::to_string(&control.statistics(&memory, "xdp"))?;
    let statistics = clock.lap();
    let start = parse + load + install + all_up;
    #[expect(clippy::cast_precision_loss, reason = "megabytes")]
    let bytes = document.len() as f64;
    let figures = [
        parse,
        load,
        install,
        all_up,
        start,
        1e3 * start / f64::from(fleet.total()),
        change.min(),
        change.median(),
        change.max(),
        statistics,
        bytes,
    ];
    Ok(figures.map(Some).to_vec())
}

/// A backend after the other goes down and comes up again; milliseconds of each such change.
fn changes(control: &mut Control, memory: &Memory<'_>, fleet: Fleet) -> Sample {
    let step = (fleet.total() / CHANGES).max(1);
    let mut sample = Sample::default();
    for number in 0..CHANGES.min(fleet.total()) {
        for state in [State::Down, State::Up] {
            let event = Event {
                state,
                ..scene::is_up(number * step)
            };
            let mut clock = Clock(Instant::now());
            control.checked(memory, [event]);
            sample.push(clock.lap());
        }
    }
    sample
}

/// Milliseconds since the last lap.
struct Clock(Instant);

impl Clock {
    fn lap(&mut self) -> f64 {
        let elapsed: Duration = self.0.elapsed();
        self.0 = Instant::now();
        elapsed.as_secs_f64() * 1e3
    }
}
