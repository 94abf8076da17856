//! Random choices by weight, and the better of several.
//!
//! The first draw of each request follows a low-discrepancy sequence (the golden ratio's, from a random
//! start), so that shares come out by weight sooner than independent draws would have them; the others
//! are pseudo-random. Of several the first stays unless another is clearly better, which is "the power of
//! two choices" (Mitzenmacher 2001) where two are drawn. HAProxy's `random` draws two as well and Envoy's
//! one, Linkerd and Finagle draw two for latency.
//!
//! Finagle draws evenly and divides the load by the weight, by which an idle light endpoint is never
//! asked beside an idle heavy one. Here the draw goes by weight, and load is compared per weight.

/// 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// One worker's draws.
#[derive(Debug, Clone)]
pub struct Draws {
    state: u64,
}

impl Draws {
    /// Starts at `seed`, which differs between workers.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: mixed(seed) }
    }

    /// One of `choices` draws by weight: the first, unless `better(it, the best so far)`. `None` when
    /// every weight is 0. `running` are the weights added up from the first on.
    pub fn pick(
        &mut self,
        running: &[u64],
        choices: u32,
        mut better: impl FnMut(usize, usize) -> bool,
    ) -> Option<usize> {
        let total = running.last().copied().filter(|total| *total > 0)?;
        self.state = self.state.wrapping_add(GOLDEN);
        let mut best = place(running, scaled(self.state, total));
        let mut other = self.state;
        for _ in 1..choices {
            other = mixed(other);
            let weight = weight_at(running, best);
            if weight == total {
                break;
            }
            // Drawn from the others: as many places as there are without the best so far.
            let drawn = scaled(other, total - weight);
            let before = running.get(best).copied().unwrap_or(0) - weight;
            let drawn = if drawn < before { drawn } else { drawn + weight };
            let at = place(running, drawn);
            if better(at, best) {
                best = at;
            }
        }
        Some(best)
    }
}

fn weight_at(running: &[u64], at: usize) -> u64 {
    let upto = |at: usize| running.get(at).copied().unwrap_or(0);
    upto(at) - at.checked_sub(1).map_or(0, upto)
}

/// Whose part of the sum `drawn` lies in.
fn place(running: &[u64], drawn: u64) -> usize {
    running.partition_point(|upto| *upto <= drawn)
}

/// `random`, of 64 bits, as a number below `total`.
fn scaled(random: u64, total: u64) -> u64 {
    ((u128::from(random) * u128::from(total)) >> 64) as u64
}

/// SplitMix64's finalizer (Steele, Lea, Flood 2014).
fn mixed(state: u64) -> u64 {
    let z = state.wrapping_add(GOLDEN);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn running(weights: &[u32]) -> Vec<u64> {
        let mut sum = 0;
        let mut add = |weight: &u32| {
            sum += u64::from(*weight);
            sum
        };
        weights.iter().map(&mut add).collect()
    }

    fn spread(weights: &[u32], seed: u64, choices: u32, load: impl Fn(usize) -> u32) -> Vec<usize> {
        let (running, mut draws) = (running(weights), Draws::new(seed));
        let mut counts = vec![0; weights.len()];
        for _ in 0..10_000 {
            counts[draws.pick(&running, choices, |a, b| load(a) < load(b)).unwrap()] += 1;
        }
        counts
    }

    proptest! {
        #[test]
        fn ten_thousand_draws_are_within_one_percent_of_their_weights(
            weights in proptest::collection::vec(0u32..=100, 1..8), seed: u64, choices in 1u32..=2
        ) {
            let total: u32 = weights.iter().sum();
            prop_assume!(total > 0);
            let counts = spread(&weights, seed, choices, |_| 0);
            for (count, weight) in counts.iter().zip(&weights) {
                let target = 10_000.0 * f64::from(*weight) / f64::from(total);
                prop_assert!((*count as f64 - target).abs() <= 100.0, "{counts:?} for {weights:?}");
                prop_assert!(*weight > 0 || *count == 0);
            }
        }

        #[test]
        fn of_two_different_ones_the_busiest_is_never_taken(seed: u64, busiest in 0usize..5) {
            let counts = spread(&[10, 20, 30, 40, 50], seed, 2, |at| u32::from(at == busiest));
            prop_assert_eq!(counts[busiest], 0);
            prop_assert!(counts.iter().enumerate().all(|(at, count)| at == busiest || *count > 0));
        }
    }

    #[test]
    fn nothing_is_drawn_from_nothing() {
        assert_eq!(Draws::new(1).pick(&running(&[0, 0]), 2, |_, _| true), None);
        assert_eq!(Draws::new(1).pick(&[], 2, |_, _| true), None);
        assert_eq!(Draws::new(1).pick(&running(&[0, 3]), 2, |_, _| true), Some(1));
    }
}
