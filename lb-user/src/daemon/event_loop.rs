//! What a running daemon does: it takes in what checks and look-ups find, and answers questions.

use std::{borrow::Cow, cell::LazyCell, io, iter, net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result};
use lb_common::memory::Memory;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task,
    time::{Interval, MissedTickBehavior, interval},
};
use tracing::{error, info, warn};

use super::{
    CannotKeep, Ending, FlowsError, Order, Request, Stopping,
    forwarding::Forwarding,
    remembered::Remembered,
    run::{Signals, Told},
    service_manager, status,
    sweep::Sweep,
    watch::Watching,
};
use crate::{
    config::{Config, types::FlowLog},
    control::{self, Control, Found, LookUp, LookUpError, observe, unix_milliseconds},
    dataplane::{Engine, shoot},
    flows::{
        self, Clock, FlowId, FlowPage, Kill, KillError, Killed, Query, Shot,
        log::{Log, Out},
    },
    health::{self, Monitor},
    next_hop::{NextHops, Resolver, Unresolved},
    runtime::{Journal, Runtime},
};

/// Results of checks that are taken in at once, so that many that come together build a choice table once and not once
/// each.
const GATHERED: usize = 1024;

/// How often is read which flows have ended: a worker has room for twenty thousand a second.
const GATHERING: Duration = Duration::from_millis(100);

/// The running parts.
pub(super) struct Daemon {
    pub(super) control: Control,
    pub(super) engine: Engine,
    sweep: Sweep,
    pub(super) flow_log: Option<Log>,
    stats: Option<SocketAddr>,
    /// Checks for as long as it lives.
    pub(super) monitor: Monitor,
    checks: mpsc::Receiver<health::Event>,
    /// Where those report that are checked from some time on.
    pub(super) reports: mpsc::Sender<health::Event>,
    remembered: Remembered,
    /// Resolves for as long as it lives.
    pub(super) resolver: Resolver,
    pub(super) next_hops: watch::Receiver<NextHops>,
    pub(super) runtime: Runtime,
    pub(super) journal: Journal,
    /// Who watches packets.
    pub(super) watching: Option<Watching>,
    /// How often somebody has.
    pub(super) watches: u32,
}

impl Daemon {
    /// Starts the packet path, or goes on with the one that is in force, and starts checks and look-ups.
    pub(super) fn start(config: Config, runtime: Runtime, stats: Option<SocketAddr>) -> Result<Self> {
        let journal = Journal::of(&config.global.state_dir);
        let flow_log = config.flow_log.clone();
        let out = flow_log.as_ref().map(|log| Out::open(&log.to)).transpose()?;
        // Asks for routes while the programs are verified.
        let resolver = Resolver::start(control::destinations(&config))?;
        let Forwarding {
            mut control,
            mut engine,
            workers,
        } = Forwarding::start(config)?;
        let remembered = Remembered::new(&control.config().global.state_dir);
        control.recall(&remembered.read());
        attended(&engine.memory());
        // Of a daemon that was killed.
        control::end_watch(&engine.memory());
        let (reports, checks) = mpsc::channel(1024);
        let monitor = Monitor::start(control.targets(), &reports);
        let sweep = Sweep::new(workers, engine.tick());
        log_null(&engine.memory(), flow_log.as_ref());
        if out.is_none() {
            engine.memory().settings.flow_log.store(0);
        }
        let flow_log = out.map(|out| Log::start(&engine.memory(), out)).transpose()?;
        Ok(Self {
            control,
            engine,
            sweep,
            flow_log,
            stats,
            monitor,
            checks,
            reports,
            remembered,
            next_hops: resolver.next_hops(),
            resolver,
            runtime,
            journal,
            watching: None,
            watches: 0,
        })
    }

    /// Goes on until it is told to stop. After an error, too, the packet path goes on forwarding by what it knows.
    pub(super) async fn serve(
        mut self,
        mut requests: mpsc::Receiver<Request>,
        mut signals: Signals,
    ) -> Result<()> {
        let mut ticks = ticks_of(Duration::from_secs(1));
        let mut looks = ticks_of(observe::EVERY);
        let mut gatherings = ticks_of(GATHERING);
        info!(version = env!("CARGO_PKG_VERSION"), "ballast is running");
        service_manager::ready();
        let (ending, reply) = loop {
            tokio::select! {
                signal = signals.next() => match signal {
                    Told::Stop => break (Ending::Detach, None),
                    Told::Reload => self.reload_by_signal(),
                },
                Some(event) = self.checks.recv() => {
                    let memory = self.engine.memory();
                    let gathered = iter::from_fn(|| self.checks.try_recv().ok()).take(GATHERED);
                    self.control.checked(&memory, iter::once(event).chain(gathered));
                }
                changed = self.next_hops.changed() => {
                    changed.context("next hops are looked up no more")?;
                    let found = self.next_hops.borrow_and_update();
                    let next_hops = prepared_for(&mut self.engine, &found);
                    // Before packets are sent from new source addresses.
                    self.engine.keep_from_host(|| self.control.kept_from_host(&next_hops))?;
                    self.control.resolved(&self.engine.memory(), &next_hops);
                }
                Some(request) = requests.recv() => match request {
                    Request::Stop(Ending::Keep, reply) if !self.engine.outlives_daemon() => {
                        let _gone = reply.send(Err(CannotKeep(self.engine.name())));
                    }
                    Request::Stop(ending, reply) => break (ending, Some(reply)),
                    request => self.answer(request),
                },
                () = Watching::over(self.watching.as_ref()) => self.watch_no_more(),
                _ = ticks.tick() => self.tend()?,
                _ = gatherings.tick(), if self.flow_log.is_some() => self.gather()?,
                _ = looks.tick(), if self.control.observes() => {
                    for (backend, errors) in self.control.observe(&self.engine.memory()) {
                        self.monitor.alarm(backend, errors);
                    }
                }
            }
        };
        service_manager::stopping();
        let stopping = self.stop(ending);
        if let Some(reply) = reply {
            // Who asked may have gone meanwhile.
            let _gone = reply.send(Ok(stopping));
        }
        Ok(())
    }

    /// What is to be done once a second.
    fn tend(&mut self) -> Result<()> {
        self.sweep
            .step(&mut self.engine, &self.control, self.flow_log.as_mut())?;
        self.control.tend(&self.engine.memory());
        self.remembered.write(&self.control);
        attended(&self.engine.memory());
        self.go_on_watching()?;
        service_manager::alive();
        Ok(())
    }

    /// Has the flows logged that have ended.
    fn gather(&mut self) -> Result<()> {
        let clock = self.clock()?;
        if let Some(log) = &mut self.flow_log {
            let names = LazyCell::new(|| self.control.names());
            log.gather(&self.engine.memory(), clock, &names);
        }
        Ok(())
    }

    /// Has the flows logged that end now, all of them.
    fn log_all(&mut self) -> Result<()> {
        let (clock, worker) = (self.clock()?, self.sweep.worker());
        if let Some(log) = &mut self.flow_log {
            let names = LazyCell::new(|| self.control.names());
            log.stop(&self.engine.memory(), worker, clock, &names);
        }
        Ok(())
    }

    fn answer(&mut self, request: Request) {
        // Who asked may have gone meanwhile.
        match request {
            Request::Statistics(reply) => {
                let _gone = reply.send(status::statistics(&self.control, &self.engine));
            }
            Request::Status(reply) => {
                let _gone = reply.send(status::status(&self.control, &self.engine, self.stats));
            }
            Request::Flows(query, reply) => self.list_flows(query, reply),
            Request::Kill(flow, reply) => {
                let _gone = reply.send(self.kill(flow));
            }
            Request::LookUp(flow, reply) => {
                let _gone = reply.send(self.look_up(&flow));
            }
            Request::Configure(order, who, reply) => {
                let _gone = reply.send(self.configure(&order, &who));
            }
            Request::Difference(reply) => {
                let _gone = reply.send(self.runtime.difference());
            }
            Request::Journal(count, reply) => {
                let _gone = reply.send(self.journal.last(count));
            }
            Request::Watch(watch, who, reply) => {
                let _gone = reply.send(self.watch(watch, who));
            }
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
        let (clock, tables) = (self.clock(), self.engine.tables());
        task::spawn_blocking(move || {
            let page = clock
                .map(|clock| flows::page(&tables.memory(), clock, &names, &query))
                .map_err(|error| FlowsError::Clock(error.to_string()));
            let _gone = reply.send(page);
        });
    }

    /// Nobody waits for the answer: the log has it.
    fn reload_by_signal(&mut self) {
        if let Err(error) = self.configure(&Order::Reload, "SIGHUP") {
            error!("{error}");
        }
    }

    /// Ends a flow, and tells its ends at once.
    fn kill(&mut self, flow: FlowId) -> Result<Killed, KillError> {
        let clock = self
            .clock()
            .map_err(|error| KillError::Clock(error.to_string()))?;
        let memory = self.engine.memory();
        let Kill {
            mut killed,
            to_client,
            to_backend,
        } = flows::kill(&memory, self.sweep.worker(), clock, &self.control.names(), flow)?;
        killed.client_reset = to_client.is_some_and(|shot| sent(&shot));
        killed.backend_reset = to_backend.is_some_and(|shot| sent(&shot));
        info!(flow = %flow, client = %killed.flow.client, backend = killed.flow.backend, "flow is killed");
        Ok(killed)
    }

    fn look_up(&mut self, flow: &LookUp) -> Result<Found, LookUpError> {
        let clock = self
            .clock()
            .map_err(|error| LookUpError::Clock(error.to_string()))?;
        self.control.look_up(&self.engine.memory(), clock.now, flow)
    }

    /// The flow table's clock.
    fn clock(&mut self) -> io::Result<Clock> {
        Ok(Clock {
            now: self.engine.now()?,
            tick: self.engine.tick(),
        })
    }

    fn stop(mut self, ending: Ending) -> Stopping {
        self.remembered.write_now(&self.control);
        let logged = match ending {
            Ending::Detach => self.log_all(),
            Ending::Keep => self.gather(),
        };
        if let Err(error) = logged {
            warn!(%error, "flows that have ended are not logged");
        }
        self.watch_no_more();
        match ending {
            Ending::Detach => {
                info!("stopping");
                Stopping {
                    keeps: false,
                    interfaces: self.engine.detach(),
                }
            }
            Ending::Keep => {
                info!("stopping; the packet path goes on forwarding");
                Stopping {
                    keeps: true,
                    interfaces: self.engine.interfaces().to_vec(),
                }
            }
        }
    }
}

/// Sends a packet; says whether it went.
fn sent(shot: &Shot) -> bool {
    match shoot(shot) {
        Ok(()) => true,
        Err(error) => {
            warn!(%error, "a reset could not be sent: its receiver hears of the flow's end when it next speaks");
            false
        }
    }
}

/// Whether flows without payload are logged, too.
pub(super) fn log_null(memory: &Memory<'_>, flow_log: Option<&FlowLog>) {
    let wanted = flow_log.is_some_and(|flow_log| !flow_log.dontlognull);
    memory.settings.log_null.store(u32::from(wanted));
}

/// Notes for the next daemon that somebody looks after the tables.
fn attended(memory: &Memory<'_>) {
    memory.settings.tended.store(unix_milliseconds());
}

fn ticks_of(every: Duration) -> Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Before flows go to backends on this host, their answers have to be translated; where they cannot be, such backends are
/// not reachable.
pub(super) fn prepared_for<'n>(engine: &mut Engine, found: &'n NextHops) -> Cow<'n, NextHops> {
    let is_local = |found: &Result<_, Unresolved>| matches!(found, Err(Unresolved::Local));
    if !found.values().any(is_local) {
        return Cow::Borrowed(found);
    }
    let Err(error) = engine.translate_answers() else {
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
