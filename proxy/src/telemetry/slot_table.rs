//! From hashes to slots, in one small array: open addressing by linear probing (Knuth, TAOCP volume 3,
//! section 6.4, algorithms L and R), at most half full. It keeps slots' numbers only; whoever holds the
//! slots says what they hash to.

/// No slot.
const FREE: u16 = u16::MAX;

/// See the module.
#[derive(Debug)]
pub(super) struct SlotTable {
    places: Box<[u16]>,
    mask: usize,
}

impl SlotTable {
    /// For at most `slots` slots, each below `u16::MAX`.
    pub(super) fn new(slots: usize) -> Self {
        let places = (slots * 2).next_power_of_two();
        Self { places: vec![FREE; places].into_boxed_slice(), mask: places - 1 }
    }

    /// The slot with this hash that `is_it`.
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        let mut place = self.home(hash);
        loop {
            match self.places[place] {
                FREE => return None,
                slot if is_it(usize::from(slot)) => return Some(usize::from(slot)),
                _ => place = (place + 1) & self.mask,
            }
        }
    }

    /// Enters a slot that is not there yet.
    pub(super) fn insert(&mut self, hash: u64, slot: usize) {
        let mut place = self.home(hash);
        while self.places[place] != FREE {
            place = (place + 1) & self.mask;
        }
        self.places[place] = slot as u16;
    }

    /// Takes a slot out, and closes the gap so that no search ends in it too early.
    pub(super) fn remove(&mut self, hash: u64, slot: usize, hash_of: impl Fn(usize) -> u64) {
        let mut gap = self.home(hash);
        while usize::from(self.places[gap]) != slot {
            gap = (gap + 1) & self.mask;
        }
        let mut next = gap;
        loop {
            next = (next + 1) & self.mask;
            let moved = self.places[next];
            if moved == FREE {
                break;
            }
            // It may move into the gap unless its home lies behind the gap.
            let from_home = next.wrapping_sub(self.home(hash_of(usize::from(moved)))) & self.mask;
            if from_home >= (next.wrapping_sub(gap) & self.mask) {
                self.places[gap] = moved;
                gap = next;
            }
        }
        self.places[gap] = FREE;
    }

    /// Empty again.
    pub(super) fn clear(&mut self) {
        self.places.fill(FREE);
    }

    /// The upper bits: the lower ones are what estimates of distinct keys count.
    fn home(&self, hash: u64) -> usize {
        (hash >> 48) as usize & self.mask
    }
}
