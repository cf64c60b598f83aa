//! SYN cookies: real TCP stacks on both sides of spliced flows, and a flood.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Result, bail, ensure};
use lab::{
    BACKEND_PORT, Builder, CheckTimes, Dataplane, Family, Lab, Mode,
    load::{Direction, Flood, Requests, Transfer},
    wait_for,
};
use lb_common::Reason;

use crate::story::{in_lab, usual};

/// A client that is not told of the backend's window asks for it after 200 ms (Linux's `TCP_RTO_MIN`).
const AT_ONCE: Duration = Duration::from_millis(190);

/// For anything that a healthy lab does at once.
const PATIENCE: Duration = Duration::from_secs(10);

const SIZE: u64 = 20_000_000;

/// MySQL's, whose servers speak first.
const GREETER_PORT: u16 = 3306;

/// With this many flows in all, that many half-open ones of one service are too many.
const MAX_FLOWS: u64 = 32_768;
const MANY: u64 = MAX_FLOWS / 64;

#[test]
fn transfers_are_intact_over_spliced_flows() {
    for builder in [usual(), usual().checksum_offload(false), usual().mode(Mode::Nat)] {
        in_lab(builder.check(CheckTimes::ONCE), transfers_are_intact);
    }
}

#[test]
fn transfers_are_intact_over_spliced_flows_in_userspace() {
    let builder = usual().dataplane(Dataplane::AfPacket);
    in_lab(builder.check(CheckTimes::ONCE), transfers_are_intact);
}

fn transfers_are_intact(lab: &mut Lab) -> Result<()> {
    lab.start_daemon_on(&with_cookies(lab, "always"))?;
    for family in Family::ALL {
        let before = cookies(lab)?;
        let report = Requests::new(lab.web(family), 300).run(lab.client())?;
        ensure!(report.failed == 0, "{family:?}: {report}");
        ensure!(
            report.latency(50.0) < AT_ONCE,
            "{family:?}: clients wait: {report}"
        );
        ensure!(
            cookies(lab)? >= before + 300,
            "{family:?}: not all were answered with a cookie"
        );
        for direction in [Direction::Download, Direction::Upload] {
            let transfer = Transfer {
                target: lab.web(family),
                direction,
                size: SIZE,
                seed: 1,
            };
            let report = transfer.run(lab.client())?;
            ensure!(report.is_intact(), "{family:?} {direction:?}: {report:?}");
        }
    }
    wait_for("all flows to end", PATIENCE, || {
        Ok((active(lab)? == 0).then_some(()))
    })?;
    Ok(())
}

/// As databases do: who has connected waits for a greeting.
#[test]
fn a_server_that_speaks_first_is_heard() {
    in_lab(usual().check(CheckTimes::ONCE), |lab| {
        for family in Family::ALL {
            let (config, bind, backend) = greeting(lab, family);
            let listener = lab.backends()[0]
                .namespace()
                .run(|| Ok(TcpListener::bind(backend)?))?;
            let server = thread::spawn(move || greet(&listener));
            lab.start_daemon_on(&config)?;
            let heard = lab.client().run(|| {
                let mut stream = TcpStream::connect_timeout(&bind, PATIENCE)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                let mut greeting = [0; 5];
                stream.read_exact(&mut greeting)?;
                stream.write_all(b"thanks")?;
                let mut rest = String::new();
                stream.read_to_string(&mut rest)?;
                Ok((greeting, rest))
            })?;
            assert_eq!(heard, (*b"hello", "thanks".to_owned()), "{family:?}");
            assert_eq!(cookies(lab)?, 1, "{family:?}");
            server.join().expect("the server does not panic")?;
            lab.stop_daemon()?;
        }
        Ok(())
    });
}

#[test]
fn clients_connect_during_a_flood() {
    clients_connect(usual());
}

#[test]
fn clients_connect_during_a_flood_in_userspace() {
    clients_connect(usual().dataplane(Dataplane::AfPacket));
}

fn clients_connect(builder: Builder) {
    in_lab(builder.check(CheckTimes::ONCE), |lab| {
        lab.start_daemon()?;
        let quiet = Requests::new(lab.web(Family::V4), 50).run(lab.client())?;
        ensure!(
            quiet.failed == 0 && cookies(lab)? == 0,
            "a cookie without a flood: {quiet}"
        );
        let SocketAddr::V4(target) = lab.web(Family::V4) else {
            bail!("an address of IPv4");
        };
        let most = flood(lab, target)?;
        println!("{most} half-open flows at most, where {MANY} are many");
        // Each CPU may let another one in that it has counted before the others' came.
        ensure!(most <= MANY + 64, "{most} half-open flows");
        Ok(())
    });
}

/// Makes requests while SYNs come that nobody means; the most half-open flows that were seen.
fn flood(lab: &Lab, target: SocketAddrV4) -> Result<u64> {
    let flood = Flood {
        targets: vec![target],
        count: 1_000_000,
        duration: Duration::ZERO,
    }
    .start(lab.client());
    wait_for("the flood to be noticed", PATIENCE, || {
        Ok((cookies(lab)? > 0).then_some(()))
    })?;
    let mut most = 0;
    for _ in 0..5 {
        let report = Requests::new(target.into(), 40).run(lab.client())?;
        ensure!(report.failed == 0, "{report}");
        most = most.max(half_open(lab)?);
    }
    let sent = flood.stop()?;
    println!(
        "{sent} SYNs sent, {} of all answered with a cookie",
        cookies(lab)?
    );
    Ok(most)
}

/// The lab's configuration with another word for when cookies are given.
fn with_cookies(lab: &Lab, when: &str) -> String {
    let tcp = "protocol = \"tcp\"\n";
    lab.config()
        .to_toml()
        .replace(tcp, &format!("{tcp}syn_cookies = \"{when}\"\n"))
}

/// SYNs that were answered with a cookie.
fn cookies(lab: &Lab) -> Result<u64> {
    let reasons = lab.daemon()?.stats()?.packets.reasons;
    Ok(reasons.get(Reason::SynCookie.name()).copied().unwrap_or_default())
}

fn active(lab: &Lab) -> Result<u64> {
    let services = lab.daemon()?.stats()?.services;
    Ok(services.iter().map(|service| service.counters.flows_active).sum())
}

fn half_open(lab: &Lab) -> Result<u64> {
    let (_, flows) = lab.daemon()?.flows()?;
    let half_open = flows.iter().filter(|flow| flow.state.as_str() == "half-open");
    Ok(half_open.count() as u64)
}

/// A service whose one backend says something first.
fn greeting(lab: &Lab, family: Family) -> (String, SocketAddr, SocketAddr) {
    let bind = SocketAddr::new(family.vip(), GREETER_PORT);
    let backend = SocketAddr::new(lab.direct(1, family).ip(), GREETER_PORT);
    let text = format!(
        r#"
[[service]]
name = "greeter"
bind = ["{bind}"]
syn_cookies = "always"
[service.check]
type = "http"
inter = "1h"
rise = 1
port = {BACKEND_PORT}
[[service.backend]]
name = "be1"
address = "{backend}"
"#
    );
    (lab.config().to_toml() + &text, bind, backend)
}

/// Greets one client, and says what it has heard back.
fn greet(listener: &TcpListener) -> Result<()> {
    let (mut client, _) = listener.accept()?;
    client.set_read_timeout(Some(PATIENCE))?;
    client.write_all(b"hello")?;
    let mut heard = [0; 6];
    client.read_exact(&mut heard)?;
    client.write_all(&heard)?;
    Ok(())
}
