//! The daemon from start to end.

use std::{fs, net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, ensure};
use caps::{CapSet, Capability};
use nix::{
    net::if_::if_nametoindex,
    sys::resource::{Resource, getrlimit, setrlimit},
};
use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, watch},
    time::{Interval, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Handle, Request, status, sweep::Sweep};
use crate::{
    api,
    config::{Config, types::DataplaneChoice},
    control::Control,
    dataplane::{Mode, Object, Xdp},
    health::{self, Monitor},
    next_hop::{NextHops, Resolver},
};

/// Runs the daemon with this configuration until it is told to stop by SIGINT or SIGTERM, then detaches.
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
        Ok(mut daemon) => daemon.serve(requests, signals).await,
        Err(error) => Err(error),
    };
    shutdown.cancel();
    socket.finished().await;
    if let Some(stats) = stats {
        stats.finished().await;
    }
    outcome
}

/// What is cheap to find out before anything is done.
fn preflight(config: &Config) -> Result<()> {
    let global = &config.global;
    ensure!(
        !global.interfaces.is_empty(),
        "no interface: name one in `global.interfaces` or with --interface"
    );
    ensure!(
        global.dataplane != DataplaneChoice::AfPacket,
        "dataplane af-packet is not built yet: use auto, xdp or xdp-generic"
    );
    for interface in &global.interfaces {
        let known = if_nametoindex(interface.as_str()).is_ok();
        ensure!(
            known,
            "there is no interface `{interface}`: `ip link` lists those there are"
        );
    }
    ensure_privileges()?;
    if let Err(error) = raise_open_files() {
        warn!(%error, "the limit of open files stays: checks of very many backends may fail");
    }
    Ok(())
}

/// Asked before anything is made, so that an ordinary user hears what is missing and not where it was missed first.
fn ensure_privileges() -> Result<()> {
    for capability in [
        Capability::CAP_BPF,
        Capability::CAP_NET_ADMIN,
        Capability::CAP_PERFMON,
    ] {
        let held = caps::has_cap(None, CapSet::Effective, capability)?;
        ensure!(
            held,
            "this needs root, or the capabilities CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON; {capability} is missing"
        );
    }
    Ok(())
}

/// Each check under way holds a socket.
fn raise_open_files() -> nix::Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)
}

struct Signals {
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

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The running parts.
struct Daemon {
    control: Control,
    dataplane: Xdp,
    sweep: Sweep,
    stats: Option<SocketAddr>,
    /// Checks for as long as it lives.
    _monitor: Monitor,
    checks: mpsc::Receiver<health::Event>,
    /// Resolves for as long as it lives.
    _resolver: Resolver,
    next_hops: watch::Receiver<NextHops>,
}

impl Daemon {
    /// Loads and attaches the packet path, and starts checks and look-ups.
    fn start(config: Config, stats: Option<SocketAddr>) -> Result<Self> {
        let mode = match config.global.dataplane {
            DataplaneChoice::Xdp => Some(Mode::Native),
            DataplaneChoice::XdpGeneric => Some(Mode::Generic),
            DataplaneChoice::Auto | DataplaneChoice::AfPacket => None,
        };
        let interfaces = config.global.interfaces.clone();
        let control = Control::new(config)?;
        let cpus = possible_cpus()?;
        // One more for what the daemon itself counts.
        let object = Object::load(&control.capacity(cpus + 1))?;
        let sweep = Sweep::new(cpus, object.tick());
        control.install(&object.memory())?;
        let resolver = Resolver::start(control.destinations())?;
        let (sender, checks) = mpsc::channel(1024);
        let monitor = Monitor::start(control.targets(), &sender);
        let dataplane = Xdp::attach(object, &interfaces, mode)?;
        Ok(Self {
            control,
            dataplane,
            sweep,
            stats,
            _monitor: monitor,
            checks,
            next_hops: resolver.next_hops(),
            _resolver: resolver,
        })
    }

    async fn serve(&mut self, mut requests: mpsc::Receiver<Request>, mut signals: Signals) -> Result<()> {
        let mut ticks = ticks();
        info!(version = env!("CARGO_PKG_VERSION"), "ballast is running");
        loop {
            tokio::select! {
                () = signals.stop() => break,
                Some(event) = self.checks.recv() => {
                    let memory = self.dataplane.memory();
                    self.control.checked(&memory, event);
                }
                changed = self.next_hops.changed() => {
                    changed.context("next hops are looked up no more")?;
                    let next_hops = self.next_hops.borrow_and_update().clone();
                    let memory = self.dataplane.memory();
                    self.control.resolved(&memory, &next_hops);
                }
                Some(request) = requests.recv() => self.answer(request),
                _ = ticks.tick() => self.sweep.step(self.dataplane.object(), &self.control)?,
            }
        }
        info!("stopping");
        Ok(())
    }

    fn answer(&mut self, request: Request) {
        // Who asked may have gone meanwhile.
        match request {
            Request::Statistics(reply) => {
                let _gone = reply.send(status::statistics(&self.control, &self.dataplane));
            }
            Request::Status(reply) => {
                let _gone = reply.send(status::status(&self.control, &self.dataplane, self.stats));
            }
        }
    }
}

/// CPUs that may ever run the packet path: it counts by their numbers.
fn possible_cpus() -> Result<u32> {
    const PATH: &str = "/sys/devices/system/cpu/possible";
    let text = fs::read_to_string(PATH).with_context(|| format!("cannot read {PATH}"))?;
    // `0-3`, `0`, or `0-1,4-5`: the last number counts.
    let last = text.trim().rsplit(['-', ',']).next().unwrap_or_default();
    let last: u32 = last
        .parse()
        .with_context(|| format!("cannot understand {PATH}: {text:?}"))?;
    Ok(last + 1)
}

fn ticks() -> Interval {
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
