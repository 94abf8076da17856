//! The most frequent keys of a stream in fixed space.
//!
//! Source: Metwally, Agrawal, El Abbadi, "Efficient Computation of Frequent and Top-k Elements in
//! Data Streams", ICDT 2005. A key that is not kept takes the place of the least frequent one and
//! its count as its error: every key with more than `total / capacity` occurrences is kept.
//!
//! Where the paper lets every key in, here one that finds all places taken is let in when it comes the second time
//! (`Door`): of a hundred thousand keys that come once, each would turn out another, and none would say anything. What a
//! key loses by it is its first occurrence, once every 2,048 strangers.
//!
//! An update takes a constant number of steps, whatever is sent: keys of the same count hang
//! together ([`Ranks`], the paper's Stream-Summary), so the least is at hand and a count grows by
//! moving to the neighbour. All of it stays in the nearest cache.

use super::door::Door;
use super::ranks::Ranks;
use super::slot_table::{SlotTable, Tag};

/// See the module. `D` is what else is kept of a key while it is kept.
#[derive(Debug)]
pub struct SpaceSaving<K, D> {
    slots: Vec<Kept<K, D>>,
    table: SlotTable,
    ranks: Ranks,
    door: Door,
    capacity: usize,
    /// What is noted of those who are not let in; nobody reads it.
    outside: D,
}

#[derive(Debug)]
struct Kept<K, D> {
    key: K,
    tag: Tag,
    error: u64,
    detail: D,
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

impl<K: Copy + Eq, D: Default> SpaceSaving<K, D> {
    /// The most keys that one can keep.
    pub const MOST: usize = 1 << 14;

    /// Empty, for at most so many keys (at least one, at most [`Self::MOST`]).
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.clamp(1, Self::MOST);
        Self {
            slots: Vec::new(),
            table: SlotTable::new(capacity),
            ranks: Ranks::default(),
            door: Door::default(),
            capacity,
            outside: D::default(),
        }
    }

    /// Counts one occurrence of `key`, which hashes to `hash`, and gives its detail to be updated.
    pub fn offer(&mut self, key: K, hash: u64) -> &mut D {
        let (slots, tag) = (&self.slots, Tag::of(hash));
        let slot = match self.table.find(tag, |slot| slots[slot].key == key) {
            Some(slot) => slot,
            None if self.slots.len() < self.capacity => self.admit(key, tag),
            None if self.door.lets_in(hash) => self.replace_least(key, tag),
            None => return &mut self.outside,
        };
        self.ranks.rise(slot);
        &mut self.slots[slot].detail
    }

    /// Takes all that is kept, in no order, and begins anew.
    pub fn take(&mut self) -> Vec<Slot<K, D>> {
        let ranks = std::mem::take(&mut self.ranks);
        self.table.clear();
        self.door.close();
        self.outside = D::default();
        let slot = |(at, kept): (usize, Kept<K, D>)| {
            let Kept { key, error, detail, .. } = kept;
            Slot { key, count: ranks.count_of(at), error, detail }
        };
        self.slots.drain(..).enumerate().map(slot).collect()
    }

    fn admit(&mut self, key: K, tag: Tag) -> usize {
        let slot = self.slots.len();
        self.slots.push(Kept { key, tag, error: 0, detail: D::default() });
        self.ranks.push();
        self.table.insert(tag, slot);
        slot
    }

    fn replace_least(&mut self, key: K, tag: Tag) -> usize {
        let slot = self.ranks.least();
        let error = self.ranks.count_of(slot);
        self.table.remove(self.slots[slot].tag, slot);
        self.table.insert(tag, slot);
        self.slots[slot] = Kept { key, tag, error, detail: D::default() };
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::distinct::hash_of;
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
                *sketch.offer(*key, hash_of(key)) += 1;
                *truth.entry(*key).or_default() += 1;
            }
            let kept = sketch.take();
            prop_assert!(kept.len() <= capacity);
            for slot in &kept {
                // The one is its first, outside the door; so short a stream empties it never.
                prop_assert!(slot.seen() <= truth[&slot.key] && truth[&slot.key] <= slot.count + 1);
                prop_assert_eq!(slot.detail, slot.seen());
            }
            for (key, count) in truth {
                let frequent = count > stream.len() as u64 / capacity as u64 + 1;
                prop_assert!(!frequent || kept.iter().any(|slot| slot.key == key));
            }
        }
    }

    proptest! {
        #[test]
        fn keys_that_collide_are_still_told_apart(
            stream in proptest::collection::vec(0u8..60, 0..500), capacity in 1usize..40
        ) {
            let (mut colliding, mut spread) = (SpaceSaving::<u8, u64>::new(capacity), SpaceSaving::new(capacity));
            for key in &stream {
                // Three places in the table, but at the door each is known by itself.
                let at_the_door = u64::from(*key) << 24;
                *colliding.offer(*key, at_the_door | u64::from(*key % 3) << 48) += 1;
                *spread.offer(*key, at_the_door | u64::from(*key) << 48) += 1;
            }
            let told = |sketch: &mut SpaceSaving<u8, u64>| {
                let kept = sketch.take().into_iter();
                kept.map(|slot| (slot.key, slot.seen(), slot.detail)).collect::<Vec<_>>()
            };
            prop_assert_eq!(told(&mut colliding), told(&mut spread));
        }
    }

    #[test]
    fn who_comes_once_turns_nobody_out_who_came_more_often() {
        let mut sketch = SpaceSaving::<u32, u64>::new(64);
        for n in (0..64).flat_map(|n| [n, n, n]).chain(1_000..1_400) {
            sketch.offer(n, hash_of(&n));
        }
        let kept = sketch.take();
        let stayed = kept.iter().filter(|slot| slot.key < 64 && slot.seen() == 3).count();
        assert!(stayed >= 48, "a few strangers look like others: {stayed}");
    }

    #[test]
    fn a_heavy_client_stands_out_of_a_hundred_thousand() {
        let mut sketch = SpaceSaving::<u32, u64>::new(512);
        for n in 0..100_000u32 {
            sketch.offer(n, hash_of(&n));
            if n % 50 == 0 {
                sketch.offer(7, hash_of(&7u32));
            }
        }
        let most = sketch.take().into_iter().max_by_key(Slot::seen).map(|slot| slot.key);
        assert_eq!(most, Some(7));
    }
}
