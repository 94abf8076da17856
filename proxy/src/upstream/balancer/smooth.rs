//! Smooth weighted round robin.

/// Smooth weighted round robin, as in nginx (Igor Sysoev, commit 52327e0627f4, 2012): exact shares
/// over every full cycle, and no bursts towards the heaviest.
#[derive(Debug, Clone)]
pub struct SmoothRoundRobin {
    credit: Vec<i64>,
}

impl SmoothRoundRobin {
    /// For so many choices.
    #[must_use]
    pub fn new(choices: usize) -> Self {
        Self { credit: vec![0; choices] }
    }

    /// Forgets all claims, as when weights are counted in another unit.
    pub fn restart(&mut self) {
        self.credit.fill(0);
    }

    /// The next choice; `None` when every weight is 0. Weights beyond the number of choices are
    /// not looked at.
    pub fn pick(&mut self, weights: &[u32]) -> Option<usize> {
        let mut total = 0i64;
        let mut best: Option<(usize, i64)> = None;
        for (at, (credit, weight)) in self.credit.iter_mut().zip(weights).enumerate() {
            if *weight == 0 {
                // A choice that comes back starts afresh, with no claim on what it missed.
                *credit = 0;
                continue;
            }
            *credit += i64::from(*weight);
            total += i64::from(*weight);
            if best.is_none_or(|(_, most)| *credit > most) {
                best = Some((at, *credit));
            }
        }
        let (at, _) = best?;
        if let Some(credit) = self.credit.get_mut(at) {
            *credit -= total;
        }
        Some(at)
    }
}

impl SmoothRoundRobin {
    /// Whose turn is next among those with a weight, beside the rounds: a request that has had its turn goes
    /// there instead, and nobody's claims change by it. Else whom it leaves would have the next turn too.
    #[must_use]
    pub fn beside(&self, weights: &[u32]) -> Option<usize> {
        let turns = self.credit.iter().zip(weights).enumerate().filter(|(_, (_, weight))| **weight > 0);
        let claim = |credit: i64, weight: u32| credit + i64::from(weight);
        turns.rev().max_by_key(|(_, (credit, weight))| claim(**credit, **weight)).map(|(at, _)| at)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn weights() -> impl Strategy<Value = Vec<u32>> {
        proptest::collection::vec(0u32..=100, 1..8)
            .prop_filter("something to choose", |w| w.iter().any(|w| *w > 0))
    }

    fn spread(picks: usize, choices: usize, mut pick: impl FnMut() -> Option<usize>) -> Vec<usize> {
        let mut counts = vec![0; choices];
        (0..picks).for_each(|_| counts[pick().unwrap()] += 1);
        counts
    }

    proptest! {
        #[test]
        fn ten_thousand_picks_are_within_one_percent_of_their_weights(weights in weights()) {
            let mut balancer = SmoothRoundRobin::new(weights.len());
            let counts = spread(10_000, weights.len(), || balancer.pick(&weights));
            let total: u32 = weights.iter().sum();
            for (count, weight) in counts.iter().zip(&weights) {
                let target = 10_000.0 * f64::from(*weight) / f64::from(total);
                prop_assert!((*count as f64 - target).abs() <= 100.0, "{counts:?} for {weights:?}");
                prop_assert!(*weight > 0 || *count == 0);
            }
        }
    }

    #[test]
    fn who_is_asked_beside_the_rounds_changes_nobodys_turn() {
        let mut balancer = SmoothRoundRobin::new(2);
        let mut asked = [0, 0];
        for _ in 0..100 {
            let first = balancer.pick(&[1, 1]).unwrap();
            asked[first] += 1;
            if first == 0 {
                assert_eq!(balancer.beside(&[0, 1]), Some(1));
            }
        }
        assert_eq!(asked, [50, 50]);
        assert_eq!(balancer.beside(&[0, 0]), None);
    }

    #[test]
    fn the_heaviest_comes_spread_out_not_in_a_burst() {
        let mut balancer = SmoothRoundRobin::new(3);
        let picks: Vec<_> = (0..7).filter_map(|_| balancer.pick(&[5, 1, 1])).collect();
        assert_eq!(picks, [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn an_endpoint_that_comes_back_gets_its_share_and_no_more() {
        let mut balancer = SmoothRoundRobin::new(2);
        spread(1_000, 2, || balancer.pick(&[1, 0]));
        assert_eq!(spread(100, 2, || balancer.pick(&[1, 1])), [50, 50]);
    }
}
