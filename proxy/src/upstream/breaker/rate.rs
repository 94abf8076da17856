//! The failures of late: over the last so many results, over the last so long, or both, where either
//! trips the breaker.
//!
//! Atomics only. Workers that write at once may each see the other's result or not; none is counted
//! twice or lost.

use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};

use crate::settings::{FailureRate, MAX_WINDOW_REQUESTS};

const WORDS: usize = (MAX_WINDOW_REQUESTS / 64) as usize;
/// A span of time slides in so many steps.
const STEPS: u64 = 10;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct RateWindow {
    results: Results,
    spans: [AtomicU64; STEPS as usize],
}

/// The last results, a bit each: 1 has failed.
#[derive(Debug)]
struct Results {
    /// How many were added.
    added: AtomicU64,
    /// Ones among the bits.
    failed: AtomicI64,
    /// How many bits are in use.
    size: AtomicU32,
    bits: [AtomicU64; WORDS],
}

impl Default for Results {
    fn default() -> Self {
        let bits = [const { AtomicU64::new(0) }; WORDS];
        Self { added: AtomicU64::new(0), failed: AtomicI64::new(0), size: AtomicU32::new(0), bits }
    }
}

impl RateWindow {
    /// Adds a result; whether the rate is reached.
    pub(super) fn add(&self, failed: bool, rule: &FailureRate, now_ms: u64) -> bool {
        let reached = |(failed, all): (u64, u64), least: u32| {
            all >= u64::from(least) && failed as f64 + 1e-9 >= rule.rate * all as f64
        };
        // Both are added to, whatever the first says.
        let of_results = rule
            .requests
            .is_some_and(|size| reached(self.results.add(failed, size), rule.min_requests.min(size)));
        let of_time = rule.duration.is_some_and(|duration| {
            let step_ms = (duration.as_millis() as u64 / STEPS).max(1);
            reached(self.add_at(failed, now_ms / step_ms), rule.min_requests)
        });
        of_results || of_time
    }

    /// Begins afresh.
    pub(super) fn forget(&self) {
        self.results.forget();
        self.spans.iter().for_each(|span| span.store(0, Ordering::Relaxed));
    }

    /// Failures and all results of the last [`STEPS`] steps.
    fn add_at(&self, failed: bool, step: u64) -> (u64, u64) {
        let slot = (step % STEPS) as usize;
        let next = |word: u64| Some(Span::unpack(word).with(failed, step).pack());
        if let Some(span) = self.spans.get(slot) {
            let _always = span.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        }
        let spans = self.spans.iter().map(|span| Span::unpack(span.load(Ordering::Relaxed)));
        let recent = spans.filter(|span| (step & Span::STEP).wrapping_sub(span.step) < STEPS);
        recent.fold((0, 0), |(failed, all), span| (failed + span.failed, all + span.all))
    }
}

impl Results {
    fn add(&self, failed: bool, size: u32) -> (u64, u64) {
        if self.size.swap(size, Ordering::Relaxed) != size {
            self.forget();
        }
        let place = self.added.fetch_add(1, Ordering::Relaxed);
        let (slot, bit) = (place % u64::from(size.max(1)), place % u64::from(size.max(1)) % 64);
        let Some(word) = self.bits.get((slot / 64) as usize) else { return (0, 0) };
        let mask = 1u64 << bit;
        let before = match failed {
            true => word.fetch_or(mask, Ordering::Relaxed),
            false => word.fetch_and(!mask, Ordering::Relaxed),
        };
        let change = i64::from(failed) - i64::from(before & mask != 0);
        let now = self.failed.fetch_add(change, Ordering::Relaxed) + change;
        (u64::try_from(now).unwrap_or(0), (place + 1).min(u64::from(size)))
    }

    fn forget(&self) {
        self.added.store(0, Ordering::Relaxed);
        for word in &self.bits {
            let ones = i64::from(word.swap(0, Ordering::Relaxed).count_ones());
            self.failed.fetch_sub(ones, Ordering::Relaxed);
        }
    }
}

/// What came in one step of time: 20 bits a count, 24 for the step.
#[derive(Clone, Copy)]
struct Span {
    step: u64,
    failed: u64,
    all: u64,
}

impl Span {
    const COUNT: u64 = (1 << 20) - 1;
    const STEP: u64 = (1 << 24) - 1;

    fn unpack(word: u64) -> Self {
        Self { step: word >> 40, failed: word >> 20 & Self::COUNT, all: word & Self::COUNT }
    }

    fn pack(self) -> u64 {
        self.step << 40 | self.failed << 20 | self.all
    }

    fn with(self, failed: bool, step: u64) -> Self {
        let step = step & Self::STEP;
        let known = if self.step == step { self } else { Self { step, failed: 0, all: 0 } };
        if known.all == Self::COUNT {
            return known;
        }
        Self { failed: known.failed + u64::from(failed), all: known.all + 1, ..known }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const COUNT: FailureRate =
        FailureRate { rate: 0.5, requests: Some(20), duration: None, min_requests: 20 };
    const TIME: FailureRate =
        FailureRate { requests: None, duration: Some(Duration::from_secs(10)), ..COUNT };

    #[test]
    fn half_of_twenty_trips_it_in_whatever_order_and_not_before() {
        for pattern in ["ffffffffffssssssssss", "ssssssssssffffffffff", "sfsfsfsfsfsfsfsfsfsf"] {
            for rule in [COUNT, TIME] {
                let window = RateWindow::default();
                let seen: Vec<bool> = pattern.chars().map(|c| window.add(c == 'f', &rule, 5)).collect();
                assert_eq!(seen.iter().position(|trips| *trips), Some(19), "{pattern}");
            }
        }
        let window = RateWindow::default();
        assert!((0..2_000).all(|n| !window.add(n % 20 < 9, &COUNT, 5)));
    }

    #[test]
    fn what_is_longer_ago_than_the_window_does_not_count() {
        let window = RateWindow::default();
        assert!((0..19).all(|_| !window.add(true, &TIME, 1_000)));
        assert!(!window.add(true, &TIME, 11_000));
        let results = Results::default();
        (0..20).for_each(|_| _ = results.add(true, 20));
        (0..19).for_each(|_| _ = results.add(false, 20));
        assert_eq!(results.add(false, 20), (0, 20));
        assert_eq!(results.add(true, 64), (1, 1));
    }

    proptest! {
        #[test]
        fn the_bits_are_the_last_results(results in prop::collection::vec(any::<bool>(), 1..300), size in 1u32..200) {
            let window = Results::default();
            for (n, failed) in results.iter().enumerate() {
                let last = &results[..=n];
                let last = &last[last.len().saturating_sub(size as usize)..];
                let failures = last.iter().filter(|failed| **failed).count() as u64;
                prop_assert_eq!(window.add(*failed, size), (failures, last.len() as u64));
            }
        }

        #[test]
        fn a_span_of_time_forgets_within_a_step(results in prop::collection::vec((any::<bool>(), 0u64..3_000), 1..200)) {
            let (window, mut now_ms, mut all) = (RateWindow::default(), 1, Vec::new());
            for (failed, pause_ms) in results {
                now_ms += pause_ms;
                all.push((now_ms, failed));
                let (failures, count) = window.add_at(failed, now_ms / 1_000);
                let since = |ms: u64| all.iter().filter(|(at, _)| at + ms > now_ms).count() as u64;
                prop_assert!(failures <= count && since(9_000) <= count && count <= since(10_000 + 1));
            }
        }
    }
}
