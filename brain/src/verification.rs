//! Verify: what users saw before, what they see after, and whether that is better. Pure counting.

use protocol::telemetry::Window;

use crate::domain::{Effect, EffectKind, Signal};
use crate::state::{Tally, share};

/// Of the badness that should go, this share must have gone.
const ENOUGH_GONE: f64 = 0.5;
/// Worse by at least this share is harm, if chance does not explain it.
const HARM: f64 = 0.05;
/// Standard deviations that chance does not explain.
const SURE_SD: f64 = 4.0;

/// Counts what happens to one service from a moment on, one endpoint of it apart.
#[derive(Debug, Clone)]
pub struct Meter {
    service: String,
    endpoint: Option<String>,
    from_ms: i64,
    slow_index: i32,
    own: Tally,
    all: Tally,
}

impl Meter {
    /// Counts windows that start at or after `from_ms`; slow is what lies above `slow_index`.
    #[must_use]
    pub fn new(service: &str, endpoint: Option<&str>, from_ms: i64, slow_index: i32) -> Self {
        let endpoint = endpoint.map(str::to_owned);
        let service = service.to_owned();
        Self { service, endpoint, from_ms, slow_index, own: Tally::default(), all: Tally::default() }
    }

    /// Counts a window in.
    pub fn observe(&mut self, window: &Window) {
        if window.start_ms < self.from_ms || window.cells.iter().any(|c| c.contradiction().is_some()) {
            return;
        }
        for cell in window.cells.iter().filter(|c| c.service == self.service) {
            let tally = Tally {
                n: cell.requests.saturating_add(cell.retries),
                failed: cell.failures().saturating_add(cell.retries),
                slow: cell.latency.count_above(self.slow_index),
            };
            self.all.add(tally);
            if self.endpoint.as_ref() == Some(&cell.endpoint) {
                self.own.add(tally);
            }
        }
    }

    /// Since when it counts.
    #[must_use]
    pub fn from_ms(&self) -> i64 {
        self.from_ms
    }

    /// The endpoint's count, and the others'.
    #[must_use]
    pub fn own_and_others(&self) -> (Tally, Tally) {
        (self.own, self.all.without(self.own))
    }

    /// The whole service's count.
    #[must_use]
    pub fn all(&self) -> Tally {
        self.all
    }
}

/// Failed or slow, whichever the signal is about.
#[must_use]
pub fn bad(tally: Tally, signal: Signal) -> u64 {
    match signal {
        Signal::Latency | Signal::PeerLatency => tally.slow,
        Signal::Errors | Signal::PeerErrors | Signal::Rate | Signal::ClientRate => tally.failed,
    }
}

/// What the action did: `before` and `expected` are bad shares of the service, `after` was counted.
#[must_use]
pub fn effect(signal: Signal, before: f64, expected: f64, after: Tally) -> Effect {
    let count = bad(after, signal);
    let now = share(count, after.n);
    let n = after.n as f64;
    let chance = (before.max(0.001) * (1.0 - before.min(0.999)) / n.max(1.0)).sqrt();
    let kind = if after.n == 0 {
        EffectKind::Unknown
    } else if now > before + HARM && now - before > SURE_SD * chance {
        EffectKind::Harmed
    } else if before - now >= ENOUGH_GONE * (before - expected).max(0.0) && now < before {
        EffectKind::Helped
    } else {
        EffectKind::Unchanged
    };
    let word = if matches!(signal, Signal::Latency | Signal::PeerLatency) { "slow" } else { "failed" };
    let why = format!(
        "{:.2} % of requests {word} before, {:.2} % after, over {} requests; {:.2} % were expected",
        before * 100.0,
        now * 100.0,
        after.n,
        expected * 100.0
    );
    Effect { kind, before, after: now, requests: after.n, why }
}

/// How a probe went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeAnswer {
    /// Not enough seen yet.
    Wait,
    /// As good as its siblings.
    Passed,
    /// Still sick.
    Failed,
}

/// Judges an endpoint that gets a little traffic again, by its own requests against its siblings':
/// at `wanted` requests, or at whatever there is once `late`.
#[must_use]
pub fn probe(meter: &Meter, signal: Signal, wanted: u64, late: bool) -> ProbeAnswer {
    let (own, others) = meter.own_and_others();
    let (count, own_share) = (bad(own, signal), share(bad(own, signal), own.n));
    let siblings = share(bad(others, signal), others.n);
    if count >= 3 && own_share >= (siblings * 4.0).max(siblings + 0.05) {
        return ProbeAnswer::Failed;
    }
    match signal {
        _ if own.n >= wanted || (late && own.n >= 3) => {
            if count >= 2 && own_share > siblings + 0.05 {
                ProbeAnswer::Failed
            } else {
                ProbeAnswer::Passed
            }
        }
        _ => ProbeAnswer::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effect_is_told_from_what_users_saw() {
        let after = |failed| Tally { n: 1_000, failed, slow: 0 };
        let of = |failed| effect(Signal::PeerErrors, 0.06, 0.001, after(failed)).kind;
        assert_eq!(of(1), EffectKind::Helped);
        assert_eq!(of(58), EffectKind::Unchanged);
        assert_eq!(of(300), EffectKind::Harmed);
        assert_eq!(effect(Signal::Errors, 0.06, 0.0, Tally::default()).kind, EffectKind::Unknown);
    }
}
