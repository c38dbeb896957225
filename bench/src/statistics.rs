//! Medians and quartiles: of times on a machine that is never quite quiet, means say little.

use serde::Serialize;

/// The middle of many values, and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// A quarter lies below.
    pub low: f64,
    pub median: f64,
    /// A quarter lies above.
    pub high: f64,
}

impl Spread {
    /// Of at least one value.
    pub fn of(mut values: Vec<f64>) -> Self {
        assert!(!values.is_empty(), "a spread of nothing");
        values.sort_by(f64::total_cmp);
        Spread { low: quantile(&values, 0.25), median: quantile(&values, 0.5), high: quantile(&values, 0.75) }
    }

    /// In another unit.
    pub fn map(self, unit: impl Fn(f64) -> f64) -> Self {
        Spread { low: unit(self.low), median: unit(self.median), high: unit(self.high) }
    }

    pub fn exactly(value: f64) -> Self {
        Spread { low: value, median: value, high: value }
    }
}

/// Between two values in proportion.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let place = part * (sorted.len() - 1) as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    sorted[below] + (sorted[above] - sorted[below]) * (place - place.floor())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_of_few_and_many() {
        assert_eq!(Spread::of(vec![3.0]), Spread::exactly(3.0));
        assert_eq!(Spread::of(vec![2.0, 1.0]), Spread { low: 1.25, median: 1.5, high: 1.75 });
        assert_eq!(Spread::of(vec![5.0, 1.0, 4.0, 2.0, 3.0]), Spread { low: 2.0, median: 3.0, high: 4.0 });
    }
}
