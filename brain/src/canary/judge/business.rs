//! A metric of the business, canary against stable, reading by reading.
//!
//! Only the sign of each comparison counts: more than the tolerance worse, or not. Whatever the metric's
//! distribution, equals are worse at most every other time. A sign test as a bet (Ramdas, Ruf, Larsson and Koolen, "Admissible
//! anytime-valid sequential inference must rely on nonnegative martingales", 2020); readings that share their
//! data are skipped by their spacing.

use serde::{Deserialize, Serialize};

use super::look::Reading;
use super::mixture::{Mixture, Onset, log_mean};
use super::settings::{BusinessMetric, Worse};

/// How often the canary may be worse instead of every other time.
const WORSE: [f64; 3] = [0.65, 0.85, 0.98];

/// Evidence of one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Business {
    /// What it is.
    pub(super) metric: BusinessMetric,
    worse: Mixture,
    readings: u64,
    readings_worse: u64,
    at_ms: Option<i64>,
}

impl Business {
    /// Nothing known.
    pub(super) fn new(metric: BusinessMetric) -> Self {
        Self { metric, worse: Mixture::over(WORSE.len()), readings: 0, readings_worse: 0, at_ms: None }
    }

    /// Takes a reading in, if it is new enough and a number.
    pub(super) fn take(&mut self, at_ms: i64, reading: &Reading) {
        let soon = self.at_ms.is_some_and(|last| at_ms.saturating_sub(last) < self.metric.spacing_ms);
        if soon
            || reading.metric != self.metric.name
            || !reading.stable.is_finite()
            || !reading.canary.is_finite()
        {
            return;
        }
        self.at_ms = Some(at_ms);
        let margin = self.metric.tolerance * reading.stable.abs();
        let is_worse = match self.metric.worse {
            Worse::Lower => reading.canary < reading.stable - margin,
            Worse::Higher => reading.canary > reading.stable + margin,
        };
        self.readings += 1;
        self.readings_worse += u64::from(is_worse);
        self.worse.gain(WORSE.map(|p| if is_worse { (2.0 * p).ln() } else { (2.0 * (1.0 - p)).ln() }));
    }

    /// Lays part of the bet anew.
    pub(super) fn lay(&mut self, onset: Onset) {
        self.worse.lay(onset);
    }

    /// Log e-value against "worse no more than every other time".
    pub(super) fn log_e_worse(&self) -> f64 {
        self.worse.log_e()
    }

    /// Log e-value against "worse at least every other time".
    pub(super) fn log_e_within(&self) -> f64 {
        let (worse, fine) = (self.readings_worse as f64, (self.readings - self.readings_worse) as f64);
        log_mean(WORSE.iter().map(|p| fine * (2.0 * p).ln() + worse * (2.0 * (1.0 - p)).ln()))
    }

    /// Readings taken, and those that were worse.
    pub(super) fn readings(&self) -> (u64, u64) {
        (self.readings, self.readings_worse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric() -> BusinessMetric {
        let (name, worse) = ("orders".to_owned(), Worse::Lower);
        BusinessMetric { name, worse, tolerance: 0.05, required: true, spacing_ms: 60_000 }
    }

    fn reading(canary: f64) -> Reading {
        Reading { metric: "orders".to_owned(), stable: 100.0, canary }
    }

    #[test]
    fn a_canary_that_sells_less_is_found_within_a_quarter_of_an_hour() {
        let mut orders = Business::new(metric());
        (0..15).for_each(|minute| orders.take(minute * 60_000, &reading(80.0)));
        assert!(orders.log_e_worse() > 1_000f64.ln(), "{}", orders.log_e_worse());
        assert!(orders.log_e_within() < 0.0);
    }

    #[test]
    fn within_the_tolerance_it_is_good_and_repeated_readings_do_not_count() {
        let mut orders = Business::new(metric());
        (0..12).for_each(|minute| orders.take(minute * 60_000, &reading(97.0)));
        assert!(orders.log_e_within() > 100f64.ln() && orders.log_e_worse() < 0.0);
        orders.take(11 * 60_000 + 1, &reading(97.0));
        orders.take(13 * 60_000, &reading(f64::NAN));
        assert_eq!(orders.readings(), (12, 0));
    }
}
