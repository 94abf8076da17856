//! What the judge is shown: both versions in the same second, route by route.

use protocol::latency::Latency;
use protocol::telemetry::Cell;
use serde::{Deserialize, Serialize};

/// What one version did in one stratum since the last look. Counts are of *attempts*: an attempt that
/// failed here and was tried elsewhere is this version's failure, or retries would hide a bad canary.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Attempts that ended.
    pub requests: u64,
    /// Of them failed: 5xx, gRPC failures of the server's making, no response.
    pub failures: u64,
    /// Of the failures, those without any response: connection refused, reset.
    pub hard_failures: u64,
    /// How long the responses took.
    pub latency: Latency,
}

impl Counts {
    /// Adds what a telemetry cell says.
    pub fn add(&mut self, cell: &Cell) {
        let plus = |a: u64, b: u64| a.saturating_add(b);
        self.requests = plus(self.requests, plus(cell.requests, cell.retries));
        self.failures = plus(self.failures, plus(cell.failures(), cell.retries));
        self.hard_failures = plus(self.hard_failures, plus(cell.resets, cell.connect_failures));
        self.add_latency(&cell.latency);
    }

    /// Adds response times.
    pub(super) fn add_latency(&mut self, other: &Latency) {
        for (index, count) in &other.buckets {
            match self.latency.buckets.binary_search_by_key(index, |(i, _)| *i) {
                Ok(at) => {
                    if let Some((_, n)) = self.latency.buckets.get_mut(at) {
                        *n = n.saturating_add(*count);
                    }
                }
                Err(at) => self.latency.buckets.insert(at, (*index, *count)),
            }
        }
    }

    /// The same with more bad than requests set right: what a hostile or broken sender may claim.
    pub(super) fn sane(&self) -> (u64, u64, u64) {
        let failures = self.failures.min(self.requests);
        (self.requests, failures, self.hard_failures.min(failures))
    }
}

/// One route (or route and caller) in one look: only what is alike is compared.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StratumCounts {
    /// Its name; the same one in every look.
    pub stratum: String,
    /// The stable version.
    pub stable: Counts,
    /// The canary.
    pub canary: Counts,
}

/// One value of a business metric for both versions at one instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// As the settings name it.
    pub metric: String,
    /// The stable version's value.
    pub stable: f64,
    /// The canary's value.
    pub canary: f64,
}

/// One look, usually one second. Seconds in which telemetry is missing are simply not shown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// End of the time looked at, milliseconds since the epoch; never falls.
    pub at_ms: i64,
    /// The counts, in any order.
    pub strata: Vec<StratumCounts>,
    /// How many endpoints the canary has; 0 when not known. When it grows, new ones are cold.
    #[serde(default)]
    pub canary_endpoints: u32,
    /// How often processes of the canary were restarted since it began, as far as known.
    #[serde(default)]
    pub restarts: u32,
    /// Whether the platform says that the canary is in a crash loop.
    #[serde(default)]
    pub crash_looping: bool,
    /// Values of business metrics that arrived.
    #[serde(default)]
    pub readings: Vec<Reading>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_that_was_retried_elsewhere_is_a_failure_here() {
        let cell = Cell { requests: 10, retries: 4, resets: 1, ..Cell::default() };
        let mut counts = Counts::default();
        counts.add(&cell);
        assert_eq!((counts.requests, counts.failures, counts.hard_failures), (14, 5, 1));
    }

    #[test]
    fn latencies_of_several_cells_add_up_in_order() {
        let with = |buckets: Vec<(i32, u64)>| Cell {
            latency: Latency { buckets, ..Latency::default() },
            ..Cell::default()
        };
        let mut counts = Counts::default();
        counts.add(&with(vec![(5, 1), (9, 2)]));
        counts.add(&with(vec![(3, 1), (9, 1)]));
        assert_eq!(counts.latency.buckets, [(3, 1), (5, 1), (9, 3)]);
    }
}
