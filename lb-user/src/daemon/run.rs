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
use crate::{api, config::Config};

/// Runs the daemon with this configuration until it is told to stop, by SIGINT, SIGTERM or over its API, then detaches
/// unless it is told to keep forwarding.
pub fn run(config: Config) -> Result<()> {
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(serve(config))
}

async fn serve(config: Config) -> Result<()> {
    preflight(&config)?;
    let shutdown = CancellationToken::new();
    // Whoever asks to stop while we start is heard as well.
    let signals = Signals::new()?;
    let (handle, requests) = Handle::new();
    let socket = api::serve_socket(&config.global.socket, handle.clone(), shutdown.clone()).await?;
    let stats = match config.stats.clone() {
        Some(stats) => Some(api::serve_stats(stats, handle, shutdown.clone()).await?),
        None => None,
    };
    let address = stats.as_ref().map(|server| *server.address());
    let outcome = match Daemon::start(config, address) {
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

/// What asks a daemon to stop.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits until one of them comes.
    pub(super) async fn stop(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
