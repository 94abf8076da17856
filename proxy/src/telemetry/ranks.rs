//! Slots by their count, in constant time: the least one, and one more for any.
//!
//! The Stream-Summary of Metwally, Agrawal and El Abbadi (ICDT 2005): slots of the same count form a
//! ring, and the ranks (the counts that occur) form a line in ascending order. Counting a slot up moves
//! it to the next rank, which is right beside its own.

/// No rank.
const NONE: u16 = u16::MAX;

/// See the module.
#[derive(Debug)]
pub(super) struct Ranks {
    members: Vec<Member>,
    ranks: Vec<Rank>,
    free: Vec<u16>,
    lowest: u16,
}

impl Default for Ranks {
    fn default() -> Self {
        Self { members: Vec::new(), ranks: Vec::new(), free: Vec::new(), lowest: NONE }
    }
}

#[derive(Debug, Clone, Copy)]
struct Member {
    rank: u16,
    before: u16,
    after: u16,
}

#[derive(Debug, Clone, Copy)]
struct Rank {
    count: u64,
    /// Any of its members.
    first: u16,
    lower: u16,
    higher: u16,
}

impl Ranks {
    /// A slot more, with nothing counted. Slots are numbered in the order in which they come.
    pub(super) fn push(&mut self) {
        let slot = self.members.len() as u16;
        self.members.push(Member { rank: NONE, before: slot, after: slot });
        let zero = self.lowest;
        if zero == NONE || self.ranks[usize::from(zero)].count > 0 {
            let rank = self.new_rank(Rank { count: 0, first: slot, lower: NONE, higher: zero });
            self.members[usize::from(slot)].rank = rank;
        } else {
            self.enter(slot, zero);
        }
    }

    /// A slot with the lowest count. There must be one.
    pub(super) fn least(&self) -> usize {
        usize::from(self.ranks[usize::from(self.lowest)].first)
    }

    /// What was counted of a slot.
    pub(super) fn count_of(&self, slot: usize) -> u64 {
        self.ranks[usize::from(self.members[slot].rank)].count
    }

    /// Counts a slot up by one.
    pub(super) fn rise(&mut self, slot: usize) {
        let Member { rank, after, .. } = self.members[slot];
        let Rank { count, higher, .. } = self.ranks[usize::from(rank)];
        let alone = usize::from(after) == slot;
        let joins = higher != NONE && self.ranks[usize::from(higher)].count == count + 1;
        if alone && !joins {
            self.ranks[usize::from(rank)].count += 1;
            return;
        }
        let slot = slot as u16;
        self.leave(slot);
        if joins {
            self.enter(slot, higher);
        } else {
            let own = self.new_rank(Rank { count: count + 1, first: slot, lower: rank, higher });
            self.members[usize::from(slot)] = Member { rank: own, before: slot, after: slot };
        }
        if alone {
            self.remove_rank(rank);
        }
    }

    fn enter(&mut self, slot: u16, rank: u16) {
        let first = self.ranks[usize::from(rank)].first;
        let last = self.members[usize::from(first)].before;
        self.members[usize::from(slot)] = Member { rank, before: last, after: first };
        self.members[usize::from(last)].after = slot;
        self.members[usize::from(first)].before = slot;
    }

    fn leave(&mut self, slot: u16) {
        let Member { rank, before, after } = self.members[usize::from(slot)];
        self.members[usize::from(before)].after = after;
        self.members[usize::from(after)].before = before;
        let rank = &mut self.ranks[usize::from(rank)];
        if rank.first == slot {
            rank.first = after;
        }
    }

    /// Puts a rank between its neighbours.
    fn new_rank(&mut self, new: Rank) -> u16 {
        let at = match self.free.pop() {
            Some(at) => {
                self.ranks[usize::from(at)] = new;
                at
            }
            None => {
                self.ranks.push(new);
                (self.ranks.len() - 1) as u16
            }
        };
        self.link(new.lower, at);
        if new.higher != NONE {
            self.ranks[usize::from(new.higher)].lower = at;
        }
        at
    }

    fn remove_rank(&mut self, rank: u16) {
        let Rank { lower, higher, .. } = self.ranks[usize::from(rank)];
        self.link(lower, higher);
        if higher != NONE {
            self.ranks[usize::from(higher)].lower = lower;
        }
        self.free.push(rank);
    }

    fn link(&mut self, lower: u16, higher: u16) {
        if lower == NONE {
            self.lowest = higher;
        } else {
            self.ranks[usize::from(lower)].higher = higher;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_least_and_all_counts_are_those_of_a_plain_list(steps in proptest::collection::vec(0usize..12, 0..400)) {
            let (mut ranks, mut plain) = (Ranks::default(), Vec::<u64>::new());
            for step in steps {
                if step >= plain.len() {
                    ranks.push();
                    plain.push(0);
                } else {
                    ranks.rise(step);
                    plain[step] += 1;
                }
                let counts: Vec<u64> = (0..plain.len()).map(|slot| ranks.count_of(slot)).collect();
                prop_assert_eq!(&counts, &plain);
                prop_assert_eq!(plain.get(ranks.least()), plain.iter().min());
            }
        }
    }
}
