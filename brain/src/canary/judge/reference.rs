//! What is slow: the stable version's own quantiles of the last minutes, stratum by stratum.
//!
//! Only how many responses lie beyond a threshold is ever tested, never a quantile's value. The
//! thresholds of a look come from earlier looks alone, so they may drift without touching the guarantee.

use protocol::latency::{GAMMA, Latency, MAX_INDEX};
use serde::{Deserialize, Serialize};

/// Memory of the thresholds, milliseconds to a share of 1/e.
const MEMORY_MS: f64 = 300_000.0;
/// Buckets with less left than this are dropped.
const CRUMBS: f64 = 0.02;
/// So many responses beyond a quantile make it known.
const BEYOND: f64 = 4.0;

/// A fading sketch of one stratum's stable responses.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Reference {
    /// Rising by index; weights.
    buckets: Vec<(i32, f64)>,
    total: f64,
    at_ms: i64,
}

impl Reference {
    /// Adds a look's responses.
    pub(super) fn add(&mut self, at_ms: i64, latency: &Latency) {
        let passed = at_ms.saturating_sub(self.at_ms).max(0) as f64;
        let left = if self.total > 0.0 { (-passed / MEMORY_MS).exp() } else { 0.0 };
        self.at_ms = at_ms;
        self.buckets.iter_mut().for_each(|(_, weight)| *weight *= left);
        self.buckets.retain(|(_, weight)| *weight >= CRUMBS);
        for (index, count) in latency.buckets.iter().filter(|(i, _)| (0..=MAX_INDEX).contains(i)) {
            match self.buckets.binary_search_by_key(index, |(i, _)| *i) {
                Ok(at) => {
                    if let Some(bucket) = self.buckets.get_mut(at) {
                        bucket.1 += *count as f64;
                    }
                }
                Err(at) => self.buckets.insert(at, (*index, *count as f64)),
            }
        }
        self.total = self.buckets.iter().map(|(_, weight)| weight).sum();
    }

    /// The bucket in which the quantile lies, once enough is known.
    pub(super) fn quantile(&self, q: f64) -> Option<i32> {
        if self.total * (1.0 - q) < BEYOND {
            return None;
        }
        let mut left = self.total * q;
        let reached = |(index, weight): &(i32, f64)| {
            left -= weight;
            (left <= 0.0).then_some(*index)
        };
        self.buckets.iter().find_map(reached)
    }
}

/// The bucket beyond which a canary is slow that may be `ratio` times as slow, and by `floor_us` in any case.
pub(super) fn shifted(index: i32, ratio: f64, floor_us: u64) -> i32 {
    let edge = GAMMA.powi(index);
    let allowed = (edge * ratio).max(edge + floor_us as f64);
    let buckets = (allowed / edge).ln() / GAMMA.ln();
    // At most MAX_INDEX of them: `as` saturates.
    index.saturating_add(buckets.round().min(f64::from(MAX_INDEX)) as i32)
}

/// Mean and variance of the log latency but for a constant that all share, and how many responses.
pub(super) fn log_moments(latency: &Latency) -> (f64, f64, f64) {
    let (mut n, mut first, mut second) = (0.0, 0.0, 0.0);
    for (index, count) in &latency.buckets {
        let (index, count) = (f64::from(*index), *count as f64);
        n += count;
        first += index * count;
        second += index * index * count;
    }
    let (mean, step) = (first / f64::max(n, 1.0), GAMMA.ln());
    let variance = (second / f64::max(n, 1.0) - mean * mean).max(0.0);
    (mean * step, variance * step * step, n)
}

#[cfg(test)]
mod tests {
    use protocol::latency::value_of;

    use super::*;

    fn even(from: i32, to: i32) -> Latency {
        Latency { buckets: (from..to).map(|i| (i, 1)).collect(), ..Latency::default() }
    }

    #[test]
    fn a_quantile_is_known_once_enough_lies_beyond_it() {
        let mut reference = Reference::default();
        reference.add(1_000, &even(100, 200));
        assert_eq!(reference.quantile(0.5), Some(149));
        assert_eq!(reference.quantile(0.99), None);
        for second in 2..6 {
            reference.add(second * 1_000, &even(100, 200));
        }
        assert!(reference.quantile(0.99).is_some());
    }

    #[test]
    fn the_thresholds_follow_the_stable_version() {
        let mut reference = Reference::default();
        reference.add(0, &even(100, 200));
        for minute in 1..40 {
            reference.add(minute * 60_000, &even(300, 400));
        }
        assert!((349..=350).contains(&reference.quantile(0.5).unwrap_or_default()));
    }

    #[test]
    fn a_tenth_slower_is_five_buckets_and_a_fast_service_gets_the_floor() {
        assert_eq!(shifted(600, 1.1, 500), 605);
        let one_ms = protocol::latency::index_of(1_000);
        let allowed = value_of(shifted(one_ms, 1.1, 500)) / value_of(one_ms);
        assert!((1.45..1.55).contains(&allowed), "{allowed}");
    }
}
