//! Connections whose backend falls silent: no FIN, no RST, its cable is cut.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lab::{CheckTimes, Family, Lab, Role, Wiring};

use crate::story::{usual, with_daemon};

/// Connections that are open when it happens.
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
    // RSTs go back by the link that the client's packets came by, which a veth takes only with an XDP program at its
    // other end: the one-armed lab's switch has one.
    with_daemon(usual().wiring(Wiring::OneArmed), |lab| {
        let target = lab.web(Family::V4);
        let connections = lab.client().run(move || {
            let open = (0..OPEN).map(|_| Connection::open(target));
            open.collect::<Result<Vec<_>>>()
        })?;
        cut(lab, 2)?;
        let took =
            lab.daemon()?
                .wait_for_state("web", "be2", "down", CheckTimes::BRISK.until_down() + MARGIN)?;
        let (lost, kept): (Vec<_>, Vec<_>) = connections
            .into_iter()
            .partition(|connection| connection.backend == "be2");
        ensure!(lost.len() > OPEN / 10, "only {} connections on be2", lost.len());
        let count = lost.len();
        let began = Instant::now();
        for mut connection in lost {
            let error = connection
                .ask()
                .expect_err("a backend without a cable has answered");
            let reset = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
            ensure!(reset == Some(ErrorKind::ConnectionReset), "{error:#}");
        }
        println!(
            "down after {took:?}; {count} of {OPEN} connections were reset at their next write, all within {:?}",
            began.elapsed()
        );
        for mut connection in kept {
            connection.ask().context("a connection of another backend")?;
        }
        let stats = lab.daemon()?.stats()?;
        let resets = stats.packets.reasons["backend_down"];
        ensure!(resets >= count as u64, "{resets} counted for {count} connections");
        Ok(())
    });
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
        let stats = lab.daemon()?.stats()?;
        let web = &stats.services[0];
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

/// An open connection, kept alive between requests.
struct Connection {
    stream: TcpStream,
    backend: String,
}

impl Connection {
    fn open(target: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(target)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut connection = Self {
            stream,
            backend: String::new(),
        };
        connection.backend = connection.ask()?;
        Ok(connection)
    }

    /// Sends a request; the name of the backend that answers it.
    fn ask(&mut self) -> Result<String> {
        self.stream.write_all(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n")?;
        let mut answer = Vec::new();
        let mut buffer = [0; 1024];
        loop {
            let length = self.stream.read(&mut buffer)?;
            ensure!(length > 0, "the connection was closed");
            answer.extend_from_slice(&buffer[..length]);
            let text = String::from_utf8_lossy(&answer);
            if let Some((_, body)) = text.split_once("\r\n\r\n")
                && body.starts_with("be")
            {
                return Ok(body.to_owned());
            }
        }
    }
}
