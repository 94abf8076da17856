//! Ids of traces and spans, and the coin that sampling tosses: unique, not secret.

use std::cell::Cell;

/// `SplitMix64` from a seed of the system's, one for each worker.
#[derive(Debug)]
pub struct Ids(Cell<u64>);

impl Default for Ids {
    fn default() -> Self {
        let mut seed = [0; 8];
        // Without randomness ids are unique within this worker only.
        let _ = getrandom::fill(&mut seed);
        Self(Cell::new(u64::from_ne_bytes(seed)))
    }
}

impl Ids {
    /// Never 0.
    pub fn span(&self) -> u64 {
        self.next().max(1)
    }

    /// Never 0.
    pub fn trace(&self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.span())
    }

    /// Any number from 0 to below 1.
    pub fn share(&self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Any number.
    pub fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let n = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        n ^ (n >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_differ_and_are_never_zero() {
        let ids = Ids::default();
        let made: HashSet<u128> = (0..10_000).map(|_| ids.trace()).collect();
        assert_eq!(made.len(), 10_000);
        assert!(!made.contains(&0));
    }
}
