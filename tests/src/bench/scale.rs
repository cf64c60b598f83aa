//! How the real daemon grows: with services, with backends, with checks.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{
    fleet::Fleet,
    plot::{self, Line},
    report::{Row, Table, columns},
};
use crate::{Builder, Daemon, Family, Lab, Role, Wiring, backend::Process, observe, wait_for};

/// Services and backends of each: growth in one, then in the other.
const GROWTH: [(u32, u32); 7] = [(1, 1), (10, 1), (100, 1), (1000, 1), (1, 10), (1, 100), (1, 1000)];

/// The fleet of the goal for the start.
const LARGE: Fleet = Fleet {
    services: 1000,
    backends: 100,
};

/// The longest that its start may take until all backends take flows, in milliseconds.
const START_GOAL: f64 = 1000.0;

/// The fleet of the goal for memory.
const CHECKED: Fleet = Fleet {
    services: 100,
    backends: 100,
};

/// The most resident memory that the daemon may have with that, in megabytes.
const MEMORY_GOAL: f64 = 40.0;

/// Checks at two thousand a second, on a machine that has other things to do.
const LIMIT: Duration = Duration::from_mins(2);

/// Measures all of it, and draws it.
pub fn measure() -> Result<Vec<Table>> {
    let lab = Builder::new().wiring(Wiring::TwoArmed).backends(1).build()?;
    let _backends = serve_all(&lab)?;
    let mut rows = Vec::new();
    let mut points = Vec::new();
    for (services, backends) in GROWTH {
        let fleet = Fleet { services, backends };
        let figures = unchecked(&lab, fleet).with_context(|| format!("{fleet:?}"))?;
        points.push((fleet, figures));
        rows.push(row(fleet, &figures, &points[0].1));
    }
    plot(&points)?;
    Ok(vec![
        Table {
            name: "growth",
            title: "The daemon with more and more services or backends, unchecked".to_owned(),
            notes: vec![
                "Start: until the control socket answers. Up: until all backends take flows. Stats: a run of \
                 `ballast stats --json`. Memory: resident; tables are the kernel's memory, mapped. Drawn in \
                 target/bench/growth.svg."
                    .to_owned(),
            ],
            columns: columns(&COLUMNS),
            rows,
        },
        large(&lab)?,
        checked(&lab)?,
    ])
}

/// The daemon with a hundred thousand backends.
fn large(lab: &Lab) -> Result<Table> {
    let figures = unchecked(lab, LARGE).with_context(|| format!("{LARGE:?}"))?;
    let row = [
        figures.start,
        figures.up,
        START_GOAL,
        figures.up / START_GOAL,
        figures.stats,
        figures.memory.own,
        figures.memory.mapped,
    ];
    Ok(Table {
        name: "large",
        title: format!("The daemon with {} backends, unchecked", LARGE.total()),
        notes: vec!["The goal is about the time until all backends take flows.".to_owned()],
        columns: columns(&[
            ("start_ms", "start ms", 0),
            ("up_ms", "up ms", 0),
            ("goal_ms", "goal ms", 0),
            ("ratio_to_goal", "× goal", 2),
            ("stats_ms", "stats ms", 1),
            ("own_mb", "own memory MB", 1),
            ("tables_mb", "tables MB", 1),
        ]),
        rows: vec![Row::new(LARGE.to_string(), row.map(Some))],
    })
}

/// Makes the lab's one backend stand for all: every address of their network is its own.
fn serve_all(lab: &Lab) -> Result<Process> {
    let backend = lab.backends()[0].namespace();
    let gateway = Wiring::TwoArmed.address(Role::Backend(1), Family::V4);
    backend.ip_batch(&format!("route add local {} dev lo\n", Fleet::NETWORK))?;
    lab.balancer()
        .ip_batch(&format!("route add {} via {gateway}\n", Fleet::NETWORK))?;
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, Fleet::PORT));
    Process::start("all", backend.clone(), vec![any])
}

const COLUMNS: [(&str, &str, usize); 8] = [
    ("start_ms", "start ms", 0),
    ("start_ratio", "× first", 2),
    ("up_ms", "up ms", 0),
    ("stats_ms", "stats ms", 1),
    ("stats_ratio", "× first", 2),
    ("own_mb", "own memory MB", 1),
    ("tables_mb", "tables MB", 1),
    ("own_bytes_per_backend", "own bytes/backend", 0),
];

/// What a daemon takes.
#[derive(Debug, Clone, Copy)]
struct Figures {
    start: f64,
    up: f64,
    stats: f64,
    memory: observe::Memory,
}

fn row(fleet: Fleet, figures: &Figures, first: &Figures) -> Row {
    Row::new(
        fleet.to_string(),
        [
            Some(figures.start),
            Some(figures.start / first.start),
            Some(figures.up),
            Some(figures.stats),
            Some(figures.stats / first.stats),
            Some(figures.memory.own),
            Some(figures.memory.mapped),
            Some(1e6 * figures.memory.own / f64::from(fleet.total())),
        ],
    )
}

fn unchecked(lab: &Lab, fleet: Fleet) -> Result<Figures> {
    let (daemon, start, up) = start(lab, fleet, "{ type = \"none\" }")?;
    let asked = Instant::now();
    daemon.stats()?;
    let stats = milliseconds(asked.elapsed());
    let figures = Figures {
        start,
        up,
        stats,
        memory: observe::memory(daemon.status()?.pid)?,
    };
    daemon.stop()?;
    Ok(figures)
}

/// Starts a daemon. Returns it, and the milliseconds until it answered and until all its backends were up.
fn start(lab: &Lab, fleet: Fleet, check: &str) -> Result<(Daemon, f64, f64)> {
    let directory = lab.directory().path();
    let socket = directory.join("ballast.sock");
    let global = format!(
        "interfaces = [\"client\", \"be1\"]\nmax_flows = 65536\nstate_dir = \"{}/state\"\nsocket = \"{}\"",
        directory.display(),
        socket.display()
    );
    let file = lab.write_config(&fleet.to_toml(&global, check)?)?;
    let began = Instant::now();
    let daemon = Daemon::start(lab.ballast()?, &file, socket, &directory.join("ballast.log"))?;
    let started = milliseconds(began.elapsed());
    wait_for("all backends to be up", LIMIT, || {
        // A daemon that is busy with its start may not answer in time.
        let up = daemon.status().map_or(0, |status| status.services_up);
        Ok((up == fleet.services as usize).then_some(()))
    })?;
    Ok((daemon, started, milliseconds(began.elapsed())))
}

/// Ten thousand backends with a TCP check each, every five seconds.
fn checked(lab: &Lab) -> Result<Table> {
    const WATCHED: Duration = Duration::from_secs(10);

    let (daemon, _, up) = start(lab, CHECKED, "{ type = \"tcp\", inter = \"5s\" }")?;
    let pid = daemon.status()?.pid;
    let before = processor_time(pid)?;
    // Two rounds of checks: what they need is in the figures, and nothing is waited for.
    std::thread::sleep(WATCHED);
    let worked = processor_time(pid)?.saturating_sub(before);
    let share = worked.as_secs_f64() / WATCHED.as_secs_f64();
    let memory = observe::memory(daemon.status()?.pid)?;
    daemon.stop()?;
    let figures = [
        memory.own,
        memory.mapped,
        MEMORY_GOAL,
        memory.own / MEMORY_GOAL,
        up,
        100.0 * share,
    ];
    Ok(Table {
        name: "checked",
        title: format!("The daemon with {} backends, each checked by TCP every 5 s", CHECKED.total()),
        notes: vec![
            "Own memory is what the goal is about; tables are the kernel's memory, mapped. The share of one CPU is \
             that of two rounds of checks."
                .to_owned(),
        ],
        columns: columns(&[
            ("own_mb", "own memory MB", 1),
            ("tables_mb", "tables MB", 1),
            ("goal_mb", "goal MB", 0),
            ("ratio_to_goal", "× goal", 2),
            ("up_ms", "all up ms", 0),
            ("cpu_percent", "CPU %", 1),
        ]),
        rows: vec![Row::new(
            CHECKED.to_string(),
            figures.map(Some),
        )],
    })
}

/// CPU time that a process has had.
fn processor_time(pid: u32) -> Result<Duration> {
    let threads = format!("/proc/{pid}/task");
    let threads = fs::read_dir(&threads).with_context(|| format!("cannot list {threads}"))?;
    let mut nanoseconds = 0;
    for thread in threads {
        let text = fs::read_to_string(thread?.path().join("schedstat"))?;
        let first = text.split(' ').next().unwrap_or_default();
        nanoseconds += first
            .parse::<u64>()
            .context("cannot understand a thread's schedstat")?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn plot(points: &[(Fleet, Figures)]) -> Result<()> {
    let line = |name, of: fn(Fleet) -> u32, figure: fn(&Figures) -> f64| Line {
        name,
        points: points
            .iter()
            // Of the two ways to grow, this one.
            .filter(|(fleet, _)| of(*fleet) == fleet.total())
            .map(|(fleet, figures)| (f64::from(of(*fleet)), figure(figures)))
            .collect(),
    };
    let services = |fleet: Fleet| fleet.services;
    let backends = |fleet: Fleet| fleet.backends;
    plot::log_log(
        "growth.svg",
        "The daemon's growth",
        ("services, or backends of one service", "milliseconds, megabytes"),
        &[
            line("start by services, ms", services, |figures| figures.start),
            line("start by backends, ms", backends, |figures| figures.start),
            line("stats by services, ms", services, |figures| figures.stats),
            line("stats by backends, ms", backends, |figures| figures.stats),
            line("memory by services, MB", services, |figures| figures.memory.own),
            line("memory by backends, MB", backends, |figures| figures.memory.own),
        ],
    )
}
