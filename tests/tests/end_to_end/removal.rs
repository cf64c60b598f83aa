//! A backend that leaves and comes back, again and again, while the others work on.

use std::{
    collections::BTreeMap,
    net::{Ipv6Addr, Shutdown, TcpListener, TcpStream},
    os::fd::OwnedFd,
    time::Duration,
};

use anyhow::{Context as _, Result};
use lab::{BACKEND_PORT, CheckTimes, Lab, Role};

use crate::{
    connection::Connection,
    story::{in_lab, usual},
};

const BACKENDS: u8 = 10;

/// The one that leaves.
const LEAVING: Role = Role::Backend(4);

/// How often it leaves and comes back.
const TIMES: usize = 50;

/// Connections that are open when it begins.
const OPEN: usize = 300;

/// Connections that are opened each time it has left, and each time it has come back.
const MORE: usize = 10;

/// For a change to be noticed, on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(10);

/// Noticed at the first check.
const QUICK: CheckTimes = CheckTimes {
    inter: Duration::from_millis(100),
    timeout: Duration::from_secs(1),
    rise: 1,
    fall: 1,
};

/// Where backends are checked: a port of its own, so that one can leave without ceasing to serve.
const CHECK_PORT: u16 = 9100;

#[test]
fn one_of_ten_backends_leaves_and_comes_back_and_no_connection_of_another_breaks() {
    in_lab(usual().backends(BACKENDS).check(QUICK), |lab| {
        let mut checked = (1..=BACKENDS)
            .map(|number| check_port(lab, Role::Backend(number)))
            .collect::<Result<BTreeMap<_, _>>>()?;
        lab.start_daemon_on(&config(lab))?;
        let mut connections = open(lab, OPEN)?;
        for time in 0..TIMES {
            checked.remove(&LEAVING);
            wait_until_it_is(lab, "down")?;
            connections.extend(open(lab, MORE)?);
            work(&mut connections, time)?;
            checked.extend([check_port(lab, LEAVING)?]);
            wait_until_it_is(lab, "up")?;
            connections.extend(open(lab, MORE)?);
            work(&mut connections, time + 1)?;
        }
        connections.iter_mut().try_for_each(Connection::work)?;
        println!(
            "{} connections of the other backends lived through {TIMES} times {LEAVING} left and came back",
            connections.len()
        );
        Ok(())
    });
}

/// The usual services, checked on the port of their own.
fn config(lab: &Lab) -> String {
    let text = lab.config().to_toml();
    let (http, port) = ("type = \"http\"\n", format!("\nport = {BACKEND_PORT}\n"));
    text.replace(http, "type = \"tcp\"\n")
        .replace(&port, &format!("\nport = {CHECK_PORT}\n"))
}

fn check_port(lab: &Lab, role: Role) -> Result<(Role, CheckPort)> {
    let backend = lab.namespace(role).context("no such backend")?;
    Ok((role, backend.run(CheckPort::open)?))
}

/// Takes the connections of checks until it is dropped, which closes it.
struct CheckPort(OwnedFd);

impl CheckPort {
    fn open() -> Result<Self> {
        let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, CHECK_PORT))?;
        let own = listener.try_clone()?.into();
        std::thread::spawn(move || while listener.accept().is_ok() {});
        Ok(Self(own))
    }
}

impl Drop for CheckPort {
    fn drop(&mut self) {
        // The standard library shuts streams down alone; to the kernel a listener is a socket too. From here on
        // connections are refused, and the thread ends.
        let socket = self.0.try_clone().map(TcpStream::from);
        socket
            .and_then(|socket| socket.shutdown(Shutdown::Both))
            .expect("an open socket can be shut down");
    }
}

fn wait_until_it_is(lab: &Lab, state: &str) -> Result<()> {
    lab.daemon()?
        .wait_for_state("web", &LEAVING.to_string(), state, LIMIT)
        .map(drop)
}

/// Opens connections; those of the backend that leaves and comes back are closed again.
fn open(lab: &Lab, count: usize) -> Result<Vec<Connection>> {
    let leaving = LEAVING.to_string();
    let mut connections = Connection::open_to_web(lab, count)?;
    connections.retain(|connection| connection.backend != leaving);
    Ok(connections)
}

/// Uses every other connection; in even and odd turns different ones.
fn work(connections: &mut [Connection], turn: usize) -> Result<()> {
    let mut in_turn = connections.iter_mut().skip(turn % 2).step_by(2);
    in_turn.try_for_each(Connection::work)
}
