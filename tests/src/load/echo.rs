//! UDP echo: each of several flows sends a datagram, waits for it to come back, and sends the next.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context as _, Result};
use tokio::{
    net::UdpSocket,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{PATIENCE, block_on, block_on_in};
use crate::{
    Namespace,
    backend::{Blob, WHO},
};

/// An echo load to make.
#[derive(Debug, Clone, Copy)]
pub struct Echo {
    /// Service or backend.
    pub target: SocketAddr,
    /// Sockets, each its own flow.
    pub flows: u16,
    /// Datagrams of each flow.
    pub datagrams: u16,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct EchoReport {
    /// Datagrams sent.
    pub sent: u64,
    /// Datagrams that came back as they were.
    pub returned: u64,
    /// Flows by the backend that said it was theirs.
    pub flows: BTreeMap<String, u64>,
}

impl EchoReport {
    /// Datagrams that did not come back.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.sent - self.returned
    }
}

impl Echo {
    /// Makes the load from `namespace`, and waits for its end.
    pub fn run(self, namespace: &Namespace) -> Result<EchoReport> {
        block_on_in(namespace, || self.work(Arc::default(), Duration::ZERO))
    }

    /// Makes the load meanwhile, with a pause after each datagram, until it is stopped or through.
    #[must_use]
    pub fn start(self, namespace: &Namespace, pause: Duration) -> RunningEcho {
        let stop = Arc::<AtomicBool>::default();
        let thread = namespace.spawn({
            let stop = Arc::clone(&stop);
            move || block_on(self.work(stop, pause))
        });
        RunningEcho { stop, thread }
    }

    async fn work(self, stop: Arc<AtomicBool>, pause: Duration) -> Result<EchoReport> {
        let mut flows = JoinSet::new();
        for flow in 0..self.flows {
            flows.spawn(self.run_flow(flow, Arc::clone(&stop), pause));
        }
        let mut report = EchoReport::default();
        for outcome in flows.join_all().await {
            let (backend, sent, returned) = outcome?;
            report.sent += sent;
            report.returned += returned;
            *report.flows.entry(backend).or_default() += 1;
        }
        Ok(report)
    }

    /// Name of the flow's backend, how many datagrams were sent, and how many came back.
    async fn run_flow(self, flow: u16, stop: Arc<AtomicBool>, pause: Duration) -> Result<(String, u64, u64)> {
        let any = match self.target {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(self.target).await?;
        let backend = who(&socket).await?;
        let (mut sent, mut returned) = (0, 0);
        for number in 0..self.datagrams {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            sent += 1;
            returned += u64::from(comes_back(&socket, &payload(flow, number)).await?);
            sleep(pause).await;
        }
        Ok((backend, sent, returned))
    }
}

/// An echo load under way.
#[derive(Debug)]
pub struct RunningEcho {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<EchoReport>>,
}

impl RunningEcho {
    /// Whether it is through, well or not.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Sends no more, and waits for what is on its way.
    pub fn stop(self) -> Result<EchoReport> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    }
}

async fn who(socket: &UdpSocket) -> Result<String> {
    let mut buffer = [0; 256];
    socket.send(WHO).await?;
    let answer = timeout(PATIENCE, socket.recv(&mut buffer)).await;
    let length = answer.context("no answer to `who`")??;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

async fn comes_back(socket: &UdpSocket, payload: &[u8]) -> Result<bool> {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    socket.send(payload).await?;
    match timeout(PATIENCE, socket.recv(&mut buffer)).await {
        Ok(length) => Ok(&buffer[..length?] == payload),
        Err(_) => Ok(false),
    }
}

/// Of every length from a few bytes to about a full frame, odd ones too: checksums differ in the last byte.
fn payload(flow: u16, number: u16) -> Vec<u8> {
    let size = 4 + u64::from(number) * 37 % 1_400;
    Blob::new(size, u64::from(flow) << 16 | u64::from(number)).bytes()
}
