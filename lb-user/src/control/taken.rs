//! Which rows of a table are taken.

use std::collections::BTreeMap;

/// Ranges of rows that are taken: end by beginning.
#[derive(Debug, Default)]
pub(super) struct Taken(BTreeMap<u32, u32>);

impl Taken {
    /// Takes `length` rows from `first` on.
    pub(super) fn add(&mut self, first: u32, length: u32) {
        let end = self.0.entry(first).or_default();
        *end = first.saturating_add(length).max(*end);
    }

    /// Takes the first `length` rows that are free, of those below `end`.
    pub(super) fn take(&mut self, length: u32, end: u32) -> Option<u32> {
        let mut first: u32 = 0;
        for (&taken, &taken_end) in &self.0 {
            if taken >= first.checked_add(length)? {
                break;
            }
            first = first.max(taken_end);
        }
        let fits = first.checked_add(length)? <= end;
        fits.then(|| {
            self.add(first, length);
            first
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_taken_one_after_the_other() {
        let mut taken = Taken::default();
        assert_eq!([taken.take(3, 10), taken.take(4, 10)], [Some(0), Some(3)]);
        assert_eq!(taken.take(4, 10), None);
        assert_eq!(taken.take(3, 10), Some(7));
    }

    #[test]
    fn gaps_are_filled_where_they_are_large_enough() {
        let mut taken = Taken::default();
        taken.add(2, 2);
        taken.add(8, 1);
        assert_eq!(taken.take(3, 20), Some(4));
        assert_eq!(taken.take(2, 20), Some(0));
        assert_eq!(taken.take(1, 20), Some(7));
        assert_eq!(taken.take(1, 20), Some(9));
    }
}
