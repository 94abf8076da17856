//! How long an endpoint lets one wait: what `peak_ewma` goes by. Shared by all workers, two words.
//!
//! Finagle's and Linkerd's rule: a moving average of the latency that decays by time (10 s), jumps to a
//! peak at once, and is multiplied by the requests on their way. A failure or a 429 is no answer, however
//! fast: it says nothing about latency (unless it was slower), it raises the share of failures, another
//! average, and the wait is that of as many tries as one success takes. Linkerd charges a fixed penalty of
//! seconds instead; a share neither bans an endpoint for one failure in a thousand nor forgives a fast 429.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// After so long without news an average has fallen to 1/e.
const DECAY_MS: f64 = 10_000.0;
/// What one answer weighs in the share of failures.
const WEIGHT: f32 = 1.0 / 16.0;
/// Failing always costs as much as a hundred tries.
const LEAST_SUCCESS: f64 = 0.01;
/// What is assumed of an endpoint that has been asked and has not answered yet, µs.
const UNKNOWN_US: f64 = 1_000_000.0;
/// What is assumed of one that has only failed, µs: more than to wait in a short queue elsewhere.
const ONLY_FAILED_US: f64 = 10_000_000.0;

/// See the module.
#[derive(Debug, Default)]
pub struct Ewma {
    /// Latency, µs.
    latency: Stamped,
    /// Share of failures, 0 to 1.
    failing: Stamped,
}

impl Ewma {
    /// An answer came after `took`, or a failure did.
    pub fn observe(&self, succeeded: bool, took: Duration, now_ms: u64) {
        let took_us = took.as_secs_f64() as f32 * 1e6;
        let slower = |known: f32| took_us > known;
        self.latency.update(now_ms, |known, kept| match (succeeded, slower(known)) {
            (true, true) => took_us,
            (true, false) => known * kept + took_us * (1.0 - kept),
            // A failure that came late: a time-out. One that came fast: no news.
            (false, true) if known > 0.0 => took_us,
            (false, _) => known,
        });
        let failed = f32::from(u8::from(!succeeded));
        self.failing.update(now_ms, |known, kept| {
            let known = known * kept;
            known + (failed - known) * WEIGHT
        });
    }

    /// The wait to expect with one more request on `in_flight`, µs. An endpoint that nothing is known of
    /// is free while nobody waits for it, and dear once somebody does: it is tried once.
    #[must_use]
    pub fn cost(&self, in_flight: f64, now_ms: u64) -> f64 {
        let (latency, failing) = (f64::from(self.latency.now(now_ms)), f64::from(self.failing.now(now_ms)));
        let latency = match (latency > 0.0, failing > 0.0) {
            (true, _) => latency,
            (false, true) => ONLY_FAILED_US,
            (false, false) if in_flight > 0.0 => UNKNOWN_US,
            (false, false) => 0.0,
        };
        latency * (in_flight + 1.0) / (1.0 - failing).max(LEAST_SUCCESS)
    }
}

/// A number and when it was true (ms), in one word: 32 bits each. Times wrap after 49 days, between which
/// an endpoint is long forgotten.
#[derive(Debug, Default)]
struct Stamped(AtomicU64);

impl Stamped {
    /// The value, decayed to now.
    fn now(&self, now_ms: u64) -> f32 {
        let (value, at) = unpack(self.0.load(Ordering::Relaxed));
        if value > 0.0 { value * kept(at, now_ms) } else { 0.0 }
    }

    /// `change` is given the value and what a decay to now leaves of it.
    fn update(&self, now_ms: u64, change: impl Fn(f32, f32) -> f32) {
        let next = |word: u64| {
            let (value, at) = unpack(word);
            // Decays to nothing that is different from nothing: f32 has no room for endless fractions.
            let next = change(value, kept(at, now_ms));
            Some(pack(if next > 1e-6 { next } else { 0.0 }, now_ms))
        };
        let _always = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }
}

fn kept(at: u32, now_ms: u64) -> f32 {
    let since = (now_ms as u32).wrapping_sub(at);
    // Another worker's clock may be a moment ahead.
    let since = if since > u32::MAX / 2 { 0 } else { since };
    (-f64::from(since) / DECAY_MS).exp() as f32
}

fn unpack(word: u64) -> (f32, u32) {
    (f32::from_bits(word as u32), (word >> 32) as u32)
}

fn pack(value: f32, at_ms: u64) -> u64 {
    u64::from(value.to_bits()) | (at_ms & u64::from(u32::MAX)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_peak_counts_at_once_and_is_forgotten_by_time() {
        let ewma = Ewma::default();
        (0..100).for_each(|ms| ewma.observe(true, MS, ms));
        ewma.observe(true, 500 * MS, 100);
        assert!(ewma.cost(0.0, 100) > 490_000.0);
        ewma.observe(true, MS, 101);
        assert!(ewma.cost(0.0, 101) > 490_000.0);
        assert!(ewma.cost(0.0, 100_101) < 100.0);
    }

    #[test]
    fn a_fast_429_is_dearer_than_a_slow_answer() {
        let (honest, refusing) = (Ewma::default(), Ewma::default());
        for ms in 0..200 {
            honest.observe(true, 20 * MS, ms);
            refusing.observe(false, MS / 10, ms);
        }
        assert!(refusing.cost(0.0, 200) > honest.cost(0.0, 200));
        let spoilt = Ewma::default();
        (0..200).for_each(|ms| spoilt.observe(true, MS, ms));
        let before = spoilt.cost(0.0, 200);
        (200..400).for_each(|ms| spoilt.observe(false, MS / 10, ms));
        assert!(spoilt.cost(0.0, 400) > 90.0 * before, "{} {before}", spoilt.cost(0.0, 400));
    }

    #[test]
    fn a_timeout_is_a_peak_of_latency_too() {
        let ewma = Ewma::default();
        ewma.observe(true, MS, 1);
        ewma.observe(false, 2_000 * MS, 2);
        assert!(ewma.cost(0.0, 2) >= 1_900_000.0);
    }

    #[test]
    fn who_is_unknown_is_tried_once() {
        let ewma = Ewma::default();
        assert!(ewma.cost(0.0, 5) <= 0.0);
        assert!(ewma.cost(1.0, 5) >= UNKNOWN_US);
    }

    proptest! {
        #[test]
        fn the_cost_is_finite_and_rises_with_load_and_failures(
            answers in proptest::collection::vec((any::<bool>(), 1u64..5_000, 0u64..3_000), 1..100)
        ) {
            let (ewma, mut now_ms) = (Ewma::default(), 1);
            for (succeeded, took_ms, pause_ms) in answers {
                now_ms += pause_ms;
                ewma.observe(succeeded, Duration::from_millis(took_ms), now_ms);
                let cost = ewma.cost(1.0, now_ms);
                prop_assert!(cost.is_finite() && cost > 0.0 && ewma.cost(2.0, now_ms) > cost);
                prop_assert!(ewma.failing.now(now_ms) <= 1.0);
            }
        }
    }
}
