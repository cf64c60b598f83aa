//! `backend-stop` and `backend-start`: one line to the running lab's socket, one line back.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::mpsc::{Sender, channel},
    thread,
};

use anyhow::{Context as _, Result, anyhow, bail};

use super::events::Event;
use lab::Lab;

const SOCKET: &str = "control.sock";

/// What another process may ask for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Kill this backend.
    Stop(String),
    /// Start this backend.
    Start(String),
}

impl Order {
    /// Does it; says what was done.
    pub(crate) fn obey(&self, lab: &mut Lab) -> Result<String> {
        match self {
            Self::Stop(name) => lab.backend(name)?.kill().map(|()| format!("{name} is killed")),
            Self::Start(name) => lab
                .backend(name)?
                .restart()
                .map(|()| format!("{name} is running")),
        }
    }

    fn to_line(&self) -> String {
        match self {
            Self::Stop(name) => format!("stop {name}\n"),
            Self::Start(name) => format!("start {name}\n"),
        }
    }

    fn from_line(line: &str) -> Option<Self> {
        match line.trim_end().split_once(' ')? {
            ("stop", name) => Some(Self::Stop(name.to_owned())),
            ("start", name) => Some(Self::Start(name.to_owned())),
            _ => None,
        }
    }
}

/// Sends an order to the lab that is running, and prints its answer.
pub(crate) fn send(order: &Order) -> Result<()> {
    let socket = lab::running()?
        .into_iter()
        .map(|lab| lab.join(SOCKET))
        .find(|socket| socket.exists());
    let socket = socket.context("no lab is running: start one with `cargo xtask run`")?;
    let mut stream = UnixStream::connect(&socket)
        .with_context(|| format!("cannot reach the lab at {}", socket.display()))?;
    stream.write_all(order.to_line().as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    match answer.trim_end().split_once(' ') {
        Some(("ok", done)) => println!("{done}"),
        Some(("error", reason)) => bail!("{reason}"),
        _ => bail!("the lab ended before it answered"),
    }
    Ok(())
}

/// Takes orders in the lab's directory and puts them into the event queue.
pub(crate) fn listen(directory: &Path, events: Sender<Event>) -> Result<()> {
    let path = directory.join(SOCKET);
    let listener =
        UnixListener::bind(&path).with_context(|| format!("cannot listen on {}", path.display()))?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Who hung up before the answer does not want it.
            let _ = take(stream, &events);
        }
    });
    Ok(())
}

fn take(mut stream: UnixStream, events: &Sender<Event>) -> Result<()> {
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    let outcome = match Order::from_line(&line) {
        None => Err(anyhow!("not an order: {}", line.trim_end())),
        Some(order) => {
            let (answer, outcome) = channel();
            events.send(Event::Order(order, answer))?;
            outcome.recv()?
        }
    };
    match outcome {
        Ok(done) => writeln!(stream, "ok {done}")?,
        Err(error) => writeln!(stream, "error {error:#}")?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_survives_the_way_as_a_line() {
        for order in [Order::Stop("be1".to_owned()), Order::Start("be2".to_owned())] {
            assert_eq!(Order::from_line(&order.to_line()), Some(order));
        }
        assert_eq!(Order::from_line("dance be1\n"), None);
    }
}
