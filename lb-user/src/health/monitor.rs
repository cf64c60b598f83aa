//! The tasks that check backends, one each.

use std::time::{Duration, Instant};

use tokio::{
    sync::mpsc,
    task::JoinSet,
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
    _tasks: JoinSet<()>,
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
        let started = time::Instant::now();
        let count = u32::try_from(targets.len()).unwrap_or(u32::MAX);
        let mut tasks = JoinSet::new();
        for (target, position) in targets.into_iter().zip(0..) {
            let schedule = Schedule::new(position, count, target.check.inter);
            tasks.spawn(watch(target, started, schedule, events.clone()));
        }
        Self { _tasks: tasks }
    }
}

async fn watch(target: Target, started: time::Instant, schedule: Schedule, events: mpsc::Sender<Event>) {
    let Some(probe) = probe(&target) else {
        // A closed channel means that nobody wants to know any more.
        let _ = events.send(unchecked(&target)).await;
        return;
    };
    let mut results = RiseFall::new(target.check.rise, target.check.fall, target.known);
    let mut rhythm = time::interval_at(started + schedule.second, target.check.inter);
    // A check that takes longer than the interval costs the next ones, but never shifts the rhythm.
    rhythm.set_missed_tick_behavior(MissedTickBehavior::Skip);
    time::sleep_until(started + schedule.first).await;
    loop {
        match probe.run().await {
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
                    tcp::part(connection).await;
                }
            }
            Err(error) => warn!(backend = %target.address, %error, "no health check possible, state kept"),
        }
        rhythm.tick().await;
    }
}

fn probe(target: &Target) -> Option<Probe<'_>> {
    let http = match &target.check.kind {
        CheckKind::None => return None,
        CheckKind::Tcp => None,
        CheckKind::Http(http) => Some(http),
    };
    let mut address = target.address;
    if let Some(port) = target.check.port {
        address.set_port(port.get());
    }
    Some(Probe {
        address,
        timeout: target.check.timeout,
        http,
    })
}

fn unchecked(target: &Target) -> Event {
    let outcome = Outcome::Ok;
    let detail = "no check configured".to_owned();
    let report = Report {
        outcome,
        detail,
        duration: Duration::ZERO,
        at: Instant::now(),
    };
    Event {
        id: target.id,
        report,
        state: outcome.into(),
        changed: true,
    }
}
