//! In what time most answers of a service come: by that a hedge knows that one is late.
//!
//! A histogram of one worker's own answers whose buckets grow by the eighth root of two (9 %), halved now
//! and then so that the past fades. Nothing is shared, nothing grows.

use std::cell::RefCell;
use std::time::Duration;

/// Buckets: from 16 us to beyond 4 minutes.
const BUCKETS: usize = 192;
/// What the first bucket holds, microseconds.
const FIRST_US: f64 = 16.0;
/// Buckets to a doubling.
const STEPS: f64 = 8.0;
/// Fewer answers say nothing of a quantile.
const ENOUGH: u32 = 100;
/// So many answers, and the past counts half.
const FADES_AT: u32 = 4_096;
/// The quantile is read anew after so many answers.
const READ_EVERY: u32 = 64;

/// See the module.
#[derive(Debug)]
pub struct Lateness(RefCell<Seen>);

#[derive(Debug)]
struct Seen {
    buckets: Box<[u32; BUCKETS]>,
    total: u32,
    since_read: u32,
    read: Option<Duration>,
}

impl Default for Lateness {
    fn default() -> Self {
        let buckets = Box::new([0; BUCKETS]);
        Self(RefCell::new(Seen { buckets, total: 0, since_read: READ_EVERY, read: None }))
    }
}

impl Lateness {
    /// An answer came after `took`.
    pub fn observe(&self, took: Duration) {
        let mut seen = self.0.borrow_mut();
        let seen = &mut *seen;
        let at = bucket_of(took);
        seen.buckets.get_mut(at).into_iter().for_each(|count| *count += 1);
        (seen.total, seen.since_read) = (seen.total + 1, seen.since_read.saturating_add(1));
        if seen.total >= FADES_AT {
            seen.buckets.iter_mut().for_each(|count| *count /= 2);
            seen.total = seen.buckets.iter().sum();
        }
    }

    /// The time in which this share of the answers comes; `None` before there were enough.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let mut seen = self.0.borrow_mut();
        if seen.total < ENOUGH {
            return None;
        }
        if seen.since_read >= READ_EVERY {
            (seen.read, seen.since_read) = (Some(seen.find(share)), 0);
        }
        seen.read
    }
}

impl Seen {
    fn find(&self, share: f64) -> Duration {
        let wanted = (f64::from(self.total) * share).ceil();
        let mut below = 0.0;
        let reaches = |count: &u32| {
            below += f64::from(*count);
            below >= wanted
        };
        let at = self.buckets.iter().position(reaches).unwrap_or(BUCKETS - 1);
        // The bucket's upper end: to hedge a little late is cheaper than a little early.
        Duration::from_secs_f64(FIRST_US * 2_f64.powf(at as f64 / STEPS) / 1e6)
    }
}

fn bucket_of(took: Duration) -> usize {
    let us = took.as_secs_f64() * 1e6;
    let at = ((us / FIRST_US).log2() * STEPS).ceil();
    if at > 0.0 { (at as usize).min(BUCKETS - 1) } else { 0 }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_quantile_is_within_a_tenth_and_follows_what_changes() {
        let lateness = Lateness::default();
        (1..=99).for_each(|ms| lateness.observe(Duration::from_millis(ms)));
        assert_eq!(lateness.quantile(0.95), None);
        (0..10).for_each(|_| (1..=100).for_each(|ms| lateness.observe(Duration::from_millis(ms))));
        let p95 = lateness.quantile(0.95).unwrap().as_secs_f64() * 1e3;
        assert!((95.0..=105.0).contains(&p95), "{p95}");
        (0..20_000).for_each(|_| lateness.observe(Duration::from_micros(300)));
        assert!(lateness.quantile(0.95).unwrap() < Duration::from_micros(350));
        lateness.observe(Duration::from_secs(86_400));
        lateness.observe(Duration::ZERO);
    }
}
