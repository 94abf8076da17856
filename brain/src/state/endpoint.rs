//! One endpoint of a service, as all proxies together see it.

use std::collections::BTreeMap;

use super::evidence::Cusum;
use super::series::{Ring, Sketch, Tally};

/// Half-life of "lately", seconds: what people see as the last ten seconds.
const LATELY_S: f64 = 7.0;
/// A witness's memory fades by this factor a window: it is about the last few seconds.
pub(super) const WITNESS_FADE: f64 = 0.6;
/// A proxy's word on an endpoint's version is taken from another proxy after so long a silence, milliseconds.
const TELLER_MS: i64 = 10_000;

/// One endpoint.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Version label, as the teller last reported.
    pub version: String,
    /// The proxy whose word on the version counts, and the end of its newest window: two that disagree must
    /// not make the endpoint look new every second.
    teller: (String, i64),
    /// Attempts by second: requests that ended here and those retried elsewhere.
    pub ring: Ring,
    /// Attempts since detection last looked.
    pub fresh: Tally,
    /// Latencies, lately.
    pub sketch: Sketch,
    /// Evidence that it fails more than its siblings.
    pub errors: Cusum,
    /// Evidence that it is slower than its siblings.
    pub latency: Cusum,
    /// By proxy, what that proxy saw, fading: proxies that disagree are a contradiction.
    pub reporters: BTreeMap<String, (f64, f64)>,
    /// End of the newest window with traffic.
    pub traffic_ms: i64,
    /// Until then nothing it does is held against it.
    pub graced_until_ms: i64,
}

impl Endpoint {
    pub(super) fn new(version: &str, teller: (String, i64), graced_until_ms: i64) -> Self {
        Self {
            version: version.to_owned(),
            teller,
            ring: Ring::default(),
            fresh: Tally::default(),
            sketch: Sketch::new(LATELY_S),
            errors: Cusum::default(),
            latency: Cusum::default(),
            reporters: BTreeMap::new(),
            traffic_ms: graced_until_ms,
            graced_until_ms,
        }
    }

    /// Requests a window that each proxy sends it, lately.
    pub fn rps_by_proxy(&self) -> impl Iterator<Item = (&String, f64)> {
        self.reporters.iter().map(|(proxy, (n, _))| (proxy, n * (1.0 - WITNESS_FADE)))
    }

    /// Whether `proxy` may say which version this is.
    pub(super) fn is_told_by(&mut self, proxy: &str, end_ms: i64) -> bool {
        if self.teller.0 != proxy && self.teller.1.saturating_add(TELLER_MS) < end_ms {
            proxy.clone_into(&mut self.teller.0);
        }
        let told = self.teller.0 == proxy;
        if told {
            self.teller.1 = self.teller.1.max(end_ms);
        }
        told
    }

    /// Forgets all evidence against it, and looks away until `until_ms`.
    pub fn grace(&mut self, until_ms: i64) {
        self.errors = Cusum::default();
        self.latency = Cusum::default();
        self.fresh = Tally::default();
        self.reporters.clear();
        self.graced_until_ms = until_ms;
    }
}
