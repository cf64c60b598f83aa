//! The tasks that check backends, one each.

use std::{
    collections::HashMap,
    mem,
    time::{Duration, Instant},
};

use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::{self, MissedTickBehavior},
};
use tracing::warn;

use super::{
    Event, Outcome, Report, Target,
    probe::{Finished, Probe},
    rise_fall::RiseFall,
    schedule::Schedule,
    tcp,
};
use crate::config::types::CheckKind;

/// Checks backends for as long as it lives.
#[derive(Debug)]
pub struct Monitor {
    /// Aborts its tasks when dropped.
    tasks: JoinSet<()>,
    /// By its number, each backend that there is to check or to report, and its task if it has one.
    watched: HashMap<u32, (Target, Option<AbortHandle>)>,
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
                Some((watched, task)) if watched.is_checked_like(&target) => {
                    self.watched.insert(target.id, (watched, task));
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
            self.watched.insert(target.id, (target.clone(), None));
        }
        self.tasks.spawn(report_up(unchecked, events.clone()));
        for (target, position) in checked.into_iter().zip(0..) {
            let schedule = Schedule::new(position, count, target.check.inter);
            let task = watch(target.clone(), started, schedule, events.clone());
            let task = self.tasks.spawn(task);
            self.watched.insert(target.id, (target, Some(task)));
        }
    }
}

/// Ends a task.
fn end(watched: Option<(Target, Option<AbortHandle>)>) {
    if let Some((_, Some(task))) = watched {
        task.abort();
    }
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

/// Checks a backend for as long as somebody wants to know.
async fn watch(target: Target, started: time::Instant, schedule: Schedule, events: mpsc::Sender<Event>) {
    let probe = probe(&target);
    let mut results = RiseFall::new(target.check.rise, target.check.fall, target.known);
    let mut rhythm = time::interval_at(started + schedule.second, target.check.inter);
    // A check that takes longer than the interval costs the next ones, but never shifts the rhythm.
    rhythm.set_missed_tick_behavior(MissedTickBehavior::Skip);
    time::sleep_until(started + schedule.first).await;
    loop {
        // On the heap, where it is freed: thousands of tasks rest here, each as large as the most it ever holds.
        match Box::pin(probe.run()).await {
            Ok(Finished { report, connection }) => {
                let (state, changed) = results.record(report.outcome);
                if events
                    .send(Event {
                        id: target.id,
                        report,
                        state,
                        changed,
                    })
                    .await
                    .is_err()
                {
                    return;
                }
                if let Some(connection) = connection {
                    Box::pin(tcp::part(connection)).await;
                }
            }
            Err(error) => warn!(backend = %target.address, %error, "no health check possible, state kept"),
        }
        rhythm.tick().await;
    }
}

fn probe(target: &Target) -> Probe<'_> {
    let http = match &target.check.kind {
        CheckKind::None | CheckKind::Tcp => None,
        CheckKind::Http(http) => Some(http),
    };
    let mut address = target.address;
    if let Some(port) = target.check.port {
        address.set_port(port.get());
    }
    Probe {
        address,
        timeout: target.check.timeout,
        http,
    }
}

fn unchecked(id: u32) -> Event {
    let outcome = Outcome::Ok;
    let report = Report {
        outcome,
        detail: "no check configured".into(),
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
