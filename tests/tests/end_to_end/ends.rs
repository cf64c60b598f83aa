//! Connections whose backend falls silent: no FIN, no RST, its cable is cut.

use std::{
    io::ErrorKind,
    net::TcpStream,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lab::{CheckTimes, Family, Lab, Role, Wiring};

use crate::{
    connection::Connection,
    story::{usual, with_daemon},
};

/// Connections that the backend has when it happens.
const OPEN: usize = 200;

/// For starting processes and looking at them, on a machine that is busy.
const MARGIN: Duration = Duration::from_secs(3);

/// Slow enough for connections to be tried, and to be moved, before the checks notice: three to four seconds.
const SLOW: CheckTimes = CheckTimes {
    inter: Duration::from_secs(1),
    timeout: Duration::from_secs(1),
    rise: 1,
    fall: 3,
};

#[test]
fn connections_of_a_backend_that_fell_silent_are_reset_once_its_check_marks_it_down() {
    are_reset_on(Wiring::TwoArmed);
}

#[test]
fn connections_of_a_backend_that_fell_silent_are_reset_over_one_arm() {
    are_reset_on(Wiring::OneArmed);
}

fn are_reset_on(wiring: Wiring) {
    with_daemon(usual().wiring(wiring), |lab| {
        let (lost, kept) = open(lab)?;
        cut(lab, 2)?;
        let limit = CheckTimes::BRISK.until_down() + MARGIN;
        let took = lab.daemon()?.wait_for_state("web", "be2", "down", limit)?;
        let began = Instant::now();
        for mut connection in lost {
            let error = connection
                .ask()
                .expect_err("a backend without a cable has answered");
            let reset = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
            ensure!(reset == Some(ErrorKind::ConnectionReset), "{error:#}");
        }
        println!(
            "down after {took:?}; all {OPEN} connections were reset at their next write, within {:?}; {} others go on",
            began.elapsed(),
            kept.len()
        );
        for mut connection in kept {
            connection.work()?;
        }
        let stats = lab.daemon()?.stats()?;
        let resets = stats.packets.reasons["backend_down"];
        ensure!(resets >= OPEN as u64, "{resets} counted for {OPEN} connections");
        Ok(())
    });
}

/// Opens connections until enough are of the backend that will fall silent; those, and the others.
fn open(lab: &Lab) -> Result<(Vec<Connection>, Vec<Connection>)> {
    let (mut lost, mut kept) = (Vec::new(), Vec::new());
    while lost.len() < OPEN {
        let opened = Connection::open_to_web(lab, OPEN - lost.len())?;
        let (more_lost, more_kept): (Vec<_>, Vec<_>) = opened
            .into_iter()
            .partition(|connection| connection.backend == "be2");
        lost.extend(more_lost);
        kept.extend(more_kept);
    }
    Ok((lost, kept))
}

#[test]
fn new_connections_are_moved_before_the_checks_notice() {
    with_daemon(usual().check(SLOW), |lab| {
        let target = lab.web(Family::V4);
        cut(lab, 2)?;
        let took = lab.client().run(move || {
            let attempts: Vec<_> = (0..30)
                .map(|_| {
                    std::thread::spawn(move || {
                        let began = Instant::now();
                        TcpStream::connect(target).map(|_| began.elapsed())
                    })
                })
                .collect();
            let joined = attempts
                .into_iter()
                .map(|attempt| attempt.join().expect("no panic"));
            Ok(joined.collect::<std::io::Result<Vec<_>>>()?)
        })?;
        let state = lab.daemon()?.backend_state("web", "be2")?;
        let moved = took
            .iter()
            .filter(|took| **took > Duration::from_millis(500))
            .count();
        let slowest = took.iter().max().context("no connection")?;
        println!(
            "30 of 30 connections opened, {moved} of them moved, the slowest after {slowest:?}; be2 is {state}"
        );
        ensure!(moved > 0, "none went to be2: the test proves nothing");
        ensure!(state == "up", "the checks were faster: the test proves nothing");
        let web = &lab.daemon()?.stats()?.services[0];
        let be2 = web.backends.iter().find(|backend| backend.name == "be2");
        let retries = be2.context("no be2")?.counters.retries;
        ensure!(
            retries >= moved as u64,
            "{retries} counted for {moved} that were moved"
        );
        Ok(())
    });
}

/// Cuts a backend's cable.
fn cut(lab: &Lab, number: u8) -> Result<()> {
    let backend = lab.namespace(Role::Backend(number)).context("no such backend")?;
    backend.ip_batch("link set eth0 down")
}
