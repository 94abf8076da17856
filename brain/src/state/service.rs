//! One service as the windows show it: its endpoints, its callers, its normal.

use std::collections::BTreeMap;

use protocol::latency::{MAX_INDEX, index_of, value_of};
use protocol::telemetry::Cell;

use serde::{Deserialize, Serialize};

use super::baseline::Baseline;
use super::endpoint::{Endpoint, WITNESS_FADE};
use super::series::{Ring, Tally};
use super::tail::Tail;
use super::vitals::Vitals;
use super::witness::{Witness, testify};
use crate::forecast::Minutes;
use crate::policies::{DetectionPolicy, PeerPolicy};
use crate::state::evidence::{Cusum, Dispersion};

/// The most proxies whose views of one endpoint are kept apart.
const MAX_REPORTERS: usize = 16;
/// Callers whose calls are counted apart.
const MAX_EDGES: usize = 32;
/// The most versions of one service that are kept apart.
const MAX_VERSIONS: usize = 32;
/// An endpoint without traffic for so long is cold again, milliseconds.
const COLD_AFTER_MS: i64 = 10_000;

/// One version of a service, as long as it has endpoints.
#[derive(Debug, Clone)]
pub struct Version {
    /// Start of the first window that showed it.
    pub first_ms: i64,
    /// Evidence that it fails more than the other versions.
    pub errors: Cusum,
    /// Evidence that it is slower than the other versions.
    pub latency: Cusum,
}

impl Version {
    /// A version that was first seen then, with nothing against it.
    #[must_use]
    pub fn seen_since(first_ms: i64) -> Self {
        Self { first_ms, errors: Cusum::default(), latency: Cusum::default() }
    }
}

/// How far each final statistic of a service reaches in quiet times.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Tails {
    /// Failures of the whole against its past.
    pub errors: Tail,
    /// Slowness of the whole against its past.
    pub latency: Tail,
    /// Failures of a part against the rest.
    pub peer_errors: Tail,
    /// Slowness of a part against the rest.
    pub peer_latency: Tail,
}

/// One service.
#[derive(Debug, Clone)]
pub struct Service {
    /// By `ADDRESS:PORT`.
    pub endpoints: BTreeMap<String, Endpoint>,
    /// By label; the empty label is none.
    pub versions: BTreeMap<String, Version>,
    /// Start of the first window that showed it.
    pub first_ms: i64,
    /// Who calls it: end of the newest window that says so.
    pub callers: BTreeMap<String, i64>,
    /// By caller, what it asked: failures here are failures there.
    pub edges: BTreeMap<String, Ring>,
    /// Which proxies report it: end of their newest window that does.
    pub reporters: BTreeMap<String, i64>,
    /// By proxy, what it saw of all endpoints together.
    pub witnesses: BTreeMap<String, Witness>,
    /// Connections that broke or could not be made, by second (in `failed`), and attempts made again (in `slow`).
    pub broken: Ring,
    /// Client-visible requests by second, and (in `slow`) those that took far too long.
    pub far: Ring,
    /// Client-visible requests by second; slow against the baseline's p99.
    pub ring: Ring,
    /// Highest sum of requests in flight, by second (in `n`).
    pub in_flight: Ring,
    /// Its normal.
    pub baseline: Baseline,
    /// How unevenly failures fall on endpoints in quiet times.
    pub error_dispersion: Dispersion,
    /// How unevenly slow responses do.
    pub slow_dispersion: Dispersion,
    /// What its alarms need beyond theory.
    pub tails: Tails,
    /// How its vital signs keep to each other.
    pub vitals: Vitals,
    /// The last hours' load, for forecasts.
    pub minutes: Minutes,
    /// Above this bucket an endpoint's response counts as slow.
    pub peer_slow_index: i32,
    /// The last second whose lesson was learned.
    pub learned_second: i64,
    /// Until then its telemetry is in doubt: some of it contradicted itself.
    pub doubted_until_ms: i64,
    /// The first second of the present trouble, as its evidence says.
    pub trouble_second: Option<i64>,
    /// Until then its baseline does not learn.
    pub frozen_until_ms: i64,
}

impl Service {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(policy: &DetectionPolicy) -> Self {
        Self {
            endpoints: BTreeMap::new(),
            versions: BTreeMap::new(),
            first_ms: i64::MAX,
            callers: BTreeMap::new(),
            edges: BTreeMap::new(),
            reporters: BTreeMap::new(),
            witnesses: BTreeMap::new(),
            broken: Ring::default(),
            far: Ring::default(),
            ring: Ring::default(),
            in_flight: Ring::default(),
            baseline: Baseline::new(policy.service.half_life_s),
            error_dispersion: Dispersion::default(),
            slow_dispersion: Dispersion::default(),
            tails: Tails::default(),
            vitals: Vitals::default(),
            minutes: Minutes::default(),
            peer_slow_index: MAX_INDEX,
            learned_second: i64::MIN,
            doubted_until_ms: i64::MIN,
            trouble_second: None,
            frozen_until_ms: i64::MIN,
        }
    }

    /// Counts one cell of a window of `proxy` that ended at `end_ms`.
    pub fn observe(&mut self, cell: &Cell, proxy: &str, at: Moment, warmup_ms: i64) {
        if !cell.caller.is_empty() {
            heard_of(&mut self.callers, &cell.caller, at.end_ms);
        }
        heard_of(&mut self.reporters, proxy, at.end_ms);
        let slow = cell.latency.count_above(self.baseline.slow_index());
        let failed = cell.failures();
        let tally = Tally { n: cell.requests, failed, slow };
        self.ring.add(at.second, tally);
        let far = cell.latency.count_above(self.baseline.far_index());
        self.far.add(at.second, Tally { n: cell.requests, failed: 0, slow: far });
        let broken = cell.resets.saturating_add(cell.connect_failures);
        self.broken.add(at.second, Tally { n: cell.requests, failed: broken, slow: cell.retries });
        if let Some(edge) = self.edges.get_mut(&cell.caller) {
            edge.add(at.second, tally);
        } else if self.edges.len() < MAX_EDGES {
            self.edges.entry(cell.caller.clone()).or_default().add(at.second, tally);
        }
        testify(&mut self.witnesses, proxy, at.end_ms, tally);
        self.in_flight.add(at.second, Tally { n: cell.in_flight_max, ..Tally::default() });
        if at.end_ms > self.frozen_until_ms {
            self.baseline.learn_latency(at.second, &cell.latency);
        }
        self.first_ms = self.first_ms.min(at.start_ms);
        self.observe_version(cell, at);
        self.observe_endpoint(cell, proxy, at, warmup_ms);
    }

    fn observe_version(&mut self, cell: &Cell, at: Moment) {
        let bounded = self.versions.len() < MAX_VERSIONS;
        if !cell.version.is_empty() && bounded && !self.versions.contains_key(&cell.version) {
            self.versions.insert(cell.version.clone(), Version::seen_since(at.start_ms));
        }
    }

    /// The endpoints that run `version`.
    pub fn of_version<'a>(&'a self, version: &'a str) -> impl Iterator<Item = (&'a String, &'a Endpoint)> {
        self.endpoints.iter().filter(move |(_, endpoint)| endpoint.version == version)
    }

    fn observe_endpoint(&mut self, cell: &Cell, proxy: &str, at: Moment, warmup_ms: i64) {
        let tally = Tally {
            n: cell.requests.saturating_add(cell.retries),
            failed: cell.failures().saturating_add(cell.retries),
            slow: cell.latency.count_above(self.peer_slow_index),
        };
        let graced = at.start_ms + warmup_ms;
        // Known but for the first time: no name is copied to look it up.
        if !self.endpoints.contains_key(&cell.endpoint) {
            let new = Endpoint::new(&cell.version, (proxy.to_owned(), at.end_ms), graced);
            self.endpoints.insert(cell.endpoint.clone(), new);
        }
        let Some(endpoint) = self.endpoints.get_mut(&cell.endpoint) else { return };
        if endpoint.is_told_by(proxy, at.end_ms) && endpoint.version != cell.version {
            endpoint.version.clone_from(&cell.version);
            endpoint.grace(graced);
        }
        endpoint.ring.add(at.second, tally);
        endpoint.sketch.add(at.second, &cell.latency);
        if tally.n == 0 {
            return;
        }
        if at.start_ms - endpoint.traffic_ms > COLD_AFTER_MS {
            endpoint.latency = Cusum::default();
            endpoint.graced_until_ms = endpoint.graced_until_ms.max(at.start_ms + 1_000);
        }
        endpoint.traffic_ms = endpoint.traffic_ms.max(at.end_ms);
        if at.start_ms < endpoint.graced_until_ms {
            return;
        }
        endpoint.fresh.add(tally);
        if let Some(seen) = endpoint.reporters.get_mut(proxy) {
            seen.0 = seen.0 * WITNESS_FADE + tally.n as f64;
            seen.1 = seen.1 * WITNESS_FADE + tally.failed as f64;
        } else if endpoint.reporters.len() < MAX_REPORTERS {
            endpoint.reporters.insert(proxy.to_owned(), (tally.n as f64, tally.failed as f64));
        }
    }

    /// Sets what counts as slow for the next windows: so many times the middle endpoint's p90 (the
    /// lower middle, so that of two the faster one sets it), and no less than the baseline's.
    pub fn set_peer_slow_index(&mut self, second: i64, policy: &PeerPolicy) {
        let mut p90s: Vec<i32> = self
            .endpoints
            .values()
            .filter(|e| e.sketch.weight(second) >= 5.0)
            .filter_map(|e| e.sketch.quantile_index(0.9))
            .collect();
        p90s.sort_unstable();
        let Some(middle) = p90s.get(p90s.len().saturating_sub(1) / 2).copied() else { return };
        let reference_us = value_of(middle.max(self.baseline.p90_index().unwrap_or(0)));
        let slow_us = (reference_us * policy.slow_factor).max(reference_us + policy.slow_margin_ms * 1_000.0);
        self.peer_slow_index = index_of(slow_us as u64);
    }

    /// Forgets what speaks against an endpoint, and looks away until `until_ms`.
    pub fn grace_endpoint(&mut self, id: &str, until_ms: i64) {
        if let Some(endpoint) = self.endpoints.get_mut(id) {
            endpoint.grace(until_ms);
        }
    }

    /// The same for all that run a version.
    pub fn grace_version(&mut self, label: &str, until_ms: i64) {
        self.endpoints.values_mut().filter(|e| e.version == label).for_each(|e| e.grace(until_ms));
        if let Some(version) = self.versions.get_mut(label) {
            version.errors = Cusum::default();
            version.latency = Cusum::default();
        }
    }

    /// All attempts of `from..=to`, over all endpoints.
    #[must_use]
    pub fn attempts(&self, from: i64, to: i64) -> Tally {
        let mut sum = Tally::default();
        self.endpoints.values().for_each(|e| sum.add(e.ring.sum(from, to)));
        sum
    }

    /// Requests in flight lately over the baseline's; 1 before there is one.
    #[must_use]
    pub fn in_flight_ratio(&self, second: i64) -> f64 {
        let lately = (second - 2..=second).map(|s| self.in_flight.at(s).n).max().unwrap_or(0) as f64;
        if self.baseline.in_flight() < 1.0 { 1.0 } else { lately / self.baseline.in_flight() }
    }

    /// Learns from every second that is over, when all is quiet.
    pub fn learn(&mut self, now_second: i64) {
        let last = now_second - 3;
        let first = self.learned_second.max(last - 30) + 1;
        for second in first..=last {
            self.minutes.count(second, self.ring.at(second).n);
            if second * 1_000 > self.frozen_until_ms {
                let (tally, retries) = (self.ring.at(second), self.broken.at(second).slow);
                let far = self.far.at(second).slow;
                self.baseline.learn_second(second, tally, far, self.in_flight.at(second).n, retries);
            }
        }
        self.learned_second = self.learned_second.max(last);
    }
}

/// The most callers, and the most reporting proxies, that are remembered.
const MAX_HEARD_OF: usize = 256;

fn heard_of(names: &mut BTreeMap<String, i64>, name: &str, end_ms: i64) {
    if let Some(newest) = names.get_mut(name) {
        *newest = end_ms;
    } else if names.len() < MAX_HEARD_OF {
        names.insert(name.to_owned(), end_ms);
    }
}

/// When a window was.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Its start.
    pub start_ms: i64,
    /// The instant just after it.
    pub end_ms: i64,
    /// The second its middle lies in.
    pub second: i64,
}
