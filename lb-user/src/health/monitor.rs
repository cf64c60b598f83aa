//! The tasks that check backends, one each.

use std::{
    collections::HashMap,
    mem,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::{Notify, mpsc},
    task::{AbortHandle, JoinSet},
    time,
};
use tracing::warn;

use super::{
    Event, Orders, Outcome, Report, State, Target,
    flaps::Flaps,
    pace::Pace,
    probe::{Finished, Probe},
    rise_fall::RiseFall,
    schedule::Schedule,
    tcp,
};
use crate::config::types::{CheckKind, Observe, OnError};

/// Checks backends for as long as it lives.
#[derive(Debug)]
pub struct Monitor {
    /// Aborts its tasks when dropped.
    tasks: JoinSet<()>,
    /// By its number, each backend that there is to check or to report.
    watched: HashMap<u32, Watched>,
}

#[derive(Debug)]
struct Watched {
    target: Target,
    /// Absent where there is nothing to check.
    task: Option<AbortHandle>,
    /// Where connections are observed.
    alarm: Option<Arc<Alarm>>,
}

impl Monitor {
    /// Starts checking; every result goes to `events`. Checks wait while that channel is full and end when it
    /// is closed. Backends that need no check are reported up at once.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[must_use = "dropping the monitor ends the checks"]
    pub fn start(targets: Vec<Target>, events: &mpsc::Sender<Event>) -> Self {
        let mut monitor = Self {
            tasks: JoinSet::new(),
            watched: HashMap::new(),
        };
        monitor.add(targets, events);
        monitor
    }

    /// Checks these backends from now on. The checks of those that were checked before, in the same way, go on as if
    /// nothing had happened.
    pub fn retarget(&mut self, targets: Vec<Target>, events: &mpsc::Sender<Event>) {
        let mut before = mem::take(&mut self.watched);
        let mut new = Vec::new();
        for target in targets {
            match before.remove(&target.id) {
                Some(watched) if watched.target.is_checked_like(&target) => {
                    self.watched.insert(target.id, watched);
                }
                gone => {
                    end(gone);
                    new.push(target);
                }
            }
        }
        for gone in before.into_values() {
            end(Some(gone));
        }
        // Those that have ended leave nothing behind.
        while self.tasks.try_join_next().is_some() {}
        self.add(new, events);
    }

    fn add(&mut self, targets: Vec<Target>, events: &mpsc::Sender<Event>) {
        let started = time::Instant::now();
        let is_checked = |target: &Target| target.check.kind != CheckKind::None;
        let (checked, unchecked): (Vec<_>, Vec<_>) = targets.into_iter().partition(is_checked);
        let count = u32::try_from(checked.len()).unwrap_or(u32::MAX);
        for target in &unchecked {
            self.watched.insert(target.id, Watched::unchecked(target.clone()));
        }
        self.tasks.spawn(report_up(unchecked, events.clone()));
        for (target, position) in checked.into_iter().zip(0..) {
            let schedule = Schedule::new(position, count, target.check.inter);
            let alarm = target.check.observe.map(|_| Arc::<Alarm>::default());
            let watch = Watch::new(target.clone(), events.clone(), alarm.clone());
            let task = self.tasks.spawn(watch.run(Pace::new(started, schedule)));
            let watched = Watched {
                task: Some(task),
                alarm,
                target,
            };
            self.watched.insert(watched.target.id, watched);
        }
    }

    /// Tells that a backend did not take so many clients' connections in a row, which is more than its limit.
    pub fn alarm(&self, id: u32, errors: u32) {
        let watched = self.watched.get(&id);
        if let Some(alarm) = watched.and_then(|watched| watched.alarm.as_ref()) {
            alarm.errors.store(errors, Ordering::Relaxed);
            alarm.rings.notify_one();
        }
    }
}

impl Watched {
    fn unchecked(target: Target) -> Self {
        Self {
            target,
            task: None,
            alarm: None,
        }
    }
}

/// Ends a task.
fn end(watched: Option<Watched>) {
    if let Some(task) = watched.and_then(|watched| watched.task) {
        task.abort();
    }
}

/// How a backend's task hears of its clients.
#[derive(Debug, Default)]
struct Alarm {
    rings: Notify,
    /// Connections that it did not take.
    errors: AtomicU32,
}

/// Reports the backends that need no check.
async fn report_up(targets: Vec<Target>, events: mpsc::Sender<Event>) {
    for target in targets {
        if events.send(unchecked(target.id)).await.is_err() {
            // A closed channel means that nobody wants to know any more.
            return;
        }
    }
}

/// Nobody wants to know any more.
struct Closed;

/// One backend's task.
struct Watch {
    target: Target,
    events: mpsc::Sender<Event>,
    alarm: Option<Arc<Alarm>>,
    results: RiseFall,
    flaps: Flaps,
}

impl Watch {
    fn new(target: Target, events: mpsc::Sender<Event>, alarm: Option<Arc<Alarm>>) -> Self {
        Self {
            results: RiseFall::new(target.check.rise, target.check.fall, target.known),
            flaps: Flaps::new(target.check.flaps),
            target,
            events,
            alarm,
        }
    }

    /// Checks for as long as somebody wants to know.
    async fn run(mut self, mut pace: Pace) {
        loop {
            tokio::select! {
                () = time::sleep_until(pace.next) => {
                    // On the heap, where it is freed: thousands of tasks rest here, each as large as the most it ever
                    // holds.
                    if Box::pin(self.check()).await.is_err() {
                        return;
                    }
                    pace.checked(&self.target.check, &self.results, time::Instant::now());
                }
                () = rung(self.alarm.as_deref()) => {
                    if self.alarmed().await.is_err() {
                        return;
                    }
                    pace.hurry(time::Instant::now());
                }
            }
        }
    }

    async fn check(&mut self) -> Result<(), Closed> {
        let probe = Probe {
            address: self.target.checked_address(),
            check: &self.target.check,
            vip: self.target.vip.as_deref(),
        };
        match probe.run().await {
            Ok(Finished { report, connection }) => {
                let (state, changed) = self.results.record(report.outcome);
                self.tell(report, state, changed).await?;
                if let Some(connection) = connection {
                    tcp::part(connection).await;
                }
            }
            Err(error) => {
                warn!(backend = %self.target.address, %error, "no health check possible, state kept");
            }
        }
        Ok(())
    }

    /// Takes in that clients' connections fail.
    async fn alarmed(&mut self) -> Result<(), Closed> {
        let (Some(alarm), Some(Observe { on_error, .. })) = (&self.alarm, self.target.check.observe) else {
            return Ok(());
        };
        let errors = alarm.errors.load(Ordering::Relaxed);
        let (state, changed) = match on_error {
            OnError::FastInter => return Ok(()),
            OnError::FailCheck => self.results.record_failures(1, 0),
            OnError::SuddenDeath => self.results.record_failures(u32::MAX, 1),
            OnError::MarkDown => self.results.record_failures(u32::MAX, 0),
        };
        let report = Report {
            outcome: Outcome::Failed,
            detail: format!("{errors} connections in a row were not taken").into(),
            warning: None,
            orders: Orders::default(),
            duration: Duration::ZERO,
            at: Instant::now(),
        };
        self.tell(report, state, changed).await
    }

    /// Passes a result on. A backend that has been going up and down stays down.
    async fn tell(&mut self, mut report: Report, mut state: State, mut changed: bool) -> Result<(), Closed> {
        match (state, changed) {
            (State::Down, true) => self.flaps.down(report.at),
            (State::Up, true) if self.flaps.are_too_many(report.at) => {
                self.results.stay(State::Down);
                (state, changed) = (State::Down, false);
                report.detail = format!("{}, but it goes up and down too often", report.detail).into();
            }
            (State::Up | State::Down, _) => {}
        }
        let event = Event {
            id: self.target.id,
            report,
            state,
            changed,
        };
        self.events.send(event).await.map_err(|_| Closed)
    }
}

/// Waits for an alarm; forever where there is none.
async fn rung(alarm: Option<&Alarm>) {
    match alarm {
        Some(alarm) => alarm.rings.notified().await,
        None => std::future::pending().await,
    }
}

fn unchecked(id: u32) -> Event {
    let outcome = Outcome::Ok;
    let report = Report {
        outcome,
        detail: "no check configured".into(),
        warning: None,
        orders: Orders::default(),
        duration: Duration::ZERO,
        at: Instant::now(),
    };
    Event {
        id,
        report,
        state: outcome.into(),
        changed: true,
    }
}
