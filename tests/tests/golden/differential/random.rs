//! Chance, from a seed.

use proptest::{
    prelude::RngExt as _,
    test_runner::{RngAlgorithm, TestRng},
};

/// A stream of choices that a seed repeats.
pub(super) struct Random(TestRng);

impl Random {
    /// The stream of a story.
    pub(super) fn new(seed: u64, story: u64) -> Self {
        let bytes = [seed.to_le_bytes(), (story + 1).to_le_bytes()].concat();
        Self(TestRng::from_seed(RngAlgorithm::XorShift, &bytes))
    }

    /// A number below another.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0.random_range(0..end)
    }

    /// Whether one of so many chances comes true.
    pub(super) fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    /// One of these.
    pub(super) fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// A byte.
    pub(super) fn byte(&mut self) -> u8 {
        self.0.random()
    }

    /// So many bytes.
    pub(super) fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.fill(&mut bytes[..]);
        bytes
    }
}
