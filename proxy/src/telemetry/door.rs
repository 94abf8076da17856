//! Who has come before: strangers are let in at their second time.
//!
//! One bit a hash, as the doorkeeper of Einziger, Friedman, Manes, "TinyLFU: A Highly Efficient Cache Admission Policy",
//! 2017. Emptied before it is an eighth full, so that at most one stranger in eight passes for another.

const BITS: usize = 1 << 14;

/// See the module.
#[derive(Debug)]
pub(super) struct Door {
    known: Box<[u64; BITS / 64]>,
    strangers: usize,
}

impl Default for Door {
    fn default() -> Self {
        Self { known: Box::new([0; BITS / 64]), strangers: 0 }
    }
}

impl Door {
    /// Strangers that are remembered at once.
    pub(super) const MOST: usize = BITS / 8;

    /// Whether a key of this hash has come before; it has, from now on.
    pub(super) fn lets_in(&mut self, hash: u64) -> bool {
        // Neither the bits by which slots are found nor those by which registers are.
        let bit = (hash >> 24) as usize % BITS;
        let (word, mask) = (&mut self.known[bit / 64], 1 << (bit % 64));
        let known = *word & mask != 0;
        if !known {
            *word |= mask;
            self.strangers += 1;
            if self.strangers == Self::MOST {
                self.close();
            }
        }
        known
    }

    /// Forgets everybody.
    pub(super) fn close(&mut self) {
        self.known.fill(0);
        self.strangers = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::distinct::hash_of;

    #[test]
    fn a_stranger_waits_outside_once_and_few_pass_for_another() {
        let mut door = Door::default();
        assert!(!door.lets_in(hash_of(&7)));
        assert!(door.lets_in(hash_of(&7)));
        let passed = (0..100_000u32).filter(|n| door.lets_in(hash_of(n))).count();
        assert!(passed < 12_500, "{passed}");
    }
}
