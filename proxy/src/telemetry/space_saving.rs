//! The most frequent keys of a stream in fixed space.
//!
//! Source: Metwally, Agrawal, El Abbadi, "Efficient Computation of Frequent and Top-k Elements in
//! Data Streams", ICDT 2005. A key that is not kept takes the place of the least frequent one and
//! its count as its error: every key with more than `total / capacity` occurrences is kept. The
//! least is found by an indexed heap, so an update costs O(log capacity), whatever is sent.

use std::hash::Hash;

use ahash::AHashMap;

/// See the module. `D` is what else is kept of a key while it is kept.
#[derive(Debug)]
pub struct SpaceSaving<K, D> {
    capacity: usize,
    slots: Vec<Slot<K, D>>,
    /// Slot by key.
    slot_of: AHashMap<K, usize>,
    /// Slots as a binary heap, least count first.
    heap: Vec<usize>,
}

/// What is known of one key.
#[derive(Debug, Clone)]
pub struct Slot<K, D> {
    /// The key.
    pub key: K,
    /// Occurrences at most.
    count: u64,
    /// How much of the count is inherited, not seen.
    error: u64,
    /// Where it stands in the heap.
    place: usize,
    /// What else is kept, since the key was taken in.
    pub detail: D,
}

impl<K, D> Slot<K, D> {
    /// Occurrences at least: those seen since the key was taken in.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.count - self.error
    }
}

impl<K: Copy + Eq + Hash, D: Default> SpaceSaving<K, D> {
    /// Empty, for at most so many keys (at least one).
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), slots: Vec::new(), slot_of: AHashMap::new(), heap: Vec::new() }
    }

    /// Counts one occurrence of `key`, and gives its detail to be updated.
    pub fn offer(&mut self, key: K) -> &mut D {
        let slot = match self.slot_of.get(&key) {
            Some(slot) => *slot,
            None if self.slots.len() < self.capacity => self.admit(key),
            None => self.replace_least(key),
        };
        self.slots[slot].count += 1;
        let place = self.slots[slot].place;
        self.sink(place);
        &mut self.slots[slot].detail
    }

    /// Takes all that is kept, in no order, and begins anew.
    pub fn take(&mut self) -> Vec<Slot<K, D>> {
        self.slot_of.clear();
        self.heap.clear();
        std::mem::take(&mut self.slots)
    }

    fn admit(&mut self, key: K) -> usize {
        let slot = self.slots.len();
        self.slots.push(Slot { key, count: 0, error: 0, place: slot, detail: D::default() });
        self.heap.push(slot);
        self.slot_of.insert(key, slot);
        self.rise(slot);
        slot
    }

    fn replace_least(&mut self, key: K) -> usize {
        let slot = self.heap[0];
        let least = &mut self.slots[slot];
        self.slot_of.remove(&least.key);
        self.slot_of.insert(key, slot);
        least.key = key;
        least.error = least.count;
        least.detail = D::default();
        slot
    }

    fn count_at(&self, place: usize) -> u64 {
        self.slots[self.heap[place]].count
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.slots[self.heap[a]].place = a;
        self.slots[self.heap[b]].place = b;
    }

    fn rise(&mut self, mut place: usize) {
        while place > 0 && self.count_at(place) < self.count_at((place - 1) / 2) {
            self.swap(place, (place - 1) / 2);
            place = (place - 1) / 2;
        }
    }

    fn sink(&mut self, mut place: usize) {
        loop {
            let children = [2 * place + 1, 2 * place + 2].into_iter().filter(|c| *c < self.heap.len());
            let Some(least) = children.min_by_key(|child| self.count_at(*child)) else { return };
            if self.count_at(place) <= self.count_at(least) {
                return;
            }
            self.swap(place, least);
            place = least;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn counts_are_bounds_and_the_frequent_are_kept(
            stream in proptest::collection::vec(0u8..60, 0..2_000), capacity in 1usize..40
        ) {
            let mut sketch = SpaceSaving::<u8, u64>::new(capacity);
            let mut truth = HashMap::<u8, u64>::new();
            for key in &stream {
                *sketch.offer(*key) += 1;
                *truth.entry(*key).or_default() += 1;
            }
            let kept = sketch.take();
            prop_assert!(kept.len() <= capacity);
            for slot in &kept {
                prop_assert!(slot.seen() <= truth[&slot.key] && truth[&slot.key] <= slot.count);
                prop_assert_eq!(slot.detail, slot.seen());
            }
            for (key, count) in truth {
                let frequent = count > stream.len() as u64 / capacity as u64;
                prop_assert!(!frequent || kept.iter().any(|slot| slot.key == key));
            }
        }
    }

    #[test]
    fn a_heavy_client_stands_out_of_a_hundred_thousand() {
        let mut sketch = SpaceSaving::<u32, u64>::new(512);
        for n in 0..100_000u32 {
            sketch.offer(n);
            if n % 50 == 0 {
                sketch.offer(7);
            }
        }
        let most = sketch.take().into_iter().max_by_key(Slot::seen).map(|slot| slot.key);
        assert_eq!(most, Some(7));
    }
}
