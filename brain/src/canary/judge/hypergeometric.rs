//! How many of all bad requests fall on the canary by chance: Fisher's noncentral hypergeometric law.
//!
//! Given the sizes of both sides and how many requests were bad in all, the canary's part depends on
//! the odds ratio alone. What both sides share (load, a sick dependency, the hour) cancels, and no
//! baseline share must be known. Source: Fisher, "The logic of inductive inference", JRSS 1935;
//! Fog, "Calculation methods for Fisher's noncentral hypergeometric distribution", 2008.
//! The likelihood ratio rises with the canary's part, so it is an e-value for every smaller odds ratio too.

/// Terms smaller than this share of the largest do not count.
const NEGLIGIBLE: f64 = 1e-13;
/// More values than this are not added up: the counts are thinned first.
const MOST_TERMS: u64 = 16_384;

/// The counts of one stratum in one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Split {
    /// The canary's requests.
    pub(super) canary: u64,
    /// The bad among them.
    pub(super) canary_bad: u64,
    /// The stable version's requests.
    pub(super) stable: u64,
    /// The bad among them.
    pub(super) stable_bad: u64,
}

impl Split {
    /// Whether the look can tell the sides apart at all.
    pub(super) fn tells(self) -> bool {
        let bad = self.canary_bad.saturating_add(self.stable_bad);
        let all = self.canary.saturating_add(self.stable);
        self.canary > 0 && self.stable > 0 && bad > 0 && bad < all
    }

    /// The same with counts small enough to compute with; loses evidence, adds none on average.
    fn thinned(self) -> Self {
        let by = (self.canary.min(self.canary_bad.saturating_add(self.stable_bad)) / MOST_TERMS).max(1);
        let (canary, stable) = (self.canary / by, self.stable / by);
        let canary_bad = (self.canary_bad / by).min(canary);
        Self { canary, canary_bad, stable, stable_bad: (self.stable_bad / by).min(stable) }
    }
}

/// The law of the canary's part for one look, for any odds ratio.
#[derive(Debug)]
pub(super) struct Law {
    observed: usize,
    /// Weight of each value over that of the one before, at odds ratio 1; falling.
    ratios: Vec<f64>,
    /// Log weight of each value at odds ratio 1, the least value at 0.
    weights: Vec<f64>,
    least: f64,
}

/// What the law says at one odds ratio.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    /// Log probability of what was observed.
    pub(super) log_probability: f64,
    /// Expected part of the canary.
    pub(super) mean: f64,
    /// Its variance.
    pub(super) variance: f64,
}

impl Law {
    /// The law of one look.
    pub(super) fn new(split: Split) -> Self {
        let Split { canary, canary_bad, stable, stable_bad } = split.thinned();
        let bad = canary_bad + stable_bad;
        let (low, high) = (bad.saturating_sub(stable), bad.min(canary));
        let mut weights = Vec::with_capacity((high - low + 1) as usize);
        let mut ratios = Vec::with_capacity((high - low) as usize);
        let mut weight = 0.0;
        weights.push(weight);
        for x in low..high {
            let up = (canary - x) as f64 * (bad - x) as f64;
            let down = (x + 1) as f64 * (stable + x + 1 - bad) as f64;
            ratios.push(up / down);
            weight += (up / down).ln();
            weights.push(weight);
        }
        Self { observed: (canary_bad - low) as usize, ratios, weights, least: low as f64 }
    }

    /// The law at one odds ratio, whose logarithm is `log_odds`.
    pub(super) fn at(&self, log_odds: f64) -> At {
        let odds = log_odds.exp();
        // The ratios fall, so the most likely value is where they pass 1.
        let mode = self.ratios.partition_point(|ratio| ratio * odds >= 1.0);
        let (mut sum, mut first, mut second) = (1.0, 0.0, 0.0);
        let mut add = |term: f64, distance: f64| {
            sum += term;
            first += term * distance;
            second += term * distance * distance;
        };
        let (mut term, mut distance) = (1.0, 0.0);
        for ratio in self.ratios.iter().skip(mode) {
            (term, distance) = (term * ratio * odds, distance + 1.0);
            if term < NEGLIGIBLE {
                break;
            }
            add(term, distance);
        }
        (term, distance) = (1.0, 0.0);
        for ratio in self.ratios.iter().take(mode).rev() {
            (term, distance) = (term / (ratio * odds), distance - 1.0);
            if term < NEGLIGIBLE {
                break;
            }
            add(term, distance);
        }
        let (shift, weight) = (first / sum, |at: usize| self.weights.get(at).copied().unwrap_or(0.0));
        let log_total = weight(mode) + mode as f64 * log_odds + sum.ln();
        At {
            log_probability: weight(self.observed) + self.observed as f64 * log_odds - log_total,
            mean: self.least + mode as f64 + shift,
            variance: (second / sum - shift * shift).max(0.0),
        }
    }

    /// The part that was observed.
    pub(super) fn observed(&self) -> f64 {
        self.least + self.observed as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Straight from the definition, with factorials by summed logarithms.
    fn by_definition(canary: u64, stable: u64, bad: u64, x: u64, odds: f64) -> f64 {
        let choose =
            |n: u64, k: u64| -> f64 { (0..k).map(|i| ((n - i) as f64).ln() - ((i + 1) as f64).ln()).sum() };
        let term = |x: u64| (choose(canary, x) + choose(stable, bad - x) + x as f64 * odds.ln()).exp();
        let all: f64 = (bad.saturating_sub(stable)..=bad.min(canary)).map(term).sum();
        term(x) / all
    }

    proptest! {
        #[test]
        fn probabilities_are_those_of_the_definition(
            canary in 1u64..40, stable in 1u64..60, share in 0.0f64..1.0, place in 0.0f64..1.0, odds in 0.05f64..40.0,
        ) {
            let bad = ((canary + stable) as f64 * share) as u64;
            let (low, high) = (bad.saturating_sub(stable), bad.min(canary));
            let x = low + ((high - low) as f64 * place) as u64;
            let law = Law::new(Split { canary, canary_bad: x, stable, stable_bad: bad - x });
            let expected = by_definition(canary, stable, bad, x, odds);
            let found = law.at(odds.ln()).log_probability.exp();
            prop_assert!((found - expected).abs() < 1e-9, "{found} for {expected}");
        }

        #[test]
        fn the_likelihood_ratio_is_an_e_value_also_for_smaller_odds(
            canary in 1u64..30, stable in 1u64..60, bad in 1u64..30, truth in 0.1f64..1.0, more in 1.0f64..50.0,
        ) {
            let bad = bad.min(canary + stable - 1);
            let null: f64 = 1.25;
            let parts = bad.saturating_sub(stable)..=bad.min(canary);
            let mean: f64 = parts.map(|x| {
                let law = Law::new(Split { canary, canary_bad: x, stable, stable_bad: bad - x });
                let at = |odds: f64| law.at(odds.ln()).log_probability;
                (at(truth * null) + at(more * null) - at(null)).exp()
            }).sum();
            prop_assert!(mean <= 1.0 + 1e-9, "{mean}");
        }
    }

    #[test]
    fn the_mean_at_equal_odds_is_the_share_of_the_requests() {
        let law = Law::new(Split { canary: 50, canary_bad: 3, stable: 950, stable_bad: 97 });
        let at = law.at(0.0);
        assert!((at.mean - 5.0).abs() < 1e-9);
        assert!((at.variance - 5.0 * 0.95 * 900.0 / 999.0).abs() < 1e-6, "{}", at.variance);
        assert!((law.observed() - 3.0).abs() < 1e-12);
    }

    #[test]
    fn counts_of_any_size_are_computed_with() {
        let huge = Split { canary: 1 << 40, canary_bad: 1 << 39, stable: 1 << 41, stable_bad: 1 << 40 };
        let at = Law::new(huge).at(0.0);
        assert!(at.log_probability.is_finite() && at.mean.is_finite());
    }
}
