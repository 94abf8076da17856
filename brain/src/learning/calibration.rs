//! A reliability curve: what was said against what came true, in ten bins; its correction is isotonic
//! (pool adjacent violators), so that what was surer stays surer.

use serde::{Deserialize, Serialize};

const BINS: usize = 10;
/// A bin's own trials count as much as what was said, or as what was known before, when they are so many.
const SHRINK: f64 = 10.0;
/// Never sure.
const LEAST: f64 = 0.01;
const MOST: f64 = 0.99;

/// Sums of one bin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Sums {
    pub(super) said: f64,
    pub(super) came_true: f64,
    pub(super) n: u32,
}

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    pub(super) bins: [Sums; BINS],
}

fn bin_of(said: f64) -> usize {
    // Within 0 to BINS - 1 by the clamp.
    ((said.clamp(0.0, 1.0) * BINS as f64) as usize).min(BINS - 1)
}

impl Curve {
    /// One trial.
    pub fn learn(&mut self, said: f64, came_true: bool) {
        if let Some(bin) = self.bins.get_mut(bin_of(said)) {
            bin.said += said.clamp(0.0, 1.0);
            bin.came_true += f64::from(u8::from(came_true));
            bin.n = bin.n.saturating_add(1);
        }
    }

    /// What `said` is worth.
    #[must_use]
    pub fn corrected(&self, said: f64) -> f64 {
        self.corrected_from(|said| said, said)
    }

    /// What `said` is worth where `before`, another curve, was known before this one's first trial: where this one
    /// has few, the other is believed.
    #[must_use]
    pub fn corrected_after(&self, before: &Self, said: f64) -> f64 {
        self.corrected_from(|said| before.corrected(said), said)
    }

    fn corrected_from(&self, word: impl Fn(f64) -> f64, said: f64) -> f64 {
        let points = self.isotonic(&word);
        let off = points.get(bin_of(said)).map_or(0.0, |(middle, value)| value - middle);
        (word(said) + off).clamp(LEAST, MOST)
    }

    /// By bin: what `word` makes of what is said there on average, and what that is worth.
    fn isotonic(&self, word: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        // Value, weight, bins pooled.
        let mut pools: Vec<(f64, f64, usize)> = Vec::new();
        let mut middles = Vec::new();
        for (index, bin) in self.bins.iter().enumerate() {
            let n = f64::from(bin.n);
            let middle = if bin.n > 0 { bin.said / n } else { (index as f64 + 0.5) / BINS as f64 };
            let middle = word(middle);
            let own = (bin.came_true + SHRINK * middle) / (n + SHRINK);
            middles.push(middle);
            pools.push((own, n + 1.0, 1));
            while let [.., (low, low_weight, low_bins), (high, weight, bins)] = pools.as_slice() {
                if low <= high {
                    break;
                }
                let all = low_weight + weight;
                let pooled = ((low * low_weight + high * weight) / all, all, low_bins + bins);
                pools.truncate(pools.len() - 2);
                pools.push(pooled);
            }
        }
        let values = pools.into_iter().flat_map(|(value, _, bins)| std::iter::repeat_n(value, bins));
        middles.into_iter().zip(values).collect()
    }

    /// Expected calibration error: how far what was said lies from what came true, over all trials.
    #[must_use]
    pub fn error(&self) -> f64 {
        let all: f64 = self.bins.iter().map(|b| f64::from(b.n)).sum();
        let off: f64 = self.bins.iter().map(|b| (b.said - b.came_true).abs()).sum();
        if all > 0.0 { off / all } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_was_too_sure_is_believed_less() {
        let mut curve = Curve::default();
        assert!((curve.corrected(0.95) - 0.95).abs() < 1e-9, "nothing learned, nothing corrected");
        (0..90).for_each(|n| curve.learn(0.95, n % 2 == 0));
        assert!((curve.corrected(0.95) - 0.545).abs() < 0.01, "{}", curve.corrected(0.95));
        assert!((curve.error() - 0.45).abs() < 0.01);
        assert!(curve.corrected(0.3) <= curve.corrected(0.95));
    }

    #[test]
    fn what_was_known_before_is_believed_until_a_handful_of_trials_says_otherwise() {
        let (mut before, mut here) = (Curve::default(), Curve::default());
        (0..200).for_each(|_| before.learn(0.85, true));
        assert!(here.corrected_after(&before, 0.85) > 0.97);
        (0..12).for_each(|_| here.learn(0.85, false));
        assert!(here.corrected_after(&before, 0.85) < 0.5, "{}", here.corrected_after(&before, 0.85));
    }

    proptest! {
        #[test]
        fn a_correction_is_a_probability_and_keeps_the_order_of_bins(
            trials in prop::collection::vec((0.0f64..1.0, any::<bool>()), 0..300),
        ) {
            let mut curve = Curve::default();
            trials.iter().for_each(|(said, came_true)| curve.learn(*said, *came_true));
            let values: Vec<f64> = curve.isotonic(|said| said).into_iter().map(|(_, value)| value).collect();
            prop_assert_eq!(values.len(), BINS);
            prop_assert!(values.windows(2).all(|w| w[0] <= w[1] + 1e-9), "{:?}", values);
            for said in [0.0, 0.35, 0.8, 1.0] {
                prop_assert!((LEAST..=MOST).contains(&curve.corrected(said)));
            }
        }
    }
}
