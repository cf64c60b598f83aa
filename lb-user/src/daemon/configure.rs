//! Changing what runs: a new configuration is worked out beside the one in force, and takes its place or does not.

use std::{fmt::Write as _, time::Instant};

use serde::{Deserialize, Serialize};
use tracing::info;
use utoipa::ToSchema;

use super::event_loop::{Daemon, log_null, prepared_for};
use crate::{
    config::{Config, difference},
    control::{self, IndexFull, PlanError},
    dataplane::HostError,
    flows::log::{OpenError, Out},
    runtime::{Change, Runtime, RuntimeError},
    stats::observed,
};

/// What is to be done to the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Take the file in.
    Reload,
    /// Change what runs.
    Change(Change),
    /// Write what runs to the file.
    Save,
    /// Undo all changes.
    RollBack,
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Applied {
    /// What runs differently now, a line each: `+` added, `-` removed, `~` changed.
    pub changed: Vec<String>,
    /// Changes that are not in the file.
    pub unsaved: Vec<String>,
    /// Changes that did not fit the file any more and are undone.
    pub left_out: Vec<String>,
}

/// Nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum ConfigureError {
    /// There is something wrong with what is wanted.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// It takes another start.
    #[error(
        "{0} cannot change while packets are forwarded; nothing has changed: restart the daemon (`ballast stop --keep` \
         leaves packets forwarded meanwhile)"
    )]
    Fixed(&'static str),
    /// The tables are too small.
    #[error("{0}; nothing has changed: tables grow at a restart after `ballast stop`")]
    NoRoom(#[from] PlanError),
    /// Flows cannot be logged where they should be.
    #[error("{0}; nothing has changed")]
    FlowLog(#[from] OpenError),
    /// The host's own stack cannot be kept from new packets.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A fault of Ballast.
    #[error(transparent)]
    IndexFull(#[from] IndexFull),
}

impl Daemon {
    /// Does it or does nothing; who gave the order is noted.
    pub(super) fn configure(&mut self, order: &Order, who: &str) -> Result<Applied, ConfigureError> {
        let (next, left_out) = match order {
            Order::Reload => self.runtime.reloaded()?,
            Order::Change(change) => (self.runtime.changed(change.clone()), Vec::new()),
            Order::RollBack => (self.runtime.rolled_back(), Vec::new()),
            Order::Save => {
                let mut saved = self.runtime.clone();
                saved.save()?;
                (saved, Vec::new())
            }
        };
        let changed = match order {
            Order::Save => Vec::new(),
            Order::Reload | Order::Change(_) | Order::RollBack => self.apply(next.config()?)?,
        };
        self.runtime = next;
        self.runtime.keep(&self.control.config().global.state_dir);
        let left_out: Vec<String> = left_out.iter().map(ToString::to_string).collect();
        self.journal.note(who, &told(order, &changed, &left_out));
        Ok(Applied {
            changed,
            unsaved: unsaved(&self.runtime),
            left_out,
        })
    }

    /// Puts a configuration in the place of the one in force; the differences.
    fn apply(&mut self, config: Config) -> Result<Vec<String>, ConfigureError> {
        let began = Instant::now();
        let changed = difference::lines(self.control.config(), &config);
        if let Some(key) = difference::fixed(self.control.config(), &config) {
            return Err(ConfigureError::Fixed(key));
        }
        let destinations = control::destinations(&config);
        let out = config.flow_log.as_ref();
        let out = out.map(|flow_log| Out::open(&flow_log.to)).transpose()?;
        let mut next = self.control.succeed(config, &self.engine.memory())?;
        let found = self.next_hops.borrow().clone();
        let next_hops = prepared_for(&mut self.engine, &found);
        // Before there can be any such packets.
        self.engine.keep_from_host(|| next.kept_from_host(&next_hops))?;
        let memory = self.engine.memory();
        next.take_over(&mut self.control, &memory)?;
        // A new backend may be where another one is.
        next.resolved(&memory, &next_hops);
        self.control = next;
        log_null(&memory, self.control.config().flow_log.as_ref());
        if let (Some(log), Some(out)) = (&self.flow_log, out) {
            log.turn(out);
        }
        self.aim_watch();
        self.resolver.set_destinations(destinations);
        self.monitor.retarget(self.control.targets(), &self.reports);
        let took = began.elapsed();
        observed::apply(took);
        info!(?took, changes = changed.len(), "the configuration is in force");
        Ok(changed)
    }
}

fn unsaved(runtime: &Runtime) -> Vec<String> {
    runtime.changes().iter().map(ToString::to_string).collect()
}

/// An order in the journal's words.
fn told(order: &Order, changed: &[String], left_out: &[String]) -> String {
    let mut told = match order {
        Order::Reload => "reloaded the file".to_owned(),
        Order::Change(change) => change.to_string(),
        Order::Save => "saved what runs to the file".to_owned(),
        Order::RollBack => "rolled all changes back".to_owned(),
    };
    if !matches!(order, Order::Change(_)) && !changed.is_empty() {
        let _infallible = write!(told, ": {}", changed.join("; "));
    }
    if !left_out.is_empty() {
        let _infallible = write!(told, "; left out, as they do not fit it: {}", left_out.join("; "));
    }
    told
}
