//! How a backend stands.

use std::time::{Duration, Instant};

use tracing::{debug, info, warn};

use crate::{
    config::types::Mode,
    health::{Duty, Event, Report, State},
    next_hop::{NextHop, Unresolved},
};

/// In so many steps a backend grows to its weight, as with `HAProxy`: each builds a choice table.
const STEPS: u32 = 20;

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
    /// What its agent last asked for.
    duty: Duty,
    /// The same, in percent of its configured weight.
    percent: u16,
    /// Since when it grows to its weight, if it does.
    rose: Option<Instant>,
    /// How often its state has changed.
    transitions: u64,
    /// The way in force. One that is lost stays: a flow's packets may still arrive, and the check decides.
    way: Option<Way>,
    /// Why there is none.
    unresolved: Option<String>,
    /// When `state` last changed.
    changed: Instant,
    /// Whether new flows went there when this daemon took over from another: until the first check and next hop
    /// say otherwise, what that one knew stays in force.
    was_chosen: bool,
    /// What it was when another daemon last checked it.
    known: Option<State>,
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
            duty: Duty::Ready,
            percent: 100,
            rose: None,
            transitions: 0,
            way: None,
            unresolved: None,
            changed: now,
            was_chosen,
            known: was_chosen.then_some(State::Up),
        }
    }

    /// Takes what another daemon remembered, unless the tables tell more.
    pub(super) fn recall(&mut self, state: State) {
        self.known.get_or_insert(state);
    }

    /// What it is, or else was when another daemon last checked it.
    pub(super) fn known(&self) -> Option<State> {
        self.health.as_ref().map(|(state, _)| *state).or(self.known)
    }

    /// Logs what a result changes. That a backend is found up at first is what everybody expects, and may be found of
    /// a hundred thousand at once.
    pub(super) fn tell(&self, backend: &str, event: &Event) {
        let (state, report) = (event.state, &event.report);
        let detail = report.detail.as_ref();
        if event.changed && self.health.is_none() && state == State::Up {
            debug!(backend, detail, "backend is up");
        } else if event.changed {
            info!(backend, %state, detail, "backend is {state}");
        }
        if let Some(duty) = report.orders.duty.filter(|duty| *duty != self.duty) {
            info!(backend, %duty, detail, "its agent wants the backend to be {duty}");
        }
        let told = self.report().and_then(|report| report.warning.as_deref());
        if let Some(warning) = report.warning.as_deref().filter(|warning| told != Some(warning)) {
            warn!(backend, "{warning}");
        }
    }

    /// Takes a check's result in; says whether new flows are affected.
    pub(super) fn checked(&mut self, event: Event) -> bool {
        let before = (self.takes_flows(), self.percent);
        let Event {
            report,
            state,
            changed,
            id: _,
        } = event;
        if changed {
            self.changed = report.at;
            self.transitions += 1;
            let was_down = matches!(self.health, Some((State::Down, _)));
            self.rose = (was_down && state == State::Up).then_some(report.at);
        }
        self.duty = report.orders.duty.unwrap_or(self.duty);
        self.percent = report.orders.percent.unwrap_or(self.percent);
        self.health = Some((state, report));
        before != (self.takes_flows(), self.percent)
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
        self.is_up() && self.duty == Duty::Ready && (self.way.is_some() || self.was_chosen)
    }

    /// Forgets what checks have found.
    pub(super) fn forget_health(&mut self) {
        (self.health, self.known) = (None, None);
        self.was_chosen = false;
        self.rose = None;
        self.changed = Instant::now();
        self.forget_orders();
    }

    /// Forgets what its agent asked for.
    pub(super) fn forget_orders(&mut self) {
        (self.duty, self.percent) = (Duty::Ready, 100);
    }

    /// The way in force.
    pub(super) fn way(&self) -> Option<&Way> {
        self.way.as_ref()
    }

    /// Whether its last checks were good, and nobody works on it.
    pub(super) fn is_up(&self) -> bool {
        match self.health {
            Some((state, _)) => state == State::Up && self.duty != Duty::Maint,
            None => self.was_chosen,
        }
    }

    /// The word for how it stands: `up`, `down`, `drain` or `maint`.
    pub(super) fn word(&self) -> &'static str {
        match self.duty {
            Duty::Maint => "maint",
            Duty::Drain if self.is_up() => "drain",
            Duty::Ready if self.takes_flows() => "up",
            Duty::Drain | Duty::Ready => "down",
        }
    }

    /// Its share of new flows now: what is left of `weight` after its agent's word, and while it still grows to it in
    /// `slowstart`. At least 1 of any weight.
    pub(super) fn weight(&self, weight: u16, slowstart: Duration, now: Instant) -> u16 {
        const MOST: u32 = 256;
        let steps = self.steps(slowstart, now);
        let of_all = u32::from(weight) * u32::from(self.percent) * steps;
        let share = of_all.div_ceil(100 * STEPS).min(MOST);
        u16::try_from(share).unwrap_or(weight)
    }

    /// Steps of the way to its weight that it has made.
    fn steps(&self, slowstart: Duration, now: Instant) -> u32 {
        let Some(rose) = self.rose.filter(|_| !slowstart.is_zero()) else {
            return STEPS;
        };
        let part = now.saturating_duration_since(rose).as_secs_f64() / slowstart.as_secs_f64();
        // The first step is made at once: without any weight it would never be tried.
        (1..STEPS)
            .find(|step| part < f64::from(*step) / f64::from(STEPS))
            .unwrap_or(STEPS)
    }

    /// Whether it grows to its weight; not any more when it has got there.
    pub(super) fn is_growing(&mut self, slowstart: Duration, now: Instant) -> bool {
        let grows = self.rose.is_some();
        if self.steps(slowstart, now) == STEPS {
            self.rose = None;
        }
        grows
    }

    /// How often its state has changed since the daemon started.
    pub(super) fn transitions(&self) -> u64 {
        self.transitions
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{Orders, Outcome};

    fn event(state: State, percent: Option<u16>) -> Event {
        let orders = Orders { duty: None, percent };
        let report = Report {
            outcome: Outcome::Ok,
            detail: "".into(),
            warning: None,
            orders,
            duration: Duration::ZERO,
            at: Instant::now(),
        };
        Event {
            id: 0,
            report,
            state,
            changed: true,
        }
    }

    #[test]
    fn a_backend_that_comes_back_grows_to_its_weight_in_even_steps() {
        let mut standing = Standing::new(Instant::now(), false);
        let slowstart = Duration::from_secs(20);
        standing.checked(event(State::Up, None));
        assert_eq!(
            standing.weight(100, slowstart, Instant::now()),
            100,
            "found up at first"
        );
        standing.checked(event(State::Down, None));
        let up = event(State::Up, None);
        let rose = up.report.at;
        standing.checked(up);
        let after = |seconds| rose + Duration::from_secs(seconds);
        let weights = [0, 1, 10, 18, 19, 20, 60].map(|time| standing.weight(100, slowstart, after(time)));
        assert_eq!(weights, [5, 10, 55, 95, 100, 100, 100]);
        assert_eq!(standing.weight(1, slowstart, rose), 1, "never without any");
        assert_eq!(standing.weight(100, Duration::ZERO, rose), 100);
        assert!(standing.is_growing(slowstart, after(5)));
        assert!(
            standing.is_growing(slowstart, after(20)),
            "the last step is still to be made"
        );
        assert!(!standing.is_growing(slowstart, after(21)));
    }

    #[test]
    fn an_agent_s_percentage_stays_until_it_says_another() {
        let mut standing = Standing::new(Instant::now(), false);
        standing.checked(event(State::Up, Some(50)));
        standing.checked(event(State::Up, None));
        let weight = |standing: &Standing, weight| standing.weight(weight, Duration::ZERO, Instant::now());
        assert_eq!((weight(&standing, 100), weight(&standing, 1)), (50, 1));
        standing.checked(event(State::Up, Some(0)));
        assert_eq!(weight(&standing, 100), 0);
        standing.checked(event(State::Up, Some(256)));
        assert_eq!(weight(&standing, 200), 256, "as much as there is");
    }
}
