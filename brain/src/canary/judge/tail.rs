//! Slow responses at one quantile: how many lie beyond what the stable version's quantile allows.

use serde::{Deserialize, Serialize};

use super::contest::Contest;
use super::hypergeometric::Split;
use super::look::StratumCounts;
use super::reference::{Reference, shifted};
use super::settings::LatencyBounds;

/// A responses' tail. The canary's responses are held against a threshold raised by the tolerance (or the
/// limit), the stable version's against the threshold itself: if the canary is slower by no more than
/// that, its odds are no higher, whatever the shape of the latencies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Tail {
    quantile: f64,
    /// Held against the tolerance.
    pub(super) tolerated: Contest,
    /// Held against the limit.
    pub(super) limited: Contest,
}

/// Equals differ a little: this odds ratio beyond the shifted threshold is nobody's fault.
const EQUAL_ODDS: f64 = 1.15;

impl Tail {
    /// Of the responses beyond `quantile`.
    pub(super) fn new(quantile: f64) -> Self {
        let (tolerated, limited) = (Contest::new(EQUAL_ODDS, 3.0), Contest::excluding(1.0));
        Self { quantile, tolerated, limited }
    }

    /// `latency_p50` and so on.
    pub(super) fn name(&self) -> String {
        format!("latency_p{:.0}", self.quantile * 100.0)
    }

    /// Takes a look in; the references are those before it.
    pub(super) fn take(&mut self, strata: &[(&str, &StratumCounts, &Reference)], bounds: &LatencyBounds) {
        let limit = if self.quantile > 0.95 { bounds.tail_limit } else { bounds.limit };
        let splits = |ratio: f64| -> Vec<(&str, Split)> {
            let one = |(_, counts, reference): &(&'_ str, &StratumCounts, &Reference)| {
                let slow = reference.quantile(self.quantile)?;
                let slow_canary = shifted(slow, ratio, bounds.floor_us);
                let split = Split {
                    canary: counts.canary.latency.count(),
                    canary_bad: counts.canary.latency.count_above(slow_canary),
                    stable: counts.stable.latency.count(),
                    stable_bad: counts.stable.latency.count_above(slow),
                };
                Some(split)
            };
            strata.iter().filter_map(|s| one(s).map(|split| (s.0, split))).collect()
        };
        let (tolerated, limited) = (splits(bounds.tolerance), splits(limit));
        self.tolerated.take(&tolerated);
        self.limited.take(&limited);
    }
}
