//! Packets that are told of.

use std::{
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lab::{
    Dataplane, Family, Lab,
    load::{Echo, Requests},
    observe,
};
use lb_user::trace::Packet;

use super::{LIMIT, Watching, begin};
use crate::{
    connection::Connection,
    story::{Asks as _, outlives_its_daemon, usual, with_daemon},
};

#[test]
fn a_trace_says_what_becomes_of_packets() {
    with_daemon(usual(), packets_are_followed);
}

#[test]
fn a_trace_says_the_same_on_generic_xdp() {
    with_daemon(usual().dataplane(Dataplane::XdpGeneric), packets_are_followed);
}

#[test]
fn a_trace_says_the_same_in_userspace() {
    with_daemon(usual().dataplane(Dataplane::AfPacket), packets_are_followed);
}

fn packets_are_followed(lab: &mut Lab) -> Result<()> {
    for (service, family) in [("web", Family::V4), ("web6", Family::V6)] {
        let arguments = ["trace", "--service", service, "--rate", "100000/s", "--json"];
        let mut trace = begin(lab, &arguments)?;
        a_connection_is_followed(lab, &mut trace, (service, family))?;
        let echo = Echo {
            target: lab.echo(family),
            flows: 3,
            datagrams: 3,
        };
        ensure!(echo.run(lab.client())?.lost() == 0);
        a_refusal_is_explained(lab, &mut trace, (service, family))?;
        let of = |packet: &&Packet| packet.service.as_deref() != Some(service);
        let other = trace.packets.iter().find(of);
        ensure!(other.is_none(), "not of the service: {other:?}");
        trace.kill(lab)?;
    }
    Ok(())
}

fn a_refusal_is_explained(lab: &Lab, trace: &mut Watching, (service, family): (&str, Family)) -> Result<()> {
    for number in 1..=3 {
        let done = lab.ask(&["backend", "maint", &format!("{service}/be{number}")])?;
        ensure!(done.code == Some(0), "{done:?}");
    }
    let target = lab.web(family);
    let connected = lab
        .client()
        .run(move || Ok(TcpStream::connect_timeout(&target, Duration::from_millis(200)).is_ok()))?;
    ensure!(!connected, "there is no backend");
    let refused = trace.find("a refusal", |packet| {
        packet.reason.as_deref() == Some("no_backend")
    })?;
    ensure!(
        refused.verdict == "drop" && refused.sent_to.is_none(),
        "{refused:?}"
    );
    let why = "The service has no backend that is up.";
    ensure!(refused.why.as_deref() == Some(why), "{refused:?}");
    Ok(())
}

/// A SYN goes to the backend that the connection is with, its answer comes from the virtual address, and requests follow.
fn a_connection_is_followed(
    lab: &Lab,
    trace: &mut Watching,
    (service, family): (&str, Family),
) -> Result<()> {
    let target = lab.web(family);
    let mut connection = lab.client().run(move || Connection::open(target))?;
    let client = connection.stream().local_addr()?.to_string();
    let syn = trace.find("a SYN", |packet| {
        packet.from == client && packet.flags.as_deref() == Some("SYN")
    })?;
    let target = target.to_string();
    ensure!(
        syn.to == target && syn.protocol == "tcp" && syn.verdict == "redirect",
        "{syn:?}"
    );
    ensure!(syn.service.as_deref() == Some(service), "{syn:?}");
    ensure!(
        syn.backend.as_deref() == Some(connection.backend.as_str()),
        "{syn:?}"
    );
    let number = connection.backend.trim_start_matches("be").parse()?;
    let backend = lab.direct(number, family).to_string();
    ensure!(syn.sent_to.as_deref() == Some(backend.as_str()), "{syn:?}");
    let answer = trace.find("its answer", |packet| {
        packet.from == backend && packet.sent_to.as_deref() == Some(client.as_str())
    })?;
    ensure!(answer.flags.as_deref() == Some("SYN,ACK"), "{answer:?}");
    ensure!(
        answer.to == syn.sent_from.clone().unwrap_or_default(),
        "{answer:?}"
    );
    ensure!(answer.sent_from.as_deref() == Some(target.as_str()), "{answer:?}");
    ensure!(
        answer.backend == syn.backend && answer.interface != syn.interface,
        "{answer:?}"
    );
    connection.work()?;
    trace.find("a request", |packet| {
        packet.from == client && packet.flags.as_deref() == Some("PSH,ACK") && packet.reason.is_none()
    })?;
    Ok(())
}

#[test]
fn a_trace_is_of_one_client_or_backend() {
    with_daemon(usual(), |lab| {
        let target = lab.web(Family::V4);
        let connection = lab.client().run(move || Connection::open(target))?;
        let client = connection.stream().local_addr()?;
        let chosen = connection.backend.clone();
        let other = if chosen == "be1" { "be2" } else { "be1" };
        let unknown = lab.ask(&["trace", "--service", "web", "--backend", "be9", "--count", "1"])?;
        ensure!(unknown.refusal()?.contains("no backend `be9`"), "{unknown:?}");
        let ambiguous = lab.ask(&["trace", "--backend", "be1", "--count", "1"])?;
        ensure!(ambiguous.refusal()?.contains("SERVICE/be1"), "{ambiguous:?}");
        let arguments = ["trace", "--client", &client.to_string(), "--json", "--count", "1"];
        let mut trace = begin(lab, &arguments)?;
        ensure!(Requests::new(target, 20).run(lab.client())?.failed == 0);
        let mut connection = connection;
        connection.work()?;
        let seen = trace.find("the client", |_| true)?;
        ensure!(seen.from == client.to_string(), "{seen:?}");
        trace.wait()?;
        let mut trace = begin(
            lab,
            &[
                "trace",
                "--backend",
                &format!("web/{other}"),
                "--rate",
                "100000/s",
                "--json",
            ],
        )?;
        connection.work()?;
        let report = Requests::new(target, 60).run(lab.client())?;
        ensure!(report.failed == 0, "{report}");
        trace.find("a SYN to the backend", |packet| {
            packet.flags.as_deref() == Some("SYN")
        })?;
        trace.find("the end of a connection", |packet| {
            packet.flags.as_deref() == Some("FIN,ACK")
        })?;
        let stray = trace
            .packets
            .iter()
            .find(|packet| packet.backend.as_deref() != Some(other));
        ensure!(stray.is_none(), "not the backend's: {stray:?}");
        Ok(())
    });
}

#[test]
fn no_more_is_told_than_the_rate_allows() {
    with_daemon(usual(), |lab| {
        const RATE: u64 = 5;
        let began = Instant::now();
        let mut trace = begin(lab, &["trace", "--rate", "5/s", "--json"])?;
        let report = Requests::new(lab.web(Family::V4), 500).run(lab.client())?;
        ensure!(report.failed == 0, "{report}");
        while trace.unshown < 1000 {
            trace.read(LIMIT).context("what is left out is not said")?;
        }
        let workers = thread::available_parallelism()?.get() as u64;
        let most = RATE * workers * (began.elapsed().as_secs() + 2);
        let shown = trace.packets.len() as u64;
        println!("{shown} packets were shown and {} were not", trace.unshown);
        ensure!(
            (1..=most).contains(&shown),
            "{shown} packets, where {most} may be"
        );
        Ok(())
    });
}

#[test]
fn a_trace_ends_with_whoever_follows_it() {
    with_daemon(usual(), |lab| {
        let before = observe::xdp_programs(lab.balancer())?;
        let trace = begin(lab, &["trace"])?;
        let during = observe::xdp_programs(lab.balancer())?;
        // In userspace there is no program: a look at a word for each batch of frames.
        ensure!(
            before.is_empty() || before != during,
            "the program is the same: {during:?}"
        );
        let second = lab.ask(&["trace", "--count", "1"])?;
        ensure!(
            second.refusal()?.contains("watches packets already"),
            "{second:?}"
        );
        trace.kill(lab)?;
        let after = observe::xdp_programs(lab.balancer())?;
        ensure!(
            before == after,
            "{before:?} was attached before, and now {after:?}"
        );
        let trace = begin(lab, &["trace", "--seconds", "1"])?;
        let report = Requests::new(lab.web(Family::V4), 10).run(lab.client())?;
        ensure!(report.failed == 0, "{report}");
        trace
            .lines
            .recv_timeout(LIMIT)
            .context("another one sees nothing")?;
        trace.wait()
    });
}

/// The next daemon's programs are the same, and the balancer's is in its place again.
#[test]
fn a_daemon_that_is_killed_leaves_no_trace() {
    if !outlives_its_daemon() {
        return;
    }
    with_daemon(usual(), |lab| {
        let tags = |lab: &Lab| -> Result<Vec<String>> {
            let programs = observe::xdp_programs(lab.balancer())?;
            Ok(programs.into_values().map(|program| program.tag).collect())
        };
        let before = tags(lab)?;
        let trace = begin(lab, &["trace"])?;
        lab.kill_daemon()?;
        drop(trace);
        let report = Requests::new(lab.web(Family::V4), 100).run(lab.client())?;
        ensure!(report.failed == 0, "{report}");
        lab.start_daemon()?;
        ensure!(before == tags(lab)?, "another program is attached");
        let report = Requests::new(lab.web(Family::V4), 100).run(lab.client())?;
        ensure!(report.failed == 0, "{report}");
        Ok(())
    });
}
