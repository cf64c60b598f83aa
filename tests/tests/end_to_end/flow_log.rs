//! The log of flows that have ended: who, when, how much and why, and that nothing is missing in it.

use std::{fs, io::Write as _, net::TcpStream, os::fd::AsFd as _, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, ensure};
use lab::{
    DaemonConfig, Family, Lab,
    backend::Process,
    load::{Echo, Requests, Transfer},
    observe::kernel_counter,
    wait_for,
};
use nix::sys::socket::{setsockopt, sockopt};
use serde_json::Value;

use crate::{
    connection::Connection,
    prometheus::curl,
    story::{Asks as _, in_lab, usual, with_daemon_that_leaves_a_packet_path},
};

/// For lines to come: a second after a connection's end, and then when that part of the table is looked at.
const LIMIT: Duration = Duration::from_secs(30);

/// Bytes of a transfer.
const SIZE: u64 = 1_000_000;

fn file(lab: &Lab) -> PathBuf {
    lab.directory().path().join("flows.json")
}

/// The lab's configuration with a flow log.
fn with_log(lab: &Lab, more: &str) -> String {
    let (text, file) = (lab.config().to_toml(), file(lab));
    format!("{text}\n[flow_log]\nto = \"{}\"\n{more}", file.display())
}

/// Tells a story in a lab whose daemon logs flows.
fn logged(more: &str, tell: impl FnOnce(&mut Lab) -> Result<()>) {
    in_lab(usual(), |lab| {
        lab.start_daemon_on(&with_log(lab, more))?;
        tell(lab)
    });
}

/// What is in a log.
fn lines_of(file: PathBuf) -> Result<Vec<Value>> {
    let text = fs::read_to_string(file)?;
    let parsed = text.lines().map(serde_json::from_str);
    parsed
        .collect::<serde_json::Result<_>>()
        .context("a line that is no JSON document")
}

/// Waits for so many lines, and for no more.
fn lines(lab: &Lab, count: usize) -> Result<Vec<Value>> {
    let mut seen = 0;
    let all = wait_for("the lines of the flow log", LIMIT, || {
        let lines = lines_of(file(lab))?;
        seen = lines.len();
        Ok((seen >= count).then_some(lines))
    });
    let (lines, _) = all.with_context(|| format!("{seen} lines of {count}"))?;
    ensure!(lines.len() == count, "{} lines for {count} flows", lines.len());
    Ok(lines)
}

fn number(line: &Value, key: &str) -> Result<u64> {
    line[key]
        .as_u64()
        .with_context(|| format!("no number {key} in {line}"))
}

fn sum(lines: &[Value], key: &str) -> Result<u64> {
    lines.iter().map(|line| number(line, key)).sum()
}

/// The most that clients and backends have sent a second time, in bytes: it counts where it passes, and they may be too quick for
/// the queues of a slow engine.
fn sent_again(lab: &Lab) -> Result<u64> {
    /// Payload of a full segment over IPv4, which has more of it than one over IPv6.
    const SEGMENT: u64 = 1460;
    let backends = lab.backends().iter().map(Process::namespace);
    let segments = backends
        .chain([lab.client()])
        .map(|namespace| kernel_counter(namespace, "Tcp", "RetransSegs"));
    Ok(segments.sum::<Result<u64>>()? * SEGMENT)
}

/// The lines' reasons, sorted.
fn reasons(lines: &[Value]) -> Vec<&str> {
    let mut reasons: Vec<_> = lines.iter().filter_map(|line| line["reason"].as_str()).collect();
    reasons.sort_unstable();
    reasons
}

#[test]
fn a_closed_connection_is_logged_with_all_that_went_through_it() {
    logged("", |lab| {
        for family in Family::ALL {
            Transfer::both_ways(lab.web(family), SIZE, lab.client())?;
        }
        let report = Requests::new(lab.web(Family::V4), 50).run(lab.client())?;
        ensure!(report.failed == 0, "{report}");
        let lines = lines(lab, 54)?;
        let again = sent_again(lab)?;
        for line in &lines {
            ensure!(line["reason"] == "fin" && line["mode"] == "full-nat", "{line}");
            ensure!(
                line["protocol"] == "tcp" && number(line, "duration_ms")? < 60_000,
                "{line}"
            );
            ensure!(line["start"].as_str() <= line["end"].as_str(), "{line}");
        }
        let is_large = |key| move |line: &&Value| line[key].as_u64().is_some_and(|bytes| bytes >= SIZE);
        for key in ["payload_in", "payload_out"] {
            let large: Vec<_> = lines.iter().filter(is_large(key)).collect();
            ensure!(large.len() == 2, "{} transfers by {key}", large.len());
            for line in large {
                // Beside the headers of a request, and what was lost on its way.
                ensure!(
                    number(line, key)? < SIZE + 10_000 + again,
                    "{again} bytes sent again, {line}"
                );
            }
        }
        let stats = lab.daemon()?.stats()?;
        let all = stats.services.iter().map(|service| &service.counters);
        let counted = all.fold([0; 4], |sum, counters| {
            let more = [
                counters.packets_in,
                counters.bytes_in,
                counters.packets_out,
                counters.bytes_out,
            ];
            [0, 1, 2, 3].map(|index: usize| sum[index] + more[index])
        });
        for (key, counted) in ["packets_in", "bytes_in", "packets_out", "bytes_out"]
            .into_iter()
            .zip(counted)
        {
            let logged = sum(&lines, key)?;
            ensure!(logged == counted, "{key}: {logged} logged, {counted} counted");
        }
        Ok(())
    });
}

#[test]
fn each_end_has_its_reason() {
    in_lab(usual(), |lab| {
        let quick = "protocol = \"tcp\"\nidle_timeout = \"4s\"\n";
        let text = with_log(lab, "").replace("protocol = \"tcp\"\n", quick);
        lab.start_daemon_on(&text)?;
        let target = lab.web(Family::V4);
        let open = |lab: &Lab| lab.client().run(move || Connection::open(target));
        reset(&open(lab)?)?;
        let killed = open(lab)?;
        let client = killed.stream().local_addr()?;
        let (_, flows) = lab.daemon()?.flows()?;
        let flow = flows.into_iter().find(|flow| flow.client == client);
        let id = flow.context("the flow is not listed")?.id.to_string();
        ensure!(lab.ask(&["flow", "kill", &id])?.code == Some(0));
        let idle = open(lab)?;
        let echo = Echo {
            target: lab.echo(Family::V4),
            flows: 1,
            datagrams: 3,
        };
        echo.run(lab.client())?;
        let told = lines(lab, 4)?;
        ensure!(
            reasons(&told) == ["idle-timeout", "idle-timeout", "killed", "rst"],
            "{told:?}"
        );
        drop(idle);
        let last = open(lab)?;
        lab.stop_daemon()?;
        let told = lines(lab, 5)?;
        ensure!(reasons(&told).last() == Some(&"stopped"), "{told:?}");
        drop(last);
        Ok(())
    });
}

/// Closes a connection by RST.
fn reset(connection: &Connection) -> Result<()> {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(&connection.stream().as_fd(), sockopt::Linger, &linger)?;
    Ok(())
}

#[test]
fn a_connection_without_a_word_is_left_out_where_that_is_wanted() {
    logged("dontlognull = true\n", |lab| {
        let target = lab.web(Family::V4);
        lab.client().run(move || {
            for _ in 0..20 {
                TcpStream::connect(target)?;
            }
            Ok(())
        })?;
        // Said after those, so that they have had their time when it is logged.
        let spoken = lab.client().run(move || Connection::open(target))?;
        let client = spoken.stream().local_addr()?.to_string();
        drop(spoken);
        let told = lines(lab, 1)?;
        ensure!(told[0]["client"] == client.as_str(), "{told:?}");
        ensure!(lab.daemon()?.stats()?.services[0].counters.flows_total == 21);
        // From now on they are, too.
        lab.write_config(&with_log(lab, ""))?;
        ensure!(lab.ask(&["reload"])?.code == Some(0));
        let silent = lab.client().run(move || Ok(TcpStream::connect(target)?))?;
        let client = silent.local_addr()?.to_string();
        drop(silent);
        let is_told = || {
            let mut lines = lines_of(file(lab))?.into_iter();
            Ok(lines.find(|line| line["client"] == client.as_str()))
        };
        let (line, _) = wait_for("a line of a silent connection", LIMIT, is_told)?;
        ensure!(number(&line, "payload_in")? == 0, "{line}");
        Ok(())
    });
}

#[test]
fn a_log_that_is_renamed_goes_on_in_a_new_file() {
    logged("", |lab| {
        let request = |lab: &Lab| Requests::new(lab.web(Family::V4), 1).run(lab.client()).map(drop);
        let old = file(lab).with_extension("1");
        request(lab)?;
        let first = lines(lab, 1)?;
        fs::rename(file(lab), &old)?;
        fs::File::create(file(lab))?.write_all(b"")?;
        request(lab)?;
        let second = lines(lab, 1)?;
        ensure!(lines_of(old)? == first && first != second, "{first:?} {second:?}");
        fs::remove_file(file(lab))?;
        ensure!(lab.ask(&["reload"])?.code == Some(0));
        ensure!(lines(lab, 0)?.is_empty(), "a reload makes the file anew");
        request(lab)?;
        lines(lab, 1)?;
        let elsewhere = with_log(lab, "").replace("flows.json", "nowhere/flows.json");
        lab.write_config(&elsewhere)?;
        let refused = lab.ask(&["reload"])?;
        ensure!(
            refused.refusal()?.contains("cannot open the flow log"),
            "{refused:?}"
        );
        lab.write_config(&lab.config().to_toml())?;
        let refused = lab.ask(&["reload"])?;
        ensure!(
            refused.refusal()?.contains("whether there is a [flow_log]"),
            "{refused:?}"
        );
        Ok(())
    });
}

#[test]
fn of_ten_thousand_short_connections_none_is_missing() {
    const CONNECTIONS: u64 = 10_000;

    logged("", |lab| {
        let report = Requests::new(lab.web(Family::V4), CONNECTIONS).run(lab.client())?;
        ensure!(report.failed == 0, "{report}");
        let opened = lab.daemon()?.stats()?.services[0].counters.flows_total;
        let (mut logged, mut lost) = (0, 0);
        let all = wait_for("every flow to be accounted for", LIMIT, || {
            let lines = lines_of(file(lab))?;
            lost = lines.iter().filter_map(|line| line["lost"].as_u64()).sum();
            logged = lines.iter().filter(|line| line["lost"].is_null()).count() as u64;
            Ok((logged + lost >= opened).then_some(()))
        });
        all.with_context(|| format!("{logged} logged and {lost} lost of {opened}"))?;
        println!("{opened} flows: {logged} logged, {lost} lost");
        ensure!(logged + lost == opened && opened >= CONNECTIONS);
        ensure!(lost < CONNECTIONS / 10, "{lost} lost");
        let metrics = curl(lab, &format!("http://{}/metrics", DaemonConfig::STATS_ADDRESS))?;
        let told = format!("ballast_flow_log_flows_total {logged}");
        ensure!(
            metrics.lines().any(|line| line == told),
            "{told} is not in {metrics}"
        );
        Ok(())
    });
}

#[test]
fn what_ends_while_there_is_no_daemon_is_logged_by_the_next_one() {
    with_daemon_that_leaves_a_packet_path(usual(), |lab| {
        // A log that begins while there are flows: what it knows of them begins then, too.
        let target = lab.web(Family::V4);
        let open = |lab: &Lab| lab.client().run(move || Connection::open(target));
        let older = open(lab)?;
        lab.kill_daemon()?;
        lab.start_daemon_on(&with_log(lab, ""))?;
        let mut younger = open(lab)?;
        let from = |connection: &Connection| connection.stream().local_addr();
        let (old, young) = (from(&older)?.to_string(), from(&younger)?.to_string());
        lab.kill_daemon()?;
        younger.work()?;
        drop((older, younger));
        lab.start_daemon_on(&with_log(lab, ""))?;
        let told = lines(lab, 2)?;
        let line_of = |client: &str| {
            let mut lines = told.iter();
            lines
                .find(|line| line["client"] == client)
                .with_context(|| format!("no {client} in {told:?}"))
        };
        let (old, young) = (line_of(&old)?, line_of(&young)?);
        ensure!(reasons(&told) == ["fin", "fin"], "{told:?}");
        ensure!(old["start"].is_null() && old["duration_ms"].is_null(), "{old}");
        ensure!(
            number(young, "packets_in")? > 5 && young["start"].is_string(),
            "{young}"
        );
        Ok(())
    });
}
