//! Google's Maglev table (Eisenbud et al., NSDI 2016, §3.4): every endpoint prefers the slots of a table
//! of prime size in an order of its own, and they take turns in choosing until all are taken.
//!
//! Shares are even to less than a percent and a lookup is one read. Weights as in Envoy: one that is
//! half as heavy as the heaviest sits out every other turn. An endpoint that may not be asked at the
//! moment keeps its slots: the key is hashed again, so that only its own keys move.

use super::hashing;

/// The paper's table size for services of hundreds of endpoints.
pub const SIZE: u64 = 65_537;
/// How often a key is hashed again before the table is walked.
const TRIES: u64 = 32;
/// Nobody's slot.
const FREE: u32 = u32::MAX;

/// The table: whose each slot is.
#[derive(Debug)]
pub struct Maglev(Vec<u32>);

struct Turn {
    at: u32,
    offset: u64,
    skip: u64,
    next: u64,
    weight: f64,
    due: f64,
}

impl Maglev {
    /// Over these names with these weights; a weight of 0 has no slot.
    #[must_use]
    pub fn new(members: &[(&str, u32)]) -> Self {
        let heaviest = members.iter().map(|(_, weight)| *weight).max().unwrap_or(0);
        let turn = |(at, (name, weight)): (u32, &(&str, u32))| Turn {
            at,
            offset: hashing::of_endpoint(name, 0) % SIZE,
            skip: hashing::of_endpoint(name, 1) % (SIZE - 1) + 1,
            next: 0,
            weight: f64::from(*weight) / f64::from(heaviest),
            due: 0.0,
        };
        let turns = (0u32..).zip(members).filter(|(_, (_, weight))| *weight > 0);
        let mut turns: Vec<Turn> = turns.map(turn).collect();
        // In an order of their names', so that the file's order decides nothing.
        turns.sort_by_key(|turn| (turn.offset, turn.skip));
        Self(filled(&mut turns))
    }

    /// The owner of the key's slot if `fits` takes it, else of the next tries', else of any that does.
    pub fn find(&self, key: u64, mut fits: impl FnMut(usize) -> bool) -> Option<usize> {
        let owner = |slot: u64| self.0.get(slot as usize).map(|owner| *owner as usize);
        let tried = |n: u64| owner(if n == 0 { key } else { hashing::again(key, n) } % SIZE);
        if let Some(found) = (0..TRIES).map_while(tried).find(|owner| fits(*owner)) {
            return Some(found);
        }
        // Nearly all are out: each is asked once more, at the latest with the last slot.
        let (mut last, from) = (None, key % SIZE);
        let slots = (from..SIZE).chain(0..from).map_while(owner);
        slots.into_iter().filter(|owner| last.replace(*owner) != Some(*owner)).find(|owner| fits(*owner))
    }
}

fn filled(turns: &mut [Turn]) -> Vec<u32> {
    if turns.is_empty() {
        return Vec::new();
    }
    let mut slots = vec![FREE; SIZE as usize];
    let mut taken = 0;
    while taken < SIZE {
        for turn in turns.iter_mut() {
            turn.due += turn.weight;
            if turn.due < 1.0 {
                continue;
            }
            turn.due -= 1.0;
            if taken < SIZE && turn.take(&mut slots) {
                taken += 1;
            }
        }
    }
    slots
}

impl Turn {
    /// Takes the slot it likes best of those that are free. As the size is prime it comes by each.
    fn take(&mut self, slots: &mut [u32]) -> bool {
        while self.next < SIZE {
            let slot = (self.offset + self.next * self.skip) % SIZE;
            self.next += 1;
            if let Some(free) = slots.get_mut(slot as usize).filter(|owner| **owner == FREE) {
                *free = self.at;
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_is_somebodys_in_proportion_to_the_weights() {
        let table = Maglev::new(&[("a", 100), ("b", 50), ("c", 0), ("d", 25)]);
        let share = |at: u32| table.0.iter().filter(|owner| **owner == at).count() as f64 / SIZE as f64;
        for (at, wanted) in [(0, 100.0), (1, 50.0), (2, 0.0), (3, 25.0)] {
            assert!((share(at) - wanted / 175.0).abs() < 0.001, "{at}: {}", share(at));
        }
        assert_eq!(Maglev::new(&[("a", 0)]).find(1, |_| true), None);
    }

    #[test]
    fn the_last_one_left_is_found_wherever_it_is() {
        let names: Vec<String> = (0..200).map(|n| format!("10.0.0.{n}:80")).collect();
        let members: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 100)).collect();
        let table = Maglev::new(&members);
        assert!((0..100).all(|key| table.find(key, |owner| owner == 77) == Some(77)));
        assert_eq!(table.find(5, |_| false), None);
    }
}
