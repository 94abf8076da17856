//! From hashes to slots, in one small array: open addressing by linear probing (Knuth, TAOCP volume 3,
//! section 6.4, algorithms L and R), at most a quarter full, so that most searches end where they begin. It keeps
//! slots' numbers and a part of their hashes; only where that part agrees does anybody have to look at a slot itself.

/// No slot.
const FREE: u16 = u16::MAX;

/// See the module.
#[derive(Debug)]
pub(super) struct SlotTable {
    places: Box<[Place]>,
    mask: usize,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    slot: u16,
    tag: Tag,
}

/// The upper bits of a hash: the lower ones are what estimates of distinct keys count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag(u16);

impl Tag {
    pub(super) fn of(hash: u64) -> Self {
        Self((hash >> 48) as u16)
    }
}

impl SlotTable {
    /// For at most `slots` slots, each below `u16::MAX`.
    pub(super) fn new(slots: usize) -> Self {
        let places = (slots * 4).next_power_of_two();
        let free = Place { slot: FREE, tag: Tag(0) };
        Self { places: vec![free; places].into_boxed_slice(), mask: places - 1 }
    }

    /// The slot with this tag that `is_it`.
    pub(super) fn find(&self, tag: Tag, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        let mut at = self.home(tag);
        loop {
            let place = self.places[at];
            if place.slot == FREE {
                return None;
            }
            if place.tag == tag && is_it(usize::from(place.slot)) {
                return Some(usize::from(place.slot));
            }
            at = (at + 1) & self.mask;
        }
    }

    /// Enters a slot that is not there yet.
    pub(super) fn insert(&mut self, tag: Tag, slot: usize) {
        let mut at = self.home(tag);
        while self.places[at].slot != FREE {
            at = (at + 1) & self.mask;
        }
        self.places[at] = Place { slot: slot as u16, tag };
    }

    /// Takes a slot out, and closes the gap so that no search ends in it too early.
    pub(super) fn remove(&mut self, tag: Tag, slot: usize) {
        let mut gap = self.home(tag);
        while usize::from(self.places[gap].slot) != slot {
            gap = (gap + 1) & self.mask;
        }
        let mut next = gap;
        loop {
            next = (next + 1) & self.mask;
            let moved = self.places[next];
            if moved.slot == FREE {
                break;
            }
            // It may move into the gap unless its home lies behind the gap.
            let from_home = next.wrapping_sub(self.home(moved.tag)) & self.mask;
            if from_home >= (next.wrapping_sub(gap) & self.mask) {
                self.places[gap] = moved;
                gap = next;
            }
        }
        self.places[gap].slot = FREE;
    }

    /// Empty again.
    pub(super) fn clear(&mut self) {
        self.places.iter_mut().for_each(|place| place.slot = FREE);
    }

    fn home(&self, Tag(tag): Tag) -> usize {
        usize::from(tag) & self.mask
    }
}
