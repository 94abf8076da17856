//! What a service fails of itself, beyond what its callees fail for it: of two faults one must not hide
//! the other.
//!
//! Every failed call to a callee can fail at most the one request that made it. What is left after all of
//! them is the service's own, if its calls went on as before: calls that are no longer made (a breaker, a
//! block) fail requests without failing calls.

use super::CallGraph;
use crate::detection::Anomaly;
use crate::domain::Signal;
use crate::state::{MeshState, share};

/// Of all failures, so many must be its own.
const MOSTLY: f64 = 0.75;
/// And of its requests, so many more than usual.
const EXCESS: f64 = 0.1;
const LEAST: f64 = 20.0;
/// What is inherited may be so many standard deviations more than the calls say.
const CHANCE_SD: f64 = 4.0;
/// Calls a second over those before, below which they are no longer made.
const STILL_CALLED: f64 = 0.7;
/// Seconds before the trouble with which the calls are compared.
const BEFORE_S: i64 = 20;

/// Whether most of the failures of `name` are its own.
pub(super) fn fails_of_itself(
    name: &str,
    anomalies: &[Anomaly],
    mesh: &MeshState,
    graph: &CallGraph,
) -> bool {
    let own = |a: &&Anomaly| a.service == name && a.is_whole() && a.evidence.signal == Signal::Errors;
    let (Some(alarm), Some(service)) = (anomalies.iter().find(own), mesh.services.get(name)) else {
        return false;
    };
    let below = graph.below(name);
    let slow = |a: &Anomaly| matches!(a.evidence.signal, Signal::Latency | Signal::PeerLatency);
    // Calls that take too long fail requests and are no failures.
    if anomalies.iter().any(|a| below.contains(&a.service) && slow(a)) {
        return false;
    }
    let (from, to) = (alarm.evidence.since_ms.div_euclid(1_000), mesh.second);
    let mut inherited = 0.0;
    for callee in graph.callees(name) {
        let Some(calls) = mesh.services.get(callee).and_then(|s| s.edges.get(name)) else { return false };
        let before = calls.sum(from - BEFORE_S, from - 1).n as f64 / BEFORE_S as f64;
        let now = calls.sum(from, to).n as f64 / (to - from + 1).max(1) as f64;
        if now < STILL_CALLED * before {
            return false;
        }
        inherited += calls.sum(from - 1, to).failed as f64;
    }
    let all = service.ring.sum(from, to);
    let left = all.failed as f64 - inherited - CHANCE_SD * inherited.sqrt();
    let excess = left / (all.n as f64).max(1.0) - alarm.evidence.baseline;
    left >= LEAST && left >= MOSTLY * all.failed as f64 && excess >= EXCESS && share(all.failed, all.n) > 0.0
}
