//! From single results to a backend's state.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Outcome;

/// Whether a backend can take flows, as far as its checks know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It can.
    Up,
    /// It cannot.
    Down,
}

impl From<Outcome> for State {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Ok => Self::Up,
            Outcome::Failed => Self::Down,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "up",
            Self::Down => "down",
        })
    }
}

/// Counts consecutive results against the current state.
#[derive(Debug, Clone)]
pub(super) struct RiseFall {
    rise: u32,
    fall: u32,
    /// `None` until the first result.
    state: Option<State>,
    /// Results in a row that speak against `state`.
    against: u32,
}

impl RiseFall {
    /// `rise` successes in a row lead up, `fall` failures in a row lead down; where no state is known, the first result
    /// leads at once.
    pub(super) fn new(rise: u32, fall: u32, state: Option<State>) -> Self {
        Self {
            rise,
            fall,
            state,
            against: 0,
        }
    }

    /// Takes a result in; returns the state after it and whether it changed.
    pub(super) fn record(&mut self, outcome: Outcome) -> (State, bool) {
        let seen = State::from(outcome);
        let changed = match self.state {
            None => true,
            Some(state) if state == seen => {
                self.against = 0;
                false
            }
            Some(_) => {
                self.against += 1;
                self.against >= self.needed(seen)
            }
        };
        if changed {
            self.against = 0;
            self.state = Some(seen);
        }
        (self.state.unwrap_or(seen), changed)
    }

    /// Counts so many failures at once, of those that it takes to go down all but `spared` at most.
    pub(super) fn record_failures(&mut self, failures: u32, spared: u32) -> (State, bool) {
        let most = self.fall.saturating_sub(spared).saturating_sub(self.against);
        let mut outcome = (self.state.unwrap_or(State::Down), false);
        if self.is_down() {
            return outcome;
        }
        for _ in 0..failures.min(most) {
            outcome = self.record(Outcome::Failed);
        }
        outcome
    }

    /// Goes back to a state that it had just left.
    pub(super) fn stay(&mut self, state: State) {
        self.state = Some(state);
    }

    /// Whether results speak against the state.
    pub(super) fn is_changing(&self) -> bool {
        self.against > 0
    }

    /// Whether it is known to be down.
    pub(super) fn is_down(&self) -> bool {
        self.state == Some(State::Down)
    }

    fn needed(&self, towards: State) -> u32 {
        match towards {
            State::Up => self.rise,
            State::Down => self.fall,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rule as one would tell it, from the whole history instead of a counter.
    fn state_by_history(history: &[Outcome], rise: u32, fall: u32) -> State {
        let mut state = State::from(history[0]);
        for end in 1..=history.len() {
            let seen = State::from(history[end - 1]);
            let needed = if seen == State::Up { rise } else { fall } as usize;
            let run = history[..end]
                .iter()
                .rev()
                .take_while(|&&outcome| State::from(outcome) == seen)
                .count();
            if run >= needed {
                state = seen;
            }
        }
        state
    }

    /// All 2¹⁰ histories, under all rises and falls up to 4.
    #[test]
    fn agrees_with_the_rule_on_every_history() {
        for (rise, fall) in (1..=4).flat_map(|rise| (1..=4).map(move |fall| (rise, fall))) {
            for bits in 0..1_u32 << 10 {
                let history: Vec<_> = (0..10)
                    .map(|bit| {
                        if bits >> bit & 1 == 1 {
                            Outcome::Ok
                        } else {
                            Outcome::Failed
                        }
                    })
                    .collect();
                let mut counter = RiseFall::new(rise, fall, None);
                let mut before = None;
                for end in 1..=history.len() {
                    let (state, changed) = counter.record(history[end - 1]);
                    assert_eq!(
                        state,
                        state_by_history(&history[..end], rise, fall),
                        "{:?}",
                        &history[..end]
                    );
                    assert_eq!(changed, before != Some(state), "{:?}", &history[..end]);
                    before = Some(state);
                }
            }
        }
    }

    #[test]
    fn the_first_result_decides() {
        assert_eq!(RiseFall::new(3, 3, None).record(Outcome::Ok), (State::Up, true));
        assert_eq!(
            RiseFall::new(3, 3, None).record(Outcome::Failed),
            (State::Down, true)
        );
    }

    #[test]
    fn what_is_known_takes_as_many_failures_as_ever() {
        let mut known = RiseFall::new(2, 3, Some(State::Up));
        assert_eq!(known.record(Outcome::Failed), (State::Up, false));
        assert_eq!(known.record(Outcome::Failed), (State::Up, false));
        assert_eq!(known.record(Outcome::Failed), (State::Down, true));
    }

    #[test]
    fn only_consecutive_results_count() {
        let mut flapping = RiseFall::new(2, 3, None);
        flapping.record(Outcome::Ok);
        for _ in 0..100 {
            assert_eq!(flapping.record(Outcome::Failed), (State::Up, false));
            assert_eq!(flapping.record(Outcome::Failed), (State::Up, false));
            assert_eq!(flapping.record(Outcome::Ok), (State::Up, false));
        }
    }
}
