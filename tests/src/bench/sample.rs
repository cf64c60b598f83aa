//! Repeated measurements of one thing.

/// Measurements of one thing, in its unit.
#[derive(Debug, Clone, Default)]
pub struct Sample(Vec<f64>);

impl Sample {
    /// Adds one.
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
        self.0.sort_by(f64::total_cmp);
    }

    /// The least: what it takes when nothing disturbs.
    ///
    /// # Panics
    ///
    /// When nothing was measured.
    #[must_use]
    pub fn min(&self) -> f64 {
        self.0[0]
    }

    /// The mean of the least twentieth: what it takes when nothing disturbs, less subject to chance than the one
    /// least.
    ///
    /// # Panics
    ///
    /// When nothing was measured.
    #[must_use]
    pub fn least(&self) -> f64 {
        let twentieth = &self.0[..self.0.len().div_ceil(20)];
        let (sum, count) = twentieth
            .iter()
            .fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
        assert!(count > 0.0, "nothing was measured");
        sum / count
    }

    /// All of them, rising.
    pub fn values(&self) -> impl Iterator<Item = f64> {
        self.0.iter().copied()
    }

    /// The most.
    ///
    /// # Panics
    ///
    /// When nothing was measured.
    #[must_use]
    pub fn max(&self) -> f64 {
        self.0[self.0.len() - 1]
    }

    /// The middle one.
    ///
    /// # Panics
    ///
    /// When nothing was measured.
    #[must_use]
    pub fn median(&self) -> f64 {
        let upper = self.0.len() / 2;
        if self.0.len() % 2 == 1 {
            self.0[upper]
        } else {
            f64::midpoint(self.0[upper - 1], self.0[upper])
        }
    }

    /// By how much the median may be off by chance: its standard error, by how far the middle half spreads. (Of a normal
    /// distribution that is 1.35 standard deviations, and the median is off by 1.25 times as much as the mean.)
    ///
    /// # Panics
    ///
    /// When nothing was measured.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "measurements are few")]
    pub fn error(&self) -> f64 {
        self.quarters() / 1.35 * 1.25 / (self.0.len() as f64).sqrt()
    }

    /// How far the middle half spreads, as a part of the median.
    ///
    /// # Panics
    ///
    /// When nothing was measured.
    #[must_use]
    pub fn spread(&self) -> f64 {
        self.quarters() / self.median()
    }

    /// How far it is from the first quarter to the third.
    fn quarters(&self) -> f64 {
        let quarter = self.0.len() / 4;
        self.0[self.0.len() - 1 - quarter] - self.0[quarter]
    }
}

impl FromIterator<f64> for Sample {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn min_and_median_do_not_depend_on_the_order() {
        let odd = Sample::from_iter([3.0, 1.0, 2.0]);
        assert_eq!((odd.min(), odd.median()), (1.0, 2.0));
        let even = Sample::from_iter([4.0, 1.0, 3.0, 2.0]);
        assert_eq!((even.min(), even.median()), (1.0, 2.5));
    }

    #[test]
    fn the_least_are_a_twentieth_rounded_up() {
        assert!((Sample::from_iter([3.0, 1.0, 2.0]).least() - 1.0).abs() < 1e-9);
        let forty = (0..40).rev().map(f64::from).collect::<Sample>();
        assert!((forty.least() - 0.5).abs() < 1e-9);
    }

    #[test]
    fn more_measurements_err_less() {
        let of = |count: u32| (0..count).map(|number| f64::from(number % 4)).collect::<Sample>();
        assert!((of(4).error() / of(400).error() - 10.0).abs() < 1e-9);
    }

    #[test]
    fn one_outlier_among_many_does_not_spread() {
        let sample = Sample::from_iter([1.0, 1.0, 1.0, 1.0, 9.0]);
        assert!(sample.spread() < 1e-9);
    }
}
