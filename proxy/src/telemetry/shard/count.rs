//! The grains of a shard: a counter with one writer, a histogram of them, a tally by word.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of every histogram of times, seconds; one more bucket holds what is beyond.
pub const RESPONSE_TIME_BOUNDS_S: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
pub(super) const BUCKETS: usize = RESPONSE_TIME_BOUNDS_S.len() + 1;
/// What is beyond a [`Tally`]'s room.
const OTHER: &str = "other";

/// A counter with one writer: a relaxed load and a relaxed store, no locked instruction.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, n: u64) {
        self.0.store(self.get().wrapping_add(n), Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A histogram with one writer.
#[derive(Debug, Default)]
pub(super) struct Times {
    buckets: [Count; BUCKETS],
    sum_us: Count,
}

impl Times {
    pub(super) fn add(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = RESPONSE_TIME_BOUNDS_S.iter().position(|bound| seconds <= *bound);
        if let Some(count) = self.buckets.get(bucket.unwrap_or(BUCKETS - 1)) {
            count.add(1);
        }
        self.sum_us.add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    pub(super) fn snapshot(&self) -> TimesSnapshot {
        let buckets = std::array::from_fn(|at| self.buckets.get(at).map_or(0, Count::get));
        TimesSnapshot { buckets, sum_us: self.sum_us.get() }
    }
}

/// What a histogram of times held at one moment, or several together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimesSnapshot {
    /// One count a bucket of [`RESPONSE_TIME_BOUNDS_S`], not cumulative.
    pub buckets: [u64; BUCKETS],
    /// Sum of all times, microseconds.
    pub sum_us: u64,
}

impl TimesSnapshot {
    /// Adds another's counts.
    pub fn merge(&mut self, other: &Self) {
        self.buckets.iter_mut().zip(other.buckets).for_each(|(mine, theirs)| *mine += theirs);
        self.sum_us = self.sum_us.wrapping_add(other.sum_us);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

/// Counts by words of the program (never of a request), made at first sight, without a lock. Of more
/// words than it has room for, the last stand together as `other`.
#[derive(Debug)]
pub(super) struct Tally<const WORDS: usize>([OnceLock<(&'static str, Count)>; WORDS]);

impl<const WORDS: usize> Default for Tally<WORDS> {
    fn default() -> Self {
        Self([const { OnceLock::new() }; WORDS])
    }
}

impl<const WORDS: usize> Tally<WORDS> {
    pub(super) fn add(&self, word: &'static str) {
        let found = self.0.iter().find_map(|slot| {
            let (held, count) = slot.get_or_init(|| (word, Count::default()));
            (*held == word).then_some(count)
        });
        let last = || self.0.last().and_then(OnceLock::get).map(|(_, count)| count);
        if let Some(count) = found.or_else(last) {
            count.add(1);
        }
    }

    pub(super) fn read(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let full = self.0.iter().all(|slot| slot.get().is_some());
        let last = self.0.len() - 1;
        let taken = self.0.iter().enumerate().filter_map(|(at, slot)| slot.get().map(|held| (at, held)));
        taken.map(move |(at, (word, count))| (if full && at == last { OTHER } else { *word }, count.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_counts_each_word_for_itself() {
        let tally = Tally::<4>::default();
        ["shed", "blocked", "shed"].into_iter().for_each(|word| tally.add(word));
        assert_eq!(tally.read().collect::<Vec<_>>(), [("shed", 2), ("blocked", 1)]);
        ["a", "b", "c", "d"].into_iter().for_each(|word| tally.add(word));
        assert_eq!(tally.read().last(), Some((OTHER, 3)));
    }

    #[test]
    fn a_time_stands_in_the_first_bucket_that_reaches_it() {
        let times = Times::default();
        [500, 501, 60_000_000].into_iter().for_each(|us| times.add(Duration::from_micros(us)));
        let seen = times.snapshot();
        assert_eq!((seen.buckets[0], seen.buckets[1], seen.buckets[BUCKETS - 1]), (1, 1, 1));
        assert_eq!((seen.count(), seen.sum_us), (3, 60_001_001));
    }
}
