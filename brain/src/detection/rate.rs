//! More requests than usual. By itself no anomaly: a surge alarms only when something suffers.

use super::clients::deviance;
use crate::state::Service;

/// Seconds looked at.
const NOW_S: i64 = 5;
/// So many times the usual rate.
const RATIO: f64 = 1.5;
/// From here on a second belongs to the surge.
const BELONGS: f64 = 1.25;
/// Standard deviations of the service's own ten-second blocks, at this hour.
const SPREADS: f64 = 5.0;
/// Seconds back to which a surge's beginning is looked for.
const BACK_S: i64 = 60;

/// A service is asked much more than usual.
#[derive(Debug, Clone, PartialEq)]
pub struct Surge {
    /// Requests a second now.
    pub rate: f64,
    /// And usually.
    pub usual: f64,
    /// Since when.
    pub since_ms: i64,
    /// Evidence against chance, natural logarithm.
    pub log_e: f64,
    /// Requests seen.
    pub requests: u64,
}

/// Whether `service` is in a surge in the seconds up to `second`.
pub(super) fn detect(service: &Service, second: i64, needed: f64, min_learned_s: u64) -> Option<Surge> {
    if service.baseline.learned_s() < min_learned_s {
        return None;
    }
    let (usual, spread) = service.baseline.pace_at(second);
    let now = service.ring.sum(second - NOW_S + 1, second).n;
    let rate = now as f64 / NOW_S as f64;
    let log_e = deviance(now as f64, usual * NOW_S as f64);
    let surges = rate >= RATIO * usual && rate - usual >= SPREADS * spread && log_e >= needed;
    if !surges {
        return None;
    }
    let belongs = |s: &i64| service.ring.sum(*s - 1, *s).n as f64 / 2.0 >= BELONGS * usual;
    let first = (second - BACK_S + 1..=second).rev().take_while(belongs).last().unwrap_or(second);
    Some(Surge { rate, usual, since_ms: first * 1_000, log_e, requests: now })
}
