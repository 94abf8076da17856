//! The latency sketch of a telemetry cell: logarithmic buckets with 1 % relative error.
//!
//! Source: Masson, Rim and Lee, "DDSketch: a fast and fully-mergeable quantile sketch with
//! relative-error guarantees", VLDB 2019. A value `v` µs lies in the bucket with index
//! `ceil(log(v) / log(gamma))`; merging is adding counts, so windows of many proxies add up exactly.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// Ratio of a bucket's upper to its lower edge: 1 % relative error to either side.
pub const GAMMA: f64 = 1.02;
/// Buckets run from 1 µs (index 0) to about 20 minutes; what lies beyond is counted in the last.
pub const MAX_INDEX: i32 = 1056;

/// Values below this have their bucket looked up: a logarithm costs as much as all else that is noted of a request.
const LOOKED_UP_US: usize = 4_096;
static LOW: LazyLock<Box<[u16]>> =
    LazyLock::new(|| (0..LOOKED_UP_US as u64).map(|us| computed(us) as u16).collect());

/// The bucket that holds `value_us`; zero counts as 1 µs.
#[must_use]
pub fn index_of(value_us: u64) -> i32 {
    let low = usize::try_from(value_us).ok().and_then(|us| LOW.get(us));
    low.map_or_else(|| computed(value_us), |index| i32::from(*index))
}

fn computed(value_us: u64) -> i32 {
    let value = value_us.max(1) as f64;
    let index = (value.ln() / GAMMA.ln()).ceil();
    // `as` saturates, and the value is finite and not negative.
    (index as i32).min(MAX_INDEX)
}

/// The value that stands for a bucket: the point with equal relative distance to both edges.
#[must_use]
pub fn value_of(index: i32) -> f64 {
    2.0 * GAMMA.powi(index) / (1.0 + GAMMA)
}

/// Bucket counts as they cross the wire: `[index, count]` pairs, ascending by index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// The ratio between bucket edges; [`GAMMA`] is the only one spoken by this version.
    pub gamma: f64,
    /// Always `us`.
    pub unit: String,
    /// `[index, count]`, ascending.
    pub buckets: Vec<(i32, u64)>,
}

impl Default for Latency {
    fn default() -> Self {
        Self { gamma: GAMMA, unit: "us".to_owned(), buckets: Vec::new() }
    }
}

impl Latency {
    /// How many responses were timed.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, (_, n)| sum.saturating_add(*n))
    }

    /// How many took longer than the bucket `index` holds.
    #[must_use]
    pub fn count_above(&self, index: i32) -> u64 {
        let above = self.buckets.iter().filter(|(i, _)| *i > index);
        above.fold(0, |sum, (_, n)| sum.saturating_add(*n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_bucket_stands_for_its_values_within_one_percent(value_us in 1u64..1_000_000_000) {
            let shown = value_of(index_of(value_us));
            let error = (shown - value_us as f64).abs() / value_us as f64;
            prop_assert!(error <= 0.010_001, "{value_us} µs shown as {shown}, off by {error}");
        }
    }

    #[test]
    fn the_contract_formula_is_used() {
        assert_eq!(index_of(1), 0);
        assert_eq!(index_of(13_700), ((13_700f64).ln() / 1.02f64.ln()).ceil() as i32);
        assert_eq!(index_of(u64::MAX), MAX_INDEX);
    }
}
