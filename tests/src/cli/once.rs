//! `run --once`: a fixed load, a summary, and a verdict.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use lab::{
    Builder, Dataplane, Family, Lab,
    load::{Report, Requests},
};

use super::{
    events::{Event, Events},
    explained,
};

/// How far a backend's share may be from the even one, as a part of it.
const TOLERATED_UNEVENNESS: f64 = 0.15;

/// Makes the lab and the load; an error unless every request was answered by a healthy backend, evenly, through the
/// engine that was asked for.
pub(crate) fn run(requests: u64, dataplane: Dataplane) -> Result<()> {
    let events = Events::with_signals()?;
    let mut lab = Builder::new().dataplane(dataplane).build()?;
    let verdict = measure(&mut lab, &events, requests, dataplane);
    explained(&lab, verdict)
}

fn measure(lab: &mut Lab, events: &Events, requests: u64, dataplane: Dataplane) -> Result<()> {
    lab.start_daemon()?;
    let load = Requests::new(lab.web(Family::V4), requests).start(lab.client());
    while !load.is_finished() {
        if let Some(Event::Quit) = events.next(Duration::from_millis(100))? {
            bail!("interrupted");
        }
    }
    let report = load.wait()?;
    print!("{report}");
    check_engine(lab, dataplane)?;
    check_answers(lab, &report)
}

/// Says how each interface is attached; an error if that is not what was asked for.
fn check_engine(lab: &Lab, asked: Dataplane) -> Result<()> {
    for interface in lab.daemon()?.status()?.interfaces {
        let why = interface.why.map_or_else(String::new, |why| format!(" ({why})"));
        println!("  {}: {}{why}", interface.name, interface.mode);
        ensure!(
            asked == Dataplane::Auto || interface.mode == asked.to_string(),
            "{} is attached as {}, not as {asked}",
            interface.name,
            interface.mode
        );
    }
    Ok(())
}

fn check_answers(lab: &Lab, report: &Report) -> Result<()> {
    let backends = lab.backend_names();
    ensure!(
        report.failed == 0,
        "{} of {} requests failed",
        report.failed,
        report.requests()
    );
    for backend in report.answered.keys() {
        let state = lab.daemon()?.backend_state("web", backend)?;
        ensure!(
            state == "up",
            "{backend} answered, but the daemon says that it is {state}"
        );
    }
    let unevenness = report.unevenness(&backends);
    ensure!(
        unevenness <= TOLERATED_UNEVENNESS,
        "a backend's share is {:.0} % away from even, more than {:.0} %",
        100.0 * unevenness,
        100.0 * TOLERATED_UNEVENNESS
    );
    println!(
        "all requests answered by healthy backends, shares within {:.1} % of even",
        100.0 * unevenness
    );
    Ok(())
}
