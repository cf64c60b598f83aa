//! Datagrams there and back: a few flows, each with a window of datagrams under way.

use std::{
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::load::Measurement;
use crate::Namespace;

const FLOWS: usize = 4;
/// Datagrams under way in one flow.
const WINDOW: u64 = 32;
const SIZE: usize = 64;
/// Thousands of times what an echo takes.
const PATIENCE: Duration = Duration::from_millis(200);

/// Sends from `namespace` to an echo for about `length`.
pub(super) fn run(namespace: &Namespace, target: SocketAddr, length: Duration) -> Result<Measurement> {
    let start = Instant::now();
    let flows: Result<Vec<(u64, u64)>> = namespace.run(|| {
        thread::scope(|scope| {
            let flows: Vec<_> = (0..FLOWS)
                .map(|_| scope.spawn(move || flow(target, length)))
                .collect();
            let joined = flows.into_iter().map(|flow| match flow.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            joined.collect()
        })
    });
    let (sent, returned) = flows?
        .into_iter()
        .fold((0, 0), |(a, b), (sent, returned)| (a + sent, b + returned));
    ensure!(returned > 0, "none of {sent} datagrams to {target} came back");
    #[expect(clippy::cast_precision_loss, reason = "a few millions")]
    let units = returned as f64;
    Ok(Measurement {
        units,
        elapsed: start.elapsed(),
        cpu: Duration::ZERO,
        latency: None,
        failed: sent - returned,
    })
}

/// Datagrams sent and come back.
fn flow(target: SocketAddr, length: Duration) -> Result<(u64, u64)> {
    let socket = UdpSocket::bind(("0.0.0.0", 0))?;
    socket.connect(target)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let (start, payload) = (Instant::now(), [0x5a; SIZE]);
    let (mut sent, mut returned) = (0, 0);
    while start.elapsed() < length {
        for _ in 0..WINDOW {
            socket.send(&payload).context("cannot send a datagram")?;
        }
        sent += WINDOW;
        returned += take(&socket)?;
    }
    Ok((sent, returned))
}

/// Waits for a window of datagrams; how many came.
fn take(socket: &UdpSocket) -> Result<u64> {
    let mut buffer = [0; SIZE];
    for returned in 0..WINDOW {
        match socket.recv(&mut buffer) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(returned),
            Err(error) => return Err(error).context("cannot receive a datagram"),
        }
    }
    Ok(WINDOW)
}
