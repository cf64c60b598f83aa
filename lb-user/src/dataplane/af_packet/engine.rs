//! The engine: tables, threads, and what is kept from the host.

use std::{
    io,
    num::NonZero,
    os::fd::OwnedFd,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use lb_common::{
    manner::{Forwarding, Manner},
    memory::{Heap, Memory},
};
use nix::{fcntl::OFlag, net::if_::if_nametoindex, unistd::pipe2};
use serde::{Deserialize, Serialize};
use tracing::info;
use utoipa::ToSchema;

use super::{
    host::{Host, HostError, KeptFromHost},
    sockets::{self, Group},
    watch::Audience,
    worker::{self, Forwarder, Lost},
};
use crate::dataplane::{Capacity, Sink, secret};

/// The packet path in this process. It ends when this is dropped.
pub struct AfPacket {
    heap: Arc<Heap>,
    interfaces: Vec<String>,
    fallback: Option<String>,
    groups: Arc<Vec<Group>>,
    lost: Arc<Lost>,
    audience: Audience,
    unread: AtomicU64,
    threads: Vec<JoinHandle<()>>,
    /// The threads end when this is closed.
    running: Option<OwnedFd>,
    /// After the threads: until they have ended, nothing may reach the host.
    host: Host,
}

/// Frames that were to be looked at or forwarded, and were not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Losses {
    /// The socket was full, or the kernel could not hand them over.
    pub unread: u64,
    /// They were longer than there is room for.
    pub truncated: u64,
    /// The kernel or the egress interface did not take them.
    pub unsent: u64,
}

/// The packet path cannot run in this process.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no such interface.
    #[error("there is no interface `{0}`: `ip link` lists those there are")]
    NoInterface(String),
    /// No socket can be had.
    #[error(
        "interface `{interface}` refuses a packet socket: {reason}; this needs CAP_NET_RAW and CAP_NET_ADMIN"
    )]
    Socket {
        /// The interface.
        interface: String,
        /// What the kernel says.
        reason: io::Error,
    },
    /// Packets cannot be kept from the host.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The system refused something else.
    #[error("cannot start forwarding: {0}")]
    Io(#[from] io::Error),
}

/// Threads that forward: one for each CPU that we may use.
#[must_use]
pub fn threads() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Tables that have room for `capacity`, empty but for their settings.
#[must_use]
pub fn tables(capacity: &Capacity) -> Arc<Heap> {
    let heap = Heap::new(&capacity.with_room().sizes());
    let settings = heap.memory().settings;
    settings.seed.store(secret());
    settings.cookie_key.iter().for_each(|word| word.store(secret()));
    settings.second.store(worker::TICKS_OF_A_SECOND);
    Arc::new(heap)
}

impl AfPacket {
    /// Length of a tick of the clock that flows carry the time of.
    pub const TICK: Duration = Duration::from_millis(1000 / worker::TICKS_OF_A_SECOND as u64);

    /// The word of configuration and statistics.
    pub const NAME: &'static str = "af-packet";

    /// Forwards by these tables what comes in by these interfaces, with [`threads`] threads, for the daemon whose control
    /// socket is at `owner`. `fallback` says why a better
    /// engine was not taken.
    pub fn start(
        heap: Arc<Heap>,
        interfaces: &[String],
        kept: &KeptFromHost,
        owner: &Path,
        fallback: Option<String>,
    ) -> Result<Self, StartError> {
        let threads = threads();
        // First: a packet that the sockets show must not reach the host as well.
        let host = Host::without(interfaces, kept, owner)?;
        let groups = interfaces.iter().map(|interface| group(interface, threads));
        let groups: Arc<Vec<Group>> = Arc::new(groups.collect::<Result<_, _>>()?);
        let (stop, running) = pipe2(OFlag::O_CLOEXEC).map_err(io::Error::from)?;
        let mut engine = Self {
            heap,
            interfaces: interfaces.to_vec(),
            fallback,
            groups,
            lost: Arc::default(),
            audience: Audience::default(),
            unread: AtomicU64::new(0),
            threads: Vec::new(),
            running: Some(running),
            host,
        };
        for number in 0..threads {
            engine.start_thread(number, stop.try_clone()?)?;
        }
        info!(
            interfaces = interfaces.join(", "),
            threads, "forwarding in this process"
        );
        Ok(engine)
    }

    fn start_thread(&mut self, number: usize, stop: OwnedFd) -> io::Result<()> {
        let forwarder = Forwarder {
            number,
            groups: Arc::clone(&self.groups),
            sender: sockets::sender()?,
            heap: Arc::clone(&self.heap),
            lost: Arc::clone(&self.lost),
            audience: self.audience.clone(),
            stop,
            encapsulates: encapsulates(&self.heap.memory()),
        };
        let thread = thread::Builder::new().name(format!("forward-{number}"));
        self.threads.push(thread.spawn(move || forwarder.run())?);
        Ok(())
    }

    /// The tables, for reading and writing.
    #[must_use]
    pub fn memory(&self) -> Memory<'_> {
        self.heap.memory()
    }

    /// The tables, for work that goes on beside the daemon's.
    #[must_use]
    pub fn tables(&self) -> Arc<Heap> {
        Arc::clone(&self.heap)
    }

    /// The clock now, in ticks.
    #[must_use]
    pub fn now() -> u32 {
        worker::now()
    }

    /// Whether frames are taken from the interface that has this name now.
    #[must_use]
    pub fn is_attached(&self, interface: &str) -> bool {
        let number = if_nametoindex(interface);
        number.is_ok_and(|number| self.groups.iter().any(|group| group.interface == number))
    }

    /// The interfaces that frames are taken from.
    #[must_use]
    pub fn interfaces(&self) -> &[String] {
        &self.interfaces
    }

    /// Why a better engine was not taken.
    #[must_use]
    pub fn fallback(&self) -> Option<&str> {
        self.fallback.as_deref()
    }

    /// Keeps these from the host as well; to be called before any packet can be answered by such an answer.
    pub fn keep_from_host(&mut self, kept: &KeptFromHost) -> Result<(), HostError> {
        self.host.keep(kept)
    }

    /// Shows packets there that are watched, or to nobody.
    pub fn show_to(&self, sink: Option<Sink>) {
        self.audience.set(sink);
    }

    /// Frames lost since the start.
    #[must_use]
    pub fn losses(&self) -> Losses {
        let dropped = self.groups.iter().map(Group::dropped).sum();
        let unread = self.unread.fetch_add(dropped, Ordering::Relaxed) + dropped;
        Losses {
            unread: unread + self.lost.unread.load(Ordering::Relaxed),
            truncated: self.lost.truncated.load(Ordering::Relaxed),
            unsent: self.lost.unsent.load(Ordering::Relaxed),
        }
    }
}

impl Drop for AfPacket {
    fn drop(&mut self) {
        self.running = None;
        for thread in self.threads.drain(..) {
            // One that has panicked has said so.
            let _panicked = thread.join();
        }
    }
}

/// Whether packets travel to some backends within others. The configuration is what it is as long as we run.
fn encapsulates(memory: &Memory<'_>) -> bool {
    let manners = memory
        .backends
        .iter()
        .map(|backend| Manner(backend.manner.load()));
    manners
        .into_iter()
        .any(|manner| manner.forwarding() == Forwarding::Encapsulate)
}

fn group(interface: &str, threads: usize) -> Result<Group, StartError> {
    let number = if_nametoindex(interface).map_err(|_| StartError::NoInterface(interface.to_owned()))?;
    Group::open(number, threads).map_err(|reason| StartError::Socket {
        interface: interface.to_owned(),
        reason,
    })
}
