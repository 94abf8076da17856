//! A bet spread over alternatives and over the moment at which the trouble began.
//!
//! Each alternative's wealth multiplies by its likelihood ratio; a mean of such wealths is again an
//! e-process, so it may be looked at as often as one likes: under the null it ever reaches `c` with
//! probability at most `1/c` (Ville 1939). Sources: Wald 1945; Robbins, "Statistical methods related to
//! the law of the iterated logarithm", 1970; Ramdas, Grünwald, Vovk and Shafer, "Game-theoretic statistics
//! and safe anytime-valid inference", Statistical Science 2023. Part of the stake is laid later, in
//! ever smaller portions, so that a canary which goes bad after an hour is not protected by its good
//! past (Shin, Ramdas and Rinaldo, "E-detectors", NEJSDS 2023).

use serde::{Deserialize, Serialize};

/// Laid at once.
const AT_ONCE: f64 = 0.5;
/// Laid over time, the k-th portion being `1/(k(k+1))` of it.
const OVER_TIME: f64 = 0.25;
/// Laid at each new step of the rollout, while any of the last quarter is left.
const AT_STEP: f64 = 0.025;
const STEPS: u32 = 10;

/// The most log wealth won in one look.
const MOST_A_LOOK: f64 = 3.0;

/// When part of the stake is laid anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Onset {
    /// Some time has passed.
    Time,
    /// The canary has got more traffic.
    Step,
}

/// The bet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Mixture {
    /// Log wealth by alternative, of what was laid.
    wealth: Vec<f64>,
    /// What was not laid yet.
    kept: f64,
    times: u32,
    steps: u32,
}

impl Mixture {
    /// Over so many alternatives.
    pub(super) fn over(alternatives: usize) -> Self {
        Self { wealth: vec![AT_ONCE.ln(); alternatives], kept: 1.0 - AT_ONCE, times: 0, steps: 0 }
    }

    /// Lays a fresh portion.
    pub(super) fn lay(&mut self, onset: Onset) {
        let portion = match onset {
            Onset::Time => {
                self.times = self.times.saturating_add(1);
                let k = f64::from(self.times);
                OVER_TIME / (k * (k + 1.0))
            }
            Onset::Step if self.steps < STEPS => {
                self.steps += 1;
                AT_STEP
            }
            Onset::Step => return,
        };
        self.kept = (self.kept - portion).max(0.0);
        for wealth in &mut self.wealth {
            *wealth = log_sum([*wealth, portion.ln()]);
        }
    }

    /// Takes a look's log likelihood ratios in, one an alternative. No look decides alone: one broken
    /// connection may take many requests with it. To gain less than one has won is always allowed.
    pub(super) fn gain(&mut self, ratios: impl IntoIterator<Item = f64>) {
        for (wealth, ratio) in self.wealth.iter_mut().zip(ratios) {
            *wealth += ratio.min(MOST_A_LOOK);
        }
    }

    /// Logarithm of the e-value.
    pub(super) fn log_e(&self) -> f64 {
        let share = (self.wealth.len().max(1) as f64).ln();
        log_sum(self.wealth.iter().map(|w| w - share).chain([self.kept.max(1e-300).ln()]))
    }
}

/// Logarithm of the sum of exponentials.
pub(super) fn log_sum(terms: impl IntoIterator<Item = f64> + Clone) -> f64 {
    let top = terms.clone().into_iter().fold(f64::NEG_INFINITY, f64::max);
    if top == f64::NEG_INFINITY {
        return top;
    }
    top + terms.into_iter().map(|term| (term - top).exp()).sum::<f64>().ln()
}

/// Logarithm of the mean of exponentials.
pub(super) fn log_mean(terms: impl IntoIterator<Item = f64> + Clone) -> f64 {
    let count = terms.clone().into_iter().count().max(1) as f64;
    log_sum(terms) - count.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bet_that_has_won_nothing_is_worth_its_stake() {
        let mut bet = Mixture::over(4);
        for _ in 0..1_000 {
            bet.lay(Onset::Time);
            bet.lay(Onset::Step);
        }
        assert!(bet.log_e().abs() < 1e-9, "{}", bet.log_e());
    }

    #[test]
    fn a_good_past_does_not_protect_for_long() {
        let (mut late, mut early) = (Mixture::over(1), Mixture::over(1));
        for second in 0..1_000 {
            if second % 20 == 0 {
                late.lay(Onset::Time);
            }
            late.gain([-1.0]);
        }
        for second in 1_000..1_040 {
            if second % 20 == 0 {
                late.lay(Onset::Time);
            }
            late.gain([0.7]);
            early.gain([0.7]);
        }
        assert!(early.log_e() > 25.0);
        assert!(late.log_e() > 1_000f64.ln(), "{}", late.log_e());
    }

    #[test]
    fn sums_of_very_small_terms_are_exact() {
        assert!((log_sum([-1_000.0, -1_000.0]) - (-1_000.0 + 2f64.ln())).abs() < 1e-12);
        assert!((log_mean([3.0, 3.0, 3.0]) - 3.0).abs() < 1e-12);
    }
}
