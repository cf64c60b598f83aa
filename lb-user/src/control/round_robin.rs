//! The choice table of `round-robin`: the order in which backends take turns.
//!
//! In each step every backend earns its weight, the richest takes the turn and pays what all earned together: nginx's
//! smooth weighted round-robin. Over one round each backend has as many turns as it has weight, and those of a heavy one
//! are spread among the others' instead of coming in a run.

use super::maglev::Candidate;

/// The longest round, unless there are more backends than that. Each turn of it costs a look at every backend.
const LONGEST: u32 = 16_384;

/// One round: in each place the index of the backend whose turn it is. No longer than `most`, of which there are at
/// least as many as candidates.
///
/// Weights are divided by what divides all of them. Where the round would still be too long they are made smaller, by
/// which a share of all flows changes by less than one turn, or 1/16,384; and nobody is left without a turn.
#[must_use]
pub fn round(most: u32, candidates: &[Candidate]) -> Vec<u32> {
    let count = u32::try_from(candidates.len()).unwrap_or(u32::MAX);
    let turns = turns(most.min(LONGEST.max(count)), candidates);
    let length: i64 = turns.iter().copied().map(i64::from).sum();
    let mut credits = vec![0_i64; turns.len()];
    let mut take_turn = || {
        for (credit, turns) in credits.iter_mut().zip(&turns) {
            *credit += i64::from(*turns);
        }
        // The first among equals: the last that `max_by_key` would take is the first from behind.
        let (richest, credit) = credits
            .iter_mut()
            .enumerate()
            .rev()
            .max_by_key(|(_, credit)| **credit)?;
        *credit -= length;
        Some(candidates[richest].index)
    };
    (0..length).map_while(|_| take_turn()).collect()
}

/// How many turns each candidate has in a round of at most `most`.
fn turns(most: u32, candidates: &[Candidate]) -> Vec<u32> {
    let weights = || candidates.iter().map(|candidate| u32::from(candidate.weight));
    let divisor = weights().fold(0, gcd).max(1);
    let whole: u64 = weights().map(|weight| u64::from(weight / divisor)).sum();
    if whole <= u64::from(most) {
        return weights().map(|weight| weight / divisor).collect();
    }
    // One turn for everybody, and the rest by weight.
    let rest = u64::from(most).saturating_sub(candidates.len() as u64);
    let total: u64 = weights().map(u64::from).sum();
    let share = |weight: u32| u32::try_from(u64::from(weight) * rest / total).unwrap_or(u32::MAX);
    weights().map(|weight| 1 + share(weight)).collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidates(weights: &[u16]) -> Vec<Candidate> {
        let candidate = |(index, weight): (u32, &u16)| Candidate {
            index,
            identity: u64::from(index),
            weight: *weight,
        };
        (0..).zip(weights).map(candidate).collect()
    }

    #[test]
    fn a_heavy_backend_s_turns_are_spread() {
        assert_eq!(round(251, &candidates(&[5, 1, 1])), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(round(251, &candidates(&[100, 50])), [0, 1, 0]);
    }

    #[test]
    fn equal_backends_take_turns() {
        assert_eq!(round(251, &candidates(&[100, 100, 100])), [0, 1, 2]);
        assert_eq!(round(251, &candidates(&[7])), [0]);
        assert_eq!(round(251, &[]), [0_u32; 0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn shares_of_a_round_are_exact(weights in prop::collection::vec(1..=256_u16, 1..40)) {
            let round = round(65_537, &candidates(&weights));
            let count = |index: u32| round.iter().filter(|turn| **turn == index).count();
            for (index, weight) in (0..).zip(&weights) {
                // Cross-multiplied: the divisor of the weights is the round's secret.
                prop_assert_eq!(count(index) * usize::from(weights[0]), count(0) * usize::from(*weight));
            }
        }

        #[test]
        fn a_round_that_is_cut_short_keeps_shares_within_a_turn_each(
            // Heavy enough for any of them not to fit a round whole.
            weights in prop::collection::vec(13..=256_u16, 20..80),
        ) {
            let round = round(251, &candidates(&weights));
            prop_assert!(round.len() <= 251);
            let total: u32 = weights.iter().copied().map(u32::from).sum();
            let rest = 251 - u32::try_from(weights.len()).unwrap();
            for (index, weight) in (0..).zip(&weights) {
                let turns = u32::try_from(round.iter().filter(|turn| **turn == index).count()).unwrap();
                prop_assert!(turns > 0, "nobody is left out");
                // Cross-multiplied: a quotient of floats may be a little less than the whole number that it is.
                prop_assert!((turns - 1) * total <= u32::from(*weight) * rest);
            }
        }
    }
}
