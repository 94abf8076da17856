//! Which of several endpoints: pure choices over the weights of those that may be asked now.
//!
//! A weight of 0 means "not now", for whatever reason, and is never chosen. State is one worker's
//! own: workers do not coordinate, each spreads its own requests by weight.

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

/// The choice with the fewest requests in flight per weight, of all; ties go round.
#[derive(Debug, Clone, Default)]
pub struct LeastConnections {
    turn: usize,
}

impl LeastConnections {
    /// Starts its round at `turn`, so that workers do not all begin with the same endpoint.
    #[must_use]
    pub fn new(turn: usize) -> Self {
        Self { turn }
    }

    /// The next choice; `None` when every weight is 0. `in_flight` is asked once per choice.
    pub fn pick(&mut self, weights: &[u32], in_flight: impl Fn(usize) -> u32) -> Option<usize> {
        let choices = weights.len();
        let mut best: Option<(usize, u64, u64)> = None;
        for step in 0..choices {
            let at = (self.turn.wrapping_add(step)) % choices;
            let weight = u64::from(weights.get(at).copied().unwrap_or(0));
            if weight == 0 {
                continue;
            }
            // With this request on it, so that an idle heavy endpoint goes before an idle light one.
            let load = u64::from(in_flight(at)) + 1;
            // load/weight < least/its weight, without division.
            if best.is_none_or(|(_, least, of)| load * of < least * weight) {
                best = Some((at, load, weight));
            }
        }
        let (at, ..) = best?;
        self.turn = at.wrapping_add(1);
        Some(at)
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

        #[test]
        fn least_connections_never_picks_weight_zero_nor_a_busier_one(
            state in proptest::collection::vec((0u32..4, 0u32..50), 1..8), turn in 0usize..8
        ) {
            let weights: Vec<u32> = state.iter().map(|s| s.0).collect();
            let load = |at: usize| f64::from(state[at].1 + 1) / f64::from(weights[at]);
            match LeastConnections::new(turn).pick(&weights, |at| state[at].1) {
                None => prop_assert!(weights.iter().all(|w| *w == 0)),
                Some(at) => {
                    prop_assert!(weights[at] > 0);
                    let least = (0..weights.len()).filter(|i| weights[*i] > 0).map(load);
                    prop_assert!(load(at) <= least.fold(f64::INFINITY, f64::min) + 1e-9);
                }
            }
        }
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

    #[test]
    fn ties_go_round_while_all_are_idle() {
        let mut balancer = LeastConnections::default();
        assert_eq!(spread(300, 3, || balancer.pick(&[1, 1, 1], |_| 0)), [100, 100, 100]);
    }
}
