//! A retry storm: attempts over requests. What is made again is load that nobody asked for.

use crate::detection::deviance;
use crate::domain::{Evidence, Signal};
use crate::state::Service;

/// Attempts a request beyond the usual, from where on it is a storm.
const STORM: f64 = 0.2;
/// Attempts made again, at least.
const LEAST: u64 = 10;
/// Seconds that count as now.
const NOW_S: i64 = 5;

/// Attempts a request now against those usual, if they are many more.
pub(super) fn evidence(name: &str, service: &Service, second: i64) -> Option<Evidence> {
    let from = second - NOW_S + 1;
    let now = service.broken.sum(from, second);
    let (observed, usual) = (now.slow as f64 / (now.n as f64).max(1.0), service.baseline.retries());
    let storm = now.slow >= LEAST && observed - usual >= STORM;
    storm.then(|| Evidence {
        signal: Signal::Retries,
        series: name.to_owned(),
        observed: 1.0 + observed,
        baseline: 1.0 + usual,
        requests: now.n,
        window_s: NOW_S as u32,
        since_ms: from * 1_000,
        log_e: deviance(now.slow as f64, (usual * now.n as f64).max(1.0)),
    })
}
