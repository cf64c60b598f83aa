//! What runs is changed while packets are forwarded: by the file, and by commands.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lab::{Family, Lab, load::Requests, wait_for};

use crate::{
    connection::Connection,
    story::{Asks as _, Ended, usual, with_daemon},
};

/// How often the configuration changes under load.
const TIMES: usize = 200;

/// Connections that are open all the time.
const OPEN: usize = 60;

/// For a change to be noticed, on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn no_request_fails_and_no_connection_breaks_while_the_file_is_reloaded_again_and_again() {
    with_daemon(usual().backends(4), |lab| {
        let mut connections = open(lab, OPEN)?;
        let done = AtomicBool::new(false);
        let (report, took) = thread::scope(|scope| {
            let load = scope.spawn(|| requests_until(lab, &done));
            let took = reload_again_and_again(lab);
            done.store(true, Ordering::Relaxed);
            anyhow::Ok((load.join().expect("no panic")?, took?))
        })?;
        let (answered, failed) = report;
        println!(
            "{TIMES} reloads in {:?}, the slowest {:?}; {answered} requests meanwhile",
            took.iter().sum::<Duration>(),
            took.iter().max().context("none")?
        );
        ensure!(failed == 0, "{failed} of {answered} requests have failed");
        ensure!(answered > 1000, "hardly any load: {answered} requests");
        for connection in &mut connections {
            let backend = connection.backend.clone();
            ensure!(
                connection
                    .ask()
                    .with_context(|| format!("a connection of {backend}"))?
                    == backend
            );
        }
        Ok(())
    });
}

/// Backends come and go and change their weights; how long each order took.
fn reload_again_and_again(lab: &Lab) -> Result<Vec<Duration>> {
    let text = lab.config().to_toml();
    let (fourth, weighted) = (
        text.find("name = \"be4\"").context("no fourth")?,
        "name = \"be1\"\n",
    );
    let without_fourth = {
        let begin = text[..fourth].rfind("[[service.backend]]").context("no table")?;
        let end = text[fourth..]
            .find("[[service]]")
            .map_or(text.len(), |end| fourth + end);
        format!("{}{}", &text[..begin], &text[end..])
    };
    let mut took = Vec::new();
    for number in 0..TIMES {
        let weight = 1 + number % 200;
        let base = if number % 2 == 0 { &without_fourth } else { &text };
        lab.write_config(&base.replace(weighted, &format!("{weighted}weight = {weight}\n")))?;
        let began = Instant::now();
        let ended = lab.ask(&["reload"])?;
        took.push(began.elapsed());
        ensure!(ended.code == Some(0), "{ended:?}");
        ensure!(
            ended.stdout.contains("~ backend web/be1"),
            "nothing has changed: {ended:?}"
        );
    }
    Ok(took)
}

/// Makes requests until it is told to stop: how many, and how many failed.
fn requests_until(lab: &Lab, done: &AtomicBool) -> Result<(u64, u64)> {
    let (mut all, mut failed) = (0, 0);
    while !done.load(Ordering::Relaxed) {
        let report = Requests::new(lab.web(Family::V4), 100).run(lab.client())?;
        for failure in &report.failures {
            println!("{failure:?}");
        }
        all += report.total_answered() + report.failed;
        failed += report.failed;
    }
    Ok((all, failed))
}

#[test]
fn a_broken_file_changes_nothing_and_says_where() {
    with_daemon(usual(), |lab| {
        let text = lab.config().to_toml();
        let before = lab.daemon()?.stats()?.services;
        lab.write_config(&text.replacen("scheduler = \"maglev\"", "scheduler = \"magnet\"", 1))?;
        let refused = lab.ask(&["reload"])?;
        let line = refused.refusal()?;
        ensure!(
            line.contains("ballast.toml:") && line.contains("magnet"),
            "{line}"
        );
        lab.write_config(&text.replacen("max_flows = ", "max_flows = 1", 1))?;
        let refused = lab.ask(&["reload"])?;
        ensure!(
            refused
                .refusal()?
                .contains("`max_flows` cannot change while packets are forwarded"),
            "{refused:?}"
        );
        let names = |services: &[lb_user::stats::Service]| -> Vec<String> {
            services
                .iter()
                .map(|service| format!("{} {}", service.name, service.scheduler))
                .collect()
        };
        ensure!(names(&lab.daemon()?.stats()?.services) == names(&before));
        let report = Requests::new(lab.web(Family::V4), 100).run(lab.client())?;
        ensure!(report.failed == 0, "{report}");
        Ok(())
    });
}

#[test]
fn what_commands_change_shows_is_saved_and_outlives_a_restart() {
    with_daemon(usual(), |lab| {
        let text = format!("# precious\n{}", lab.config().to_toml());
        let file = lab.write_config(&text)?;
        ensure!(lab.ask(&["reload"])?.code == Some(0));
        for order in [
            &["backend", "drain", "web/be1"][..],
            &["backend", "maint", "web/be2"],
            &["backend", "weight", "web/be3", "7"],
            &["backend", "remove", "echo/be1"],
            &["backend", "add", "echo/be1", "10.1.1.2:9"],
            &[
                "service",
                "add",
                "more",
                "--bind",
                "10.0.0.100:81",
                "--backend",
                "be1=10.1.1.2:8080",
            ],
        ] {
            let ended = lab.ask(order)?;
            ensure!(ended.code == Some(0), "{order:?}: {ended:?}");
        }
        for (backend, state) in [("be1", "drain"), ("be2", "maint"), ("be3", "up")] {
            lab.daemon()?.wait_for_state("web", backend, state, LIMIT)?;
        }
        let report = Requests::new(lab.web(Family::V4), 100).run(lab.client())?;
        ensure!(report.answered.get("be3") == Some(&100), "{report}");
        lab.daemon()?.wait_for_state("more", "be1", "up", LIMIT)?;
        let more = std::net::SocketAddr::new(Family::V4.vip(), 81);
        let report = Requests::new(more, 20).run(lab.client())?;
        ensure!(report.answered.get("be1") == Some(&20), "{report}");

        let difference = lab.ask(&["diff"])?.stdout;
        ensure!(
            difference.contains("+state = \"drain\"") && difference.contains("+weight = 7"),
            "{difference}"
        );
        ensure!(fs::read_to_string(&file)? == text, "nothing is written unasked");
        let ran = running(lab)?;
        restart(lab, &text)?;
        wait_for("the same to run after a restart", LIMIT, || {
            Ok((running(lab)? == ran).then_some(()))
        })?;

        ensure!(lab.ask(&["save"])?.code == Some(0));
        let saved = fs::read_to_string(&file)?;
        ensure!(
            saved.starts_with("# precious\n") && saved.contains("weight = 7"),
            "{saved}"
        );
        let checked = Ended::of(lab.ballast()?.args(["check", "--config"]).arg(&file))?;
        ensure!(checked.code == Some(0), "{checked:?}");
        ensure!(lab.ask(&["diff"])?.stdout.is_empty());
        restart(lab, &saved)?;
        wait_for("the same to run from the file", LIMIT, || {
            Ok((running(lab)? == ran).then_some(()))
        })?;

        ensure!(lab.ask(&["backend", "ready", "web/be1"])?.code == Some(0));
        ensure!(lab.ask(&["rollback"])?.code == Some(0));
        ensure!(lab.daemon()?.backend_state("web", "be1")? == "drain");
        let journal = lab.ask(&["journal"])?.stdout;
        ensure!(
            journal.contains("web/be2 maint") && journal.contains("root"),
            "{journal}"
        );
        Ok(())
    });
}

/// Ends the daemon, with its packet path going on where it can, and starts the next one on a file.
fn restart(lab: &mut Lab, text: &str) -> Result<()> {
    lab.stop_daemon()?;
    lab.start_daemon_unready(text).map(drop)
}

/// What runs, but for what changes by itself.
fn running(lab: &Lab) -> Result<Vec<String>> {
    let backends = lab.daemon()?.stats()?.listed_backends();
    let told = |found: &lb_user::stats::ListedBackend| {
        let backend = &found.backend;
        format!(
            "{}/{} {} {} {}",
            found.service, backend.name, backend.address, backend.state, backend.weight
        )
    };
    Ok(backends.iter().map(told).collect())
}

fn open(lab: &Lab, count: usize) -> Result<Vec<Connection>> {
    let target = lab.web(Family::V4);
    lab.client()
        .run(|| (0..count).map(|_| Connection::open(target)).collect())
}
