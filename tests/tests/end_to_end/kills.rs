//! Flows that an operator ends: who hears of it, and when.

use std::{
    io::{self, ErrorKind, Read as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lab::{
    DaemonConfig, Family, Lab, Mode, Role, Service, backend::MariaDb, load::Session, observe, wait_for,
};
use lb_user::flows::{Flow, Killed};

use crate::{
    connection::Connection,
    matrix::{ANSWERED_THROUGH, one_armed, tunnel, two_armed},
    servers::MARIADB,
    story::{Asks as _, in_lab, usual, with_daemon},
};

/// Within which both ends of a killed flow have to know.
const AT_ONCE: Duration = Duration::from_millis(100);

/// Beyond which nobody waits for them.
const LIMIT: Duration = Duration::from_secs(5);

#[test]
fn both_ends_of_an_idle_connection_that_is_killed_are_reset_at_once() {
    with_daemon(usual(), |lab| {
        for family in Family::ALL {
            let target = lab.web(family);
            let connection = lab.client().run(move || Connection::open(target))?;
            let client = connection.stream().local_addr()?;
            let flow = flow_of(lab, |flow| flow.client == client)?;
            let waiting = wait_for_end(connection.stream().try_clone()?);
            let began = Instant::now();
            let ordered = both_are_reset_at_once(lab, &flow)?;
            let (kind, at) = waiting.join().expect("no panic");
            ensure!(kind == ErrorKind::ConnectionReset, "the client saw {kind:?}");
            let took = at.saturating_duration_since(began);
            println!(
                "{family:?}: the order took {ordered:?}; from its beginning the client knew after {took:?}"
            );
            ensure!(took < ordered + AT_ONCE, "the client was told late");
            let again = lab.ask(&["flow", "kill", &flow.id.to_string()])?;
            ensure!(again.refusal()?.contains("there is no flow"), "{again:?}");
        }
        Ok(())
    });
}

#[test]
fn an_idle_session_with_a_database_that_is_killed_ends_at_both_ends_at_once() {
    in_lab(two_armed(), |lab| {
        let hosts = lab.backends().iter();
        let _servers = hosts
            .map(|host| MariaDb::open_to_all(lab, host, MARIADB))
            .collect::<Result<Vec<_>>>()?;
        let services = ANSWERED_THROUGH.map(database);
        let config = DaemonConfig {
            services: services.to_vec(),
            ..lab.config()
        };
        lab.start_daemon_on(&config.to_toml())?;
        for service in &services {
            let mut session = Session::open(lab.client(), service.address())?;
            let who = session.ask(MariaDb::WHO)?;
            let flow = flow_of(lab, |flow| flow.service.as_ref() == Some(&service.name))?;
            ensure!(flow.backend == who, "{flow:?} leads to {who}");
            let took = both_are_reset_at_once(lab, &flow)?;
            println!("{}: the order took {took:?}", service.name);
            ensure!(session.ask(MariaDb::WHO).is_err(), "a killed session has gone on");
        }
        Ok(())
    });
}

/// A service of databases; in modes that keep ports, on the servers' other one.
fn database(mode: Mode) -> Service {
    let [web, ..] = Service::usual(mode);
    let [port, other] = MARIADB;
    let (port, backend_port) = if mode == Mode::FullNat {
        (port, port)
    } else {
        (other, port)
    };
    Service {
        name: format!("database.{mode}"),
        port,
        backend_port,
        ..web
    }
}

/// Where answers pass by, the client alone can be told for sure: a backend on the same link is asked who it speaks to, and
/// hears from the client itself that nobody is there; one behind a tunnel hears it when it next speaks.
#[test]
fn where_answers_are_not_seen_a_kill_says_whom_it_could_tell() {
    for (mode, backend_is_told) in [(Mode::Dsr, true), (tunnel(Family::V4, false), false)] {
        in_lab(one_armed().mode(mode), |lab| {
            // Who is not told leaves its flow to that.
            let quick = "protocol = \"tcp\"\nidle_timeout = \"5s\"\n";
            lab.start_daemon_on(&lab.config().to_toml().replace("protocol = \"tcp\"\n", quick))?;
            let target = lab.web(Family::V4);
            let mut connection = lab.client().run(move || Connection::open(target))?;
            let client = connection.stream().local_addr()?;
            let flow = flow_of(lab, |flow| flow.client == client)?;
            let killed = kill(lab, &flow)?;
            ensure!(
                killed.client_reset && killed.backend_reset == backend_is_told,
                "{killed:?}"
            );
            gone_at_once("the client's", || holds(lab.client(), target))?;
            if backend_is_told {
                gone_at_once("the backend's", || holds(backend_of(lab, &flow)?, client))?;
            }
            let error = connection.ask().expect_err("a killed connection was answered");
            ensure!(kind_of(&error) == Some(ErrorKind::ConnectionReset), "{error:#}");
            Ok(())
        });
    }
}

#[test]
fn a_killed_flows_late_packets_are_answered_with_a_reset() {
    with_daemon(usual(), |lab| {
        let target = lab.web(Family::V4);
        let mut busy = lab.client().run(move || Connection::open(target))?;
        let client = busy.stream().local_addr()?;
        // Nobody hears what is sent to it: it has to find out by itself.
        lab.client().ip_batch("link set eth0 down")?;
        let flow = flow_of(lab, |flow| flow.client == client)?;
        kill(lab, &flow)?;
        lab.client().ip_batch(
            "link set eth0 up\nroute replace default via 10.1.0.1\nroute replace 10.0.0.100 via 10.1.0.1",
        )?;
        let error = busy.ask().expect_err("a killed connection was answered");
        ensure!(kind_of(&error) == Some(ErrorKind::ConnectionReset), "{error:#}");
        Ok(())
    });
}

/// Has a flow killed, and finds that neither end has it any more; how long the order took.
fn both_are_reset_at_once(lab: &Lab, flow: &Flow) -> Result<Duration> {
    let backend = backend_of(lab, flow)?;
    ensure!(
        holds(lab.client(), flow.virtual_address)? && holds(backend, flow.snat_address)?,
        "there is no connection: the test proves nothing"
    );
    let began = Instant::now();
    let killed = kill(lab, flow)?;
    let ordered = began.elapsed();
    ensure!(killed.client_reset && killed.backend_reset, "{killed:?}");
    gone_at_once("the client's", || holds(lab.client(), flow.virtual_address))?;
    gone_at_once("the backend's", || holds(backend, flow.snat_address))?;
    Ok(ordered)
}

fn kill(lab: &Lab, flow: &Flow) -> Result<Killed> {
    let ended = lab.ask(&["flow", "kill", &flow.id.to_string(), "--json"])?;
    ensure!(ended.code == Some(0), "{ended:?}");
    let [killed]: [Killed; 1] = serde_json::from_str(&ended.stdout)?;
    Ok(killed)
}

/// Waits for an end's connection to go.
fn gone_at_once(whose: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let what = format!("{whose} connection to go");
    let ((), took) = wait_for(&what, LIMIT, || Ok((!holds()?).then_some(())))?;
    ensure!(
        took < AT_ONCE,
        "{whose} connection was there for another {took:?}"
    );
    Ok(())
}

fn flow_of(lab: &Lab, is_it: impl Fn(&Flow) -> bool) -> Result<Flow> {
    let (_, flows) = lab.daemon()?.flows()?;
    flows.into_iter().find(is_it).context("the flow is not listed")
}

fn backend_of<'l>(lab: &'l Lab, flow: &Flow) -> Result<&'l lab::Namespace> {
    let number = flow.backend.trim_start_matches("be").parse()?;
    lab.namespace(Role::Backend(number)).context("no such backend")
}

/// Whether a host has an established connection with this peer.
fn holds(host: &lab::Namespace, peer: SocketAddr) -> Result<bool> {
    Ok(!observe::connections_to(host, peer)?.is_empty())
}

fn kind_of(error: &anyhow::Error) -> Option<ErrorKind> {
    error.downcast_ref::<io::Error>().map(io::Error::kind)
}

/// Waits for the end of a connection on a thread of its own; how it ended, and when.
fn wait_for_end(mut stream: TcpStream) -> thread::JoinHandle<(ErrorKind, Instant)> {
    thread::spawn(move || {
        let kind = stream
            .read(&mut [0; 1])
            .map_or_else(|error| error.kind(), |_| ErrorKind::UnexpectedEof);
        (kind, Instant::now())
    })
}
