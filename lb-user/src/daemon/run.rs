//! The daemon from start to end, but for what it does in between.

use anyhow::{Result, ensure};
use nix::{
    net::if_::if_nametoindex,
    sys::resource::{Resource, getrlimit, setrlimit},
};
use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{Handle, event_loop::Daemon, forwarding};
use crate::{
    api,
    config::Config,
    runtime::{Runtime, Source},
};

/// Runs the daemon with the configuration from this source until it is told to stop, by SIGINT, SIGTERM or over its API, then detaches
/// unless it is told to keep forwarding.
pub fn run(source: Source) -> Result<()> {
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let (kept, config) = Runtime::start(source)?;
    runtime.block_on(serve(config, kept))
}

async fn serve(config: Config, kept: Runtime) -> Result<()> {
    preflight(&config)?;
    let shutdown = CancellationToken::new();
    // Whoever asks to stop while we start is heard as well.
    let signals = Signals::new()?;
    let (handle, requests) = Handle::new();
    let global = &config.global;
    let socket = api::serve_socket(
        &global.socket,
        global.socket_group,
        handle.clone(),
        shutdown.clone(),
    )
    .await?;
    let stats = match config.stats.clone() {
        Some(stats) => Some(api::serve_stats(stats, handle, shutdown.clone()).await?),
        None => None,
    };
    let address = stats.as_ref().map(|server| *server.address());
    let outcome = match Daemon::start(config, kept, address) {
        Ok(daemon) => daemon.serve(requests, signals).await,
        Err(error) => Err(error),
    };
    shutdown.cancel();
    if let Some(stats) = stats {
        stats.finished().await;
    }
    // Last of all: whoever waits for the end, `ballast stop` for one, waits for the socket to go.
    socket.finished().await;
    outcome
}

/// What is cheap to find out before anything is done.
fn preflight(config: &Config) -> Result<()> {
    let global = &config.global;
    ensure!(
        !global.interfaces.is_empty(),
        "no interface: name one in `global.interfaces` or with --interface"
    );
    for interface in &global.interfaces {
        let known = if_nametoindex(interface.as_str()).is_ok();
        ensure!(
            known,
            "there is no interface `{interface}`: `ip link` lists those there are"
        );
    }
    forwarding::preflight(global.dataplane)?;
    if let Err(error) = raise_open_files() {
        warn!(%error, "the limit of open files stays: checks of very many backends may fail");
    }
    Ok(())
}

/// Each check under way holds a socket.
fn raise_open_files() -> nix::Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// The end.
    Stop,
    /// To take the file in.
    Reload,
}

/// What asks a daemon to stop or to reload.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits until one of them comes.
    pub(super) async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.terminate.recv() => Told::Stop,
            _ = self.hang_up.recv() => Told::Reload,
        }
    }
}
