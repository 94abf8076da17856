//! A share of requests, kept exactly and spread out: by carrying the rest from request to request, not by
//! chance.

use std::cell::Cell;

/// One worker's turn.
#[derive(Debug, Default)]
pub struct Portion {
    owed: Cell<f64>,
}

impl Portion {
    /// Whether this request belongs to the `share` (0 to 1).
    pub fn takes(&self, share: f64) -> bool {
        let owed = self.owed.get() + share;
        // A little less than one is one: shares such as 0.1 are not exact in binary.
        let takes = owed >= 1.0 - 1e-9;
        self.owed.set(if takes { owed - 1.0 } else { owed });
        takes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_exact_and_spread_out() {
        for (share, percent) in [(0.1, 10), (0.3, 30), (0.0, 0), (1.0, 100)] {
            let portion = Portion::default();
            let taken = (0..1_000).filter(|_| portion.takes(share)).count();
            assert_eq!(taken, percent * 10, "{share}");
        }
    }
}
