//! How a backend stands.

use std::time::Instant;

use tracing::{debug, info, warn};

use crate::{
    config::types::Mode,
    health::{Event, Report, State},
    next_hop::{NextHop, Unresolved},
};

/// Which ways to a backend may be used.
pub(super) struct Ways<'c> {
    /// Interfaces that packets are forwarded between.
    pub(super) interfaces: &'c [String],
    /// How packets reach the backend.
    pub(super) mode: Mode,
}

impl Ways<'_> {
    /// What is wrong with a next hop that was found.
    fn fault(&self, next_hop: &NextHop) -> Option<String> {
        let interface = &next_hop.interface;
        if !self.interfaces.iter().any(|ours| **ours == **interface) {
            let fault = format!("its answers come in by {interface}, which is not among `interfaces`");
            return Some(fault);
        }
        let gateway = next_hop.gateway.filter(|_| self.mode == Mode::Dsr)?;
        Some(format!(
            "it stands behind the router {gateway}, and mode \"dsr\" reaches neighbours only: use mode \"tunnel\""
        ))
    }
}

/// What is known of a backend.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    /// The last check's state and report; none before the first.
    health: Option<(State, Report)>,
    /// The way in force. One that is lost stays: a flow's packets may still arrive, and the check decides.
    way: Option<Way>,
    /// Why there is none.
    unresolved: Option<String>,
    /// When `state` last changed.
    changed: Instant,
    /// Whether new flows went there when this daemon took over from another: until the first check and next hop
    /// say otherwise, what that one knew stays in force.
    was_chosen: bool,
}

/// How packets get to a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// Out of an interface.
    Out(NextHop),
    /// It runs on this host.
    Local,
}

impl Standing {
    pub(super) fn new(now: Instant, was_chosen: bool) -> Self {
        Self {
            health: None,
            way: None,
            unresolved: None,
            changed: now,
            was_chosen,
        }
    }

    /// Logs a change of a backend's state. That it is found up at first is what everybody expects, and may be found of
    /// a hundred thousand at once.
    pub(super) fn tell(&self, backend: &str, event: &Event) {
        let (state, detail) = (event.state, event.report.detail.as_ref());
        if self.health.is_none() && state == State::Up {
            debug!(backend, detail, "backend is up");
        } else {
            info!(backend, %state, detail, "backend is {state}");
        }
    }

    /// Takes a check's result in; says whether new flows are affected.
    pub(super) fn checked(&mut self, event: Event) -> bool {
        let before = self.takes_flows();
        if event.changed {
            self.changed = event.report.at;
        }
        self.health = Some((event.state, event.report));
        before != self.takes_flows()
    }

    /// Takes a look-up of the next hop in; returns the way that it shows if that is new and to be written.
    pub(super) fn resolved(
        &mut self,
        found: &Result<NextHop, Unresolved>,
        ways: &Ways<'_>,
        backend: &str,
    ) -> Option<Way> {
        if let Some(fault) = found.as_ref().ok().and_then(|next_hop| ways.fault(next_hop)) {
            self.was_chosen = false;
            self.unusable(backend, &fault);
            return None;
        }
        let way = match found {
            Ok(next_hop) => Way::Out(next_hop.clone()),
            Err(Unresolved::Local) => Way::Local,
            Err(reason) => {
                self.unusable(backend, &reason.to_string());
                return None;
            }
        };
        if self.way.as_ref() == Some(&way) {
            return None;
        }
        match &way {
            Way::Out(NextHop {
                interface, source, ..
            }) => debug!(backend, interface = &**interface, %source, "next hop is known"),
            Way::Local => debug!(backend, "the backend runs on this host"),
        }
        self.unresolved = None;
        self.way = Some(way);
        self.way.clone()
    }

    fn unusable(&mut self, backend: &str, reason: &str) {
        if self.unresolved.as_deref() != Some(reason) {
            warn!(backend, reason, "no way to the backend");
            self.unresolved = Some(reason.to_owned());
        }
    }

    /// Whether new flows may go there, its weight aside.
    pub(super) fn takes_flows(&self) -> bool {
        self.is_up() && (self.way.is_some() || self.was_chosen)
    }

    /// Forgets what checks have found.
    pub(super) fn forget_health(&mut self) {
        self.health = None;
        self.was_chosen = false;
        self.changed = Instant::now();
    }

    /// The way in force.
    pub(super) fn way(&self) -> Option<&Way> {
        self.way.as_ref()
    }

    /// What its last checks found, or what another daemon knew of it.
    pub(super) fn state(&self) -> Option<State> {
        match self.health {
            Some((state, _)) => Some(state),
            None => self.was_chosen.then_some(State::Up),
        }
    }

    /// Whether its last checks were good.
    pub(super) fn is_up(&self) -> bool {
        self.state() == Some(State::Up)
    }

    /// The last check's report.
    pub(super) fn report(&self) -> Option<&Report> {
        self.health.as_ref().map(|(_, report)| report)
    }

    /// Why packets cannot reach it, if they cannot.
    pub(super) fn unresolved(&self) -> Option<&str> {
        self.way.is_none().then_some(self.unresolved.as_deref()).flatten()
    }

    /// When its state last changed.
    pub(super) fn changed(&self) -> Instant {
        self.changed
    }
}
