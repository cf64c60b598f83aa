//! A backend dies under load and comes back.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use lab::{
    CheckTimes, Family, Lab,
    load::{Direction, Report, Requests, Running, SlowTransfer, Transfer},
    wait_for,
};

use crate::story::{TELLING, TOLERATED_UNEVENNESS, usual, with_daemon};

const CHECK: CheckTimes = CheckTimes::BRISK;

/// For starting processes and looking at them, on a machine that is busy with the load.
const MARGIN: Duration = Duration::from_secs(1);

#[test]
fn a_killed_backend_leaves_in_time_and_comes_back_to_its_share() {
    with_daemon(usual().check(CHECK), |lab| {
        let load = Requests::endless(lab.web(Family::V4)).start(lab.client());
        let killed = Instant::now();
        lab.backend("be2")?.kill()?;
        lab.daemon()?
            .wait_for_state("web", "be2", "down", CHECK.until_down() + MARGIN)?;
        let limit = killed + CHECK.until_down() + MARGIN;
        let report = load_on(load, limit, 500)?;
        assert!(
            report.failed > 0,
            "nobody noticed that be2 was dead: the load proves nothing\n{report}"
        );
        assert_eq!(failures_begun_after(&report, limit), 0, "{report}");

        lab.backend("be2")?.restart()?;
        lab.daemon()?
            .wait_for_state("web", "be2", "up", CHECK.until_up() + MARGIN)?;
        let report = Requests::new(lab.web(Family::V4), TELLING).run(lab.client())?;
        assert_eq!(report.failed, 0, "{report}");
        assert!(
            report.unevenness(&lab.backend_names()) <= TOLERATED_UNEVENNESS,
            "{report}"
        );
        Ok(())
    });
}

#[test]
fn transfers_on_the_other_backends_live_through_a_death() {
    with_daemon(usual().check(CHECK), |lab| {
        let transfers = (0..9)
            .map(|seed| start_transfer(lab, seed))
            .collect::<Result<Vec<_>>>()?;
        // Of nine transfers over three backends, the one with the fewest has at most three.
        let victim = least_used(lab, &transfers)?;
        lab.backend(&victim)?.kill()?;
        lab.daemon()?
            .wait_for_state("web", &victim, "down", CHECK.until_down() + MARGIN)?;
        let (lost, surviving): (Vec<_>, Vec<_>) = transfers
            .into_iter()
            .partition(|transfer| transfer.backend == victim);
        assert!(surviving.len() >= 6);
        let still_running = surviving.iter().all(|transfer| !transfer.is_finished());
        assert!(still_running, "a transfer ended before it could prove anything");
        for transfer in surviving {
            let report = transfer.wait()?;
            assert!(report.is_intact(), "{report:?}");
        }
        for transfer in lost {
            assert!(transfer.wait().is_err(), "a dead backend finished a transfer");
        }
        Ok(())
    });
}

/// Lets the load go on until `limit` and then for `more` requests; its report.
fn load_on(load: Running, limit: Instant, more: u64) -> Result<Report> {
    let whole = Duration::from_secs(30);
    wait_for("the time limit", whole, || {
        Ok((Instant::now() >= limit).then_some(()))
    })?;
    let goal = load.snapshot().requests() + more;
    wait_for("more requests", whole, || {
        Ok((load.snapshot().requests() >= goal).then_some(()))
    })?;
    let report = load.stop()?;
    assert_eq!(
        report.failed,
        report.failures.len() as u64,
        "too many failures to look at each"
    );
    Ok(report)
}

fn failures_begun_after(report: &Report, limit: Instant) -> usize {
    report
        .failures
        .iter()
        .filter(|failure| failure.began > limit)
        .count()
}

/// A download that outlasts a backend's death.
fn start_transfer(lab: &Lab, seed: u64) -> Result<SlowTransfer> {
    let (target, direction) = (lab.web(Family::V4), Direction::Download);
    let transfer = Transfer {
        target,
        direction,
        size: 20_000_000,
        seed,
    };
    transfer.start_slowly(lab.client(), 2 * (CHECK.until_down() + MARGIN))
}

fn least_used(lab: &Lab, transfers: &[SlowTransfer]) -> Result<String> {
    let used = |name: &String| {
        transfers
            .iter()
            .filter(|transfer| transfer.backend == *name)
            .count()
    };
    lab.backend_names()
        .into_iter()
        .min_by_key(used)
        .context("the lab has no backends")
}
