//! Ranges of addresses, found by sixteen bits first: those after the bits that all of them share, of which IPv6
//! networks have many.

/// Fewer ranges are searched faster without the first level, and need not its 256 kB.
const FEW: usize = 64;

/// An address as a number.
pub(super) trait Address: Copy + Ord {
    /// How many of the first bits both have.
    fn shared(self, other: Self) -> u32;
    /// Sixteen bits, after the first `skip`; zeros where there are fewer.
    fn sixteen(self, skip: u32) -> usize;
}

impl Address for u32 {
    fn shared(self, other: Self) -> u32 {
        (self ^ other).leading_zeros()
    }

    fn sixteen(self, skip: u32) -> usize {
        (self.checked_shl(skip).unwrap_or(0) >> 16) as usize
    }
}

impl Address for u128 {
    fn shared(self, other: Self) -> u32 {
        (self ^ other).leading_zeros()
    }

    fn sixteen(self, skip: u32) -> usize {
        (self.checked_shl(skip).unwrap_or(0) >> 112) as usize
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ranges<A> {
    /// First and last address, in order, without overlap.
    all: Vec<(A, A)>,
    /// By sixteen bits: where the ranges begin that begin at or after them; one more than there are. Empty: there are
    /// few ranges.
    first: Vec<u32>,
    /// The bits before those.
    skip: u32,
}

impl<A: Address> Ranges<A> {
    /// From ranges without overlap, in any order.
    pub(super) fn new(mut all: Vec<(A, A)>) -> Self {
        all.sort_unstable();
        let (mut first, mut skip) = (Vec::new(), 0);
        if let (true, Some((lowest, _)), Some((_, highest))) = (all.len() > FEW, all.first(), all.last()) {
            skip = lowest.shared(*highest);
            let begins = |bits: usize| all.partition_point(|(from, _)| from.sixteen(skip) < bits);
            // At most as many as networks, which are far fewer than 2^32.
            first = (0..=1 << 16).map(|bits| u32::try_from(begins(bits)).unwrap_or(u32::MAX)).collect();
        }
        Self { all, first, skip }
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether one of them holds `address`.
    pub(super) fn contains(&self, address: A) -> bool {
        let (Some((lowest, _)), Some((_, highest))) = (self.all.first(), self.all.last()) else {
            return false;
        };
        // Only between them has every address the bits that they share.
        if address < *lowest || address > *highest {
            return false;
        }
        let bits = address.sixteen(self.skip);
        let (from, to) = match (self.first.get(bits), self.first.get(bits + 1)) {
            (Some(from), Some(to)) => (*from as usize, *to as usize),
            _ => (0, self.all.len()),
        };
        let below = self.all.get(from..to).unwrap_or_default();
        let after = from + below.partition_point(|(first, _)| *first <= address);
        // It may be in one that begins before its sixteen bits.
        after.checked_sub(1).and_then(|at| self.all.get(at)).is_some_and(|(_, last)| address <= *last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn with_the_first_level_and_without_the_same_is_found(
            starts in proptest::collection::btree_set(0u32..1 << 22, 0..300),
            prefix in any::<u128>(),
            length in 0u32..60,
            asked in proptest::collection::vec((any::<bool>(), 0u32..1 << 24), 50),
        ) {
            // Networks of four addresses, all under one prefix.
            let base = prefix.checked_shl(128 - length).unwrap_or(0);
            let at = |n: u32| base | u128::from(n) << 40;
            let all: Vec<(u128, u128)> = starts.iter().map(|n| (at(n * 4), at(n * 4 + 3))).collect();
            let ranges = Ranges::new(all.clone());
            for (inside, n) in asked {
                let address = if inside { at(n) } else { at(n) ^ 1 << 127 };
                let found = all.iter().any(|(from, to)| *from <= address && address <= *to);
                prop_assert_eq!(ranges.contains(address), found);
            }
        }
    }
}
