//! The canary's own share of failures against a fixed share: what a stable version without a single
//! error cannot tell, and what makes one stray failure harmless.
//!
//! A betting e-process on a Bernoulli share (Waudby-Smith and Ramdas, "Estimating means of bounded random
//! variables by betting", JRSS B 2024).

use serde::{Deserialize, Serialize};

use super::mixture::{Mixture, Onset, log_mean};
use super::settings::ErrorBounds;

/// Alternatives above the tolerated share, as multiples of it.
const WORSE: [f64; 9] = [1.5, 2.0, 3.0, 5.0, 10.0, 25.0, 70.0, 200.0, 600.0];
/// Alternatives below the limit, as multiples of it.
const BETTER: [f64; 5] = [0.7, 0.4, 0.2, 0.05, 0.005];
const MOST: f64 = 0.95;

/// Evidence on the canary's own share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Share {
    worse: Mixture,
    n: u64,
    bad: u64,
}

fn log_ratio(alternative: f64, null: f64, n: u64, bad: u64) -> f64 {
    let (alternative, null) = (alternative.min(MOST), null.min(MOST));
    let fine = n.saturating_sub(bad) as f64;
    bad as f64 * (alternative / null).ln() + fine * ((1.0 - alternative) / (1.0 - null)).ln()
}

impl Share {
    /// Nothing known.
    pub(super) fn new() -> Self {
        Self { worse: Mixture::over(WORSE.len()), n: 0, bad: 0 }
    }

    /// Lays part of the bet anew.
    pub(super) fn lay(&mut self, onset: Onset) {
        self.worse.lay(onset);
    }

    /// Takes the canary's `n` requests in, `bad` of them failed.
    pub(super) fn take(&mut self, n: u64, bad: u64, bounds: &ErrorBounds) {
        let null = bounds.tolerance.share;
        self.worse.gain(WORSE.iter().map(|times| log_ratio(times * null, null, n, bad)));
        self.n = self.n.saturating_add(n);
        self.bad = self.bad.saturating_add(bad);
    }

    /// Log e-value against "at most the tolerated share".
    pub(super) fn log_e_worse(&self) -> f64 {
        self.worse.log_e()
    }

    /// Log e-value against "at least the limit", the limit taken `times` as high.
    pub(super) fn log_e_within(&self, bounds: &ErrorBounds, times: f64) -> f64 {
        let null = bounds.limit.share * times;
        log_mean(BETTER.iter().map(|share| log_ratio(share * null, null, self.n, self.bad)))
    }

    /// Expected further log evidence per request if the canary's share is `share`, at its best alternative.
    pub(super) fn growth_within(bounds: &ErrorBounds, times: f64, share: f64) -> f64 {
        let null = (bounds.limit.share * times).min(MOST);
        let gain = |factor: &f64| {
            let alternative = factor * null;
            share * (alternative / null).ln() + (1.0 - share) * ((1.0 - alternative) / (1.0 - null)).ln()
        };
        BETTER.iter().map(gain).fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stray_failure_is_harmless_and_silence_excludes_harm() {
        let bounds = ErrorBounds::default();
        let mut share = Share::new();
        share.take(100, 1, &bounds);
        assert!(share.log_e_worse() < 1_000f64.ln());
        share.take(4_500, 0, &bounds);
        assert!(share.log_e_within(&bounds, 1.0) > 100f64.ln(), "{}", share.log_e_within(&bounds, 1.0));
    }

    #[test]
    fn a_larger_limit_is_excluded_sooner() {
        let bounds = ErrorBounds::default();
        let mut share = Share::new();
        share.take(400, 0, &bounds);
        let evidence = [1.0, 2.0, 5.0, 10.0].map(|times| share.log_e_within(&bounds, times));
        assert!(evidence.windows(2).all(|pair| pair[1] > pair[0]), "{evidence:?}");
    }
}
