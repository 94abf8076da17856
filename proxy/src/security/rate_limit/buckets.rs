//! The buckets of all keys, in a table of fixed size shared by all workers.
//!
//! Shared, because a limit of 100 a second means 100 a second however the kernel spreads connections over
//! workers; a table a worker would admit up to as many times as much. What is shared is one atomic number a
//! key: nothing is locked, and two workers meet only where they serve the same key at the same moment.
//!
//! A key may lie in one of four places that its hash names (one cache line). Where all four are taken, the
//! key with the least debt is forgotten: a flood of new keys, each with a debt of one request, pushes out
//! others like itself before anyone who is being limited. Memory never grows, and a look-up never takes
//! longer than four compares. The hash is seeded afresh in each process, so that nobody can aim at a key.
//!
//! Benign races, on purpose: two workers that bring the same new key at once may give it two places, and one
//! that is counted on while it is forgotten counts on its successor; either is worth one request.

use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ahash::RandomState;

use super::gcra::{Gcra, Left};

/// Places a key may have.
const WAYS: usize = 4;

#[derive(Debug, Default)]
#[repr(align(64))]
struct Set([Place; WAYS]);

#[derive(Debug, Default)]
struct Place {
    /// The key's hash; 0: none yet.
    key: AtomicU64,
    /// The key's theoretical arrival time, ns.
    arrival: AtomicU64,
}

/// See the module.
#[derive(Debug)]
pub struct Buckets {
    sets: Box<[Set]>,
    hasher: RandomState,
    /// Keys forgotten while they were not yet even with their rate.
    forgotten: AtomicU64,
}

impl Buckets {
    /// For at least `keys` at once; 16 bytes each.
    #[must_use]
    pub fn new(keys: usize) -> Self {
        let sets = keys.div_ceil(WAYS).max(1).next_power_of_two();
        Self {
            sets: std::iter::repeat_with(Set::default).take(sets).collect(),
            hasher: RandomState::new(),
            forgotten: AtomicU64::default(),
        }
    }

    /// Keys that it holds at most.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.sets.len() * WAYS
    }

    /// Keys forgotten while they were not yet even with their rate.
    #[must_use]
    pub fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Relaxed)
    }

    /// What a key is known by here.
    #[must_use]
    pub fn key(&self, of: impl Hash) -> u64 {
        self.hasher.hash_one(of).max(1)
    }

    /// Counts a request of `key` at `now`, ns.
    ///
    /// # Errors
    /// It comes too early: by how much.
    pub fn take(&self, key: u64, gcra: Gcra, now: u64) -> Result<Left, Duration> {
        let arrival = &self.place(key, now).arrival;
        let mut found = arrival.load(Ordering::Relaxed);
        loop {
            let (next, left) = gcra.admit(found, now)?;
            match arrival.compare_exchange_weak(found, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(left),
                Err(other) => found = other,
            }
        }
    }

    /// Uncounts a request that was refused by another rule.
    pub fn give_back(&self, key: u64, gcra: Gcra) {
        if let Some(place) = self.set(key).0.iter().find(|place| place.key.load(Ordering::Relaxed) == key) {
            let back = |arrival| Some(gcra.give_back(arrival));
            // Never fails: the closure always has an answer.
            let _ = place.arrival.fetch_update(Ordering::Relaxed, Ordering::Relaxed, back);
        }
    }

    fn set(&self, key: u64) -> &Set {
        // The length is a power of two, and never 0.
        &self.sets[(key >> 32) as usize & (self.sets.len() - 1)]
    }

    fn place(&self, key: u64, now: u64) -> &Place {
        let Set(places) = self.set(key);
        loop {
            if let Some(own) = places.iter().find(|place| place.key.load(Ordering::Relaxed) == key) {
                return own;
            }
            let least = |place: &&Place| place.arrival.load(Ordering::Relaxed);
            // There are four.
            let Some(victim) = places.iter().min_by_key(least) else { return &places[0] };
            let old = victim.key.load(Ordering::Relaxed);
            let debt = victim.arrival.load(Ordering::Relaxed);
            let taken = victim.key.compare_exchange(old, key, Ordering::Relaxed, Ordering::Relaxed);
            if taken.is_ok() {
                // A time that has passed means the same as none.
                if debt > now {
                    self.forgotten.fetch_add(1, Ordering::Relaxed);
                    victim.arrival.store(0, Ordering::Relaxed);
                }
                return victim;
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;

    #[test]
    fn a_limit_holds_over_all_workers_together() {
        let buckets = Arc::new(Buckets::new(1_024));
        let gcra = Gcra::new(1.0, Duration::from_secs(1), 1_000);
        let admitted: usize = (0..4)
            .map(|_| {
                let buckets = Arc::clone(&buckets);
                thread::spawn(move || (0..2_000).filter(|_| buckets.take(7, gcra, 1).is_ok()).count())
            })
            .collect::<Vec<_>>()
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .sum();
        assert_eq!(admitted, 1_000, "not one more than the burst");
    }

    #[test]
    fn a_million_keys_take_no_more_room_and_free_nobody_who_is_limited() {
        let buckets = Buckets::new(65_536);
        assert_eq!(buckets.capacity(), 65_536);
        let gcra = Gcra::new(1.0, Duration::from_secs(60), 10);
        let abuser = buckets.key("abuser");
        while buckets.take(abuser, gcra, 1).is_ok() {}
        for n in 0..1_000_000u32 {
            assert!(buckets.take(buckets.key(n), gcra, 1).is_ok(), "a new key is never refused");
        }
        assert!(buckets.take(abuser, gcra, 1).is_err());
        assert!(buckets.forgotten() > 900_000);
    }

    #[test]
    fn a_key_that_is_even_again_makes_room_without_being_missed() {
        let buckets = Buckets::new(4);
        let gcra = Gcra::new(1.0, Duration::from_nanos(10), 1);
        for n in 0..100u64 {
            assert!(buckets.take(buckets.key(n), gcra, n * 10).is_ok());
        }
        assert_eq!(buckets.forgotten(), 100 - 100, "each was even before the next came");
    }
}
