//! Least connections.

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

    fn spread(picks: usize, choices: usize, mut pick: impl FnMut() -> Option<usize>) -> Vec<usize> {
        let mut counts = vec![0; choices];
        (0..picks).for_each(|_| counts[pick().unwrap()] += 1);
        counts
    }

    proptest! {
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
    fn ties_go_round_while_all_are_idle() {
        let mut balancer = LeastConnections::default();
        assert_eq!(spread(300, 3, || balancer.pick(&[1, 1, 1], |_| 0)), [100, 100, 100]);
    }
}
