//! What a running daemon does: it takes in what checks and look-ups find, and answers questions.

use std::{borrow::Cow, fs, iter, net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result};
use lb_common::memory::Memory;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task,
    time::{Interval, MissedTickBehavior, interval},
};
use tracing::info;

use super::{Ending, FlowsError, Request, Stopping, run::Signals, status, sweep::Sweep};
use crate::{
    config::{
        Config,
        types::{DataplaneChoice, Global},
    },
    control::{self, Control, PlanError, unix_milliseconds},
    dataplane::{Mode, Object, Pins, Xdp},
    flows::{self, Clock, FlowPage, Query},
    health::{self, Monitor},
    next_hop::{NextHops, Resolver, Unresolved},
};

/// Results of checks that are taken in at once, so that many that come together build a choice table once and not once
/// each.
const GATHERED: usize = 1024;

/// The running parts.
pub(super) struct Daemon {
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
    /// Loads and attaches the packet path, or goes on with the one that is in force, and starts checks and look-ups.
    pub(super) fn start(config: Config, stats: Option<SocketAddr>) -> Result<Self> {
        let cpus = possible_cpus()?;
        let mode = wanted_mode(&config.global);
        let interfaces = config.global.interfaces.clone();
        let pins = Pins::claim(&config.global.socket)?;
        // One more for what the daemon itself counts.
        let capacity = control::capacity(&config, cpus + 1);
        // Asks for routes while the programs are verified.
        let resolver = Resolver::start(control::destinations(&config))?;
        let object = Object::load_pinned(&capacity, mode, &pins)?;
        let control = plan(config, &object, &pins)?;
        if object.is_adopted() {
            log_adoption(&object.memory());
        }
        control.install(&object.memory())?;
        attended(&object.memory());
        let (sender, checks) = mpsc::channel(1024);
        let monitor = Monitor::start(control.targets(), &sender);
        let sweep = Sweep::new(cpus, object.tick());
        let dataplane = Xdp::attach(object, pins, &interfaces, mode)?;
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

    /// Goes on until it is told to stop. After an error, too, the packet path goes on forwarding by what it knows.
    pub(super) async fn serve(
        mut self,
        mut requests: mpsc::Receiver<Request>,
        mut signals: Signals,
    ) -> Result<()> {
        let mut ticks = ticks();
        info!(version = env!("CARGO_PKG_VERSION"), "ballast is running");
        let (ending, reply) = loop {
            tokio::select! {
                () = signals.stop() => break (Ending::Detach, None),
                Some(event) = self.checks.recv() => {
                    let memory = self.dataplane.memory();
                    let gathered = iter::from_fn(|| self.checks.try_recv().ok()).take(GATHERED);
                    self.control.checked(&memory, iter::once(event).chain(gathered));
                }
                changed = self.next_hops.changed() => {
                    changed.context("next hops are looked up no more")?;
                    let found = self.next_hops.borrow_and_update();
                    let next_hops = prepared_for(&mut self.dataplane, &found);
                    self.control.resolved(&self.dataplane.memory(), &next_hops);
                }
                Some(request) = requests.recv() => match request {
                    Request::Stop(ending, reply) => break (ending, Some(reply)),
                    request => self.answer(request),
                },
                _ = ticks.tick() => self.tend()?,
            }
        };
        let stopping = self.stop(ending);
        if let Some(reply) = reply {
            // Who asked may have gone meanwhile.
            let _gone = reply.send(stopping);
        }
        Ok(())
    }

    /// What is to be done once a second.
    fn tend(&mut self) -> Result<()> {
        self.sweep.step(self.dataplane.object(), &self.control)?;
        self.control.tend(&self.dataplane.memory());
        attended(&self.dataplane.memory());
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
            Request::Flows(query, reply) => self.list_flows(query, reply),
            Request::Stop(..) => {}
        }
    }

    /// Reads the flow table beside the loop: it may be large.
    fn list_flows(&mut self, query: Query, reply: oneshot::Sender<Result<FlowPage, FlowsError>>) {
        let names = self.control.names();
        let unknown = query.service.as_ref().filter(|wanted| {
            let services = &self.control.config().services;
            services
                .iter()
                .all(|service| service.name.as_str() != wanted.as_str())
        });
        if let Some(service) = unknown {
            let _gone = reply.send(Err(FlowsError::NoService(service.clone())));
            return;
        }
        let object = self.dataplane.object();
        let (now, tables) = (object.now(), object.tables());
        let tick = object.tick();
        task::spawn_blocking(move || {
            let page = now
                .map(|now| flows::page(&tables.memory(), Clock { now, tick }, &names, &query))
                .map_err(|error| FlowsError::Clock(error.to_string()));
            let _gone = reply.send(page);
        });
    }

    fn stop(self, ending: Ending) -> Stopping {
        match ending {
            Ending::Detach => {
                info!("stopping");
                Stopping {
                    keeps: false,
                    interfaces: self.dataplane.detach(),
                }
            }
            Ending::Keep => {
                info!("stopping; the packet path goes on forwarding");
                Stopping {
                    keeps: true,
                    interfaces: self.dataplane.interfaces().to_vec(),
                }
            }
        }
    }
}

fn wanted_mode(global: &Global) -> Option<Mode> {
    match global.dataplane {
        DataplaneChoice::Xdp => Some(Mode::Native),
        DataplaneChoice::XdpGeneric => Some(Mode::Generic),
        DataplaneChoice::Auto | DataplaneChoice::AfPacket => None,
    }
}

fn plan(config: Config, object: &Object, pins: &Pins) -> Result<Control> {
    match Control::new(config, &object.memory()) {
        Err(error @ PlanError::NoRoom(_)) if object.is_adopted() => Err(pins.refuse(error).into()),
        outcome => Ok(outcome?),
    }
}

fn log_adoption(memory: &Memory<'_>) {
    let counters = memory.backend_counters.iter();
    let closed: u64 = counters
        .clone()
        .map(|counters| counters.flows_closed.load())
        .sum();
    let opened: u64 = counters.map(|counters| counters.flows_opened.load()).sum();
    let unattended = unix_milliseconds().saturating_sub(memory.settings.tended.load());
    let unattended = humantime::format_duration(Duration::from_millis(unattended)).to_string();
    info!(
        flows = opened.saturating_sub(closed),
        unattended,
        "adopted the packet path that is in force: for {unattended} nobody has checked its backends, and what was \
         up then counts as up until its first check"
    );
}

/// Notes for the next daemon that somebody looks after the tables.
fn attended(memory: &Memory<'_>) {
    memory.settings.tended.store(unix_milliseconds());
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

/// Before flows go to backends on this host, their answers have to be translated; where they cannot be, such backends are
/// not reachable.
fn prepared_for<'n>(dataplane: &mut Xdp, found: &'n NextHops) -> Cow<'n, NextHops> {
    let is_local = |found: &Result<_, Unresolved>| matches!(found, Err(Unresolved::Local));
    if !found.values().any(is_local) {
        return Cow::Borrowed(found);
    }
    let Err(error) = dataplane.translate_answers() else {
        return Cow::Borrowed(found);
    };
    let reason = error.to_string();
    let mut next_hops = found.clone();
    for local in next_hops.values_mut().filter(|found| is_local(found)) {
        *local = Err(Unresolved::Unanswered {
            reason: reason.clone(),
        });
    }
    Cow::Owned(next_hops)
}
