//! Proxies that tell different stories of one service: the path of some is sick, or a witness is.

use crate::domain::{Evidence, Signal};
use crate::policies::DetectionPolicy;
use crate::state::{Service, Witness};

/// A witness counts from so many requests on.
const REQUESTS: f64 = 20.0;

/// Whether a proxy that uses the service a lot, and has told of the newest seconds, sees nothing of what
/// another sees.
pub(super) fn disagree(
    service: &Service,
    evidence: &[Evidence],
    second: i64,
    policy: &DetectionPolicy,
) -> bool {
    let of_whole = evidence.iter().filter(|e| matches!(e.signal, Signal::Errors | Signal::Latency));
    let Some(e) = of_whole.max_by(|a, b| a.log_e.total_cmp(&b.log_e)) else { return false };
    let slow = e.signal == Signal::Latency;
    let floor = if slow { &policy.service.latency } else { &policy.service.errors };
    let share = |w: &Witness| if slow { w.slow / w.n } else { w.failed / w.n };
    let recent = service.witnesses.values().filter(|w| w.n >= REQUESTS && w.end_ms >= second * 1_000);
    let shares: Vec<f64> = recent.map(share).collect();
    let least = shares.iter().copied().fold(f64::INFINITY, f64::min);
    let most = shares.iter().copied().fold(0.0, f64::max);
    shares.len() >= 2 && most >= e.observed / 2.0 && least < e.baseline + floor.min_excess / 4.0
}
