use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::config::types::Service;

const SIZE: u32 = 65_537;

/// Backends 10.0.x.y:9030 with these weights, indexed in order.
fn candidates(weights: &[u16]) -> Vec<Candidate> {
    let candidate = |(&weight, index): (&u16, u32)| {
        let [.., high, low] = index.to_be_bytes();
        Candidate {
            index,
            identity: identity(SocketAddr::from(([10, 0, high, low], 9030))),
            weight,
        }
    };
    weights.iter().zip(0..).map(candidate).collect()
}

fn counts(table: &[u32], backends: usize) -> Vec<u32> {
    let mut counts = vec![0; backends];
    for &owner in table {
        counts[owner as usize] += 1;
    }
    counts
}

fn without(candidates: &[Candidate], index: u32) -> Vec<Candidate> {
    candidates
        .iter()
        .copied()
        .filter(|candidate| candidate.index != index)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn only_candidates_with_weight_own_slots(
        weights in prop::collection::vec(0..=256_u16, 0..40),
        size in prop::sample::select(vec![2, 3, 251, 1021, 4093]),
    ) {
        let table = build(size, &candidates(&weights));
        let live = weights.iter().any(|&weight| weight > 0);
        prop_assert_eq!(table.len(), if live { size as usize } else { 0 });
        prop_assert!(table.iter().all(|&owner| weights[owner as usize] > 0));
    }

    #[test]
    fn order_does_not_matter(
        (sorted, shuffled) in prop::collection::vec(0..=256_u16, 1..40)
            .prop_map(|weights| candidates(&weights))
            .prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
    ) {
        prop_assert_eq!(build(4093, &sorted), build(4093, &shuffled));
    }

    #[test]
    fn shares_follow_the_weights(weights in prop::collection::vec(1..=256_u16, 1..100)) {
        let table = build(SIZE, &candidates(&weights));
        let total: f64 = weights.iter().copied().map(f64::from).sum();
        for (count, &weight) in counts(&table, weights.len()).into_iter().zip(&weights) {
            let share = f64::from(SIZE) * f64::from(weight) / total;
            prop_assert!((f64::from(count) - share).abs() < 2.0 + share * 0.005, "{count} slots for {share}");
        }
    }

    /// What `Service::default_table_size` promises.
    #[test]
    fn shares_in_a_table_of_default_size_are_off_by_a_50th_of_an_equal_one(
        weights in prop::collection::vec(1..=256_u16, 1..650),
    ) {
        let size = Service::default_table_size(weights.len());
        let table = build(size, &candidates(&weights));
        let (total, backends): (f64, f64) = (
            weights.iter().copied().map(f64::from).sum(),
            weights.iter().map(|_| 1.0).sum(),
        );
        let equal = f64::from(size) / backends;
        for (count, &weight) in counts(&table, weights.len()).into_iter().zip(&weights) {
            let share = f64::from(size) * f64::from(weight) / total;
            prop_assert!((f64::from(count) - share).abs() <= 0.02 * equal, "{count} slots for {share}");
        }
    }

    #[test]
    fn a_backend_that_leaves_and_comes_back_finds_its_slots(
        weights in prop::collection::vec(1..=256_u16, 2..40),
        gone in any::<prop::sample::Index>(),
    ) {
        let all = candidates(&weights);
        let gone = all[gone.index(all.len())];
        let mut back = without(&all, gone.index);
        back.push(gone);
        prop_assert_eq!(build(4093, &back), build(4093, &all));
    }
}

#[test]
fn equal_weights_get_equal_shares() {
    for backends in [1, 2, 3, 10, 100, 1000] {
        let counts = counts(&build(SIZE, &candidates(&vec![100; backends])), backends);
        let spread: BTreeSet<_> = counts.into_iter().collect();
        assert!(
            spread.last().unwrap() - spread.first().unwrap() <= 1,
            "{backends} backends: {spread:?}"
        );
    }
}

/// The published bound: besides the slots of the backend that leaves, under 1 % of all slots change hands.
#[test]
fn few_slots_move_when_a_backend_leaves() {
    for backends in [2, 3, 10, 100, 1000_u32] {
        let all = candidates(&vec![100; backends as usize]);
        let before = build(SIZE, &all);
        for gone in (0..backends).step_by((backends as usize).div_ceil(10)) {
            let after = build(SIZE, &without(&all, gone));
            let moved = before
                .iter()
                .zip(&after)
                .filter(|(was, is)| **was != gone && was != is)
                .count();
            assert!(
                moved * 100 < before.len(),
                "{moved} slots of others moved as 1 of {backends} left"
            );
        }
    }
}

/// What a flow without an entry goes by. The paper draws how many slots change hands (figure 12: 65,537 slots, 1000
/// backends of which some leave at once, means of many draws) and prints no figures, so that its algorithm is run beside
/// ours.
#[test]
fn as_many_slots_move_as_in_the_paper() {
    for (backends, leaving) in [(10, 1), (1000, 10), (1000, 20)] {
        let [ours, papers] = [build, papers_table].map(|build| {
            let draws = (1..=DRAWS).map(|draw| moved(build, draw, backends, leaving));
            draws.sum::<f64>() / f64::from(DRAWS)
        });
        println!(
            "{leaving} of {backends} leave: {:.2} % of the slots move, by the paper's algorithm {:.2} %",
            ours * 100.0,
            papers * 100.0
        );
        assert!((ours / papers - 1.0).abs() < 0.02, "{ours} and {papers}");
    }
}

const DRAWS: u32 = 20;

/// The part of the slots that change hands when some backends leave.
fn moved(build: fn(u32, &[Candidate]) -> Vec<u32>, draw: u32, backends: u32, leaving: u32) -> f64 {
    let all: Vec<_> = (0..backends)
        .map(|index| Candidate {
            index,
            identity: mix(u64::from(draw) << 32 | u64::from(index)),
            weight: 100,
        })
        .collect();
    // Identities are random, so that which indexes leave is, too.
    let before = build(SIZE, &all);
    let after = build(SIZE, &all[leaving as usize..]);
    let moved = before.iter().zip(&after).filter(|(was, is)| was != is).count();
    f64::from(u32::try_from(moved).unwrap()) / f64::from(SIZE)
}

/// The table of section 3.4, pseudocode 1, word by word: each backend in turn takes the next slot of its permutation that
/// is free.
fn papers_table(size: u32, candidates: &[Candidate]) -> Vec<u32> {
    let slot = |candidate: &Candidate, next: u64| {
        let (offset, skip) = (mix(candidate.identity ^ 1), mix(candidate.identity ^ 2));
        let size = u64::from(size);
        let slot = (offset % size + next * (skip % (size - 1) + 1)) % size;
        usize::try_from(slot).unwrap()
    };
    let (mut next, mut entry) = (vec![0; candidates.len()], vec![None; size as usize]);
    let mut filled = 0;
    loop {
        for (candidate, next) in candidates.iter().zip(&mut next) {
            while entry[slot(candidate, *next)].is_some() {
                *next += 1;
            }
            entry[slot(candidate, *next)] = Some(candidate.index);
            *next += 1;
            filled += 1;
            if filled == size {
                return entry.into_iter().map(Option::unwrap).collect();
            }
        }
    }
}

/// Two balancers of different versions must choose alike, and an upgrade must not move untracked flows.
#[test]
fn the_table_never_changes_between_versions() {
    let all = candidates(&[100, 50, 1, 0, 256]);
    let digest = build(SIZE, &all)
        .into_iter()
        .fold(0, |digest, owner| mix(digest ^ u64::from(owner)));
    assert_eq!(
        digest, 0x5297_a652_9e4d_d622,
        "all tables of the field would change: {digest:#018x}"
    );
}

#[test]
fn both_families_have_identities() {
    let identities: BTreeSet<_> = [
        "10.0.0.1:80",
        "10.0.0.1:81",
        "10.0.1.0:80",
        "[fd00::1]:80",
        "[fd00::1:0]:80",
    ]
    .map(|address| identity(address.parse().unwrap()))
    .into();
    assert_eq!(identities.len(), 5);
}

#[test]
#[should_panic(expected = "is a prime, not 65536")]
fn a_table_size_that_is_no_prime_is_a_bug() {
    let _ = build(65_536, &[]);
}
