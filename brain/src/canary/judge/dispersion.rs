//! How much more unevenly bad requests fall on the two sides than independent requests would.
//!
//! Failures come in clumps (one broken connection, one retrying client), and no formula knows how large.
//! The squared surprise over its expected variance, by single looks and by tens, estimates the factor
//! (McCullagh and Nelder, "Generalized Linear Models", 1989, quasi-likelihood). Evidence to the power
//! of one over a factor of at least 1 stays below the larger of 1 and the evidence itself: whatever is learned here, the
//! guarantee for independent requests holds.

use serde::{Deserialize, Serialize};

/// Looks in a block of the slower scale.
const BLOCK: u32 = 10;
/// Weight of the expectation that there are no clumps, in variances.
const PRIOR: f64 = 3.0;
/// Nothing is discounted by more.
const MOST: f64 = 100.0;

/// The two scales.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Dispersion {
    look: Scale,
    block: Scale,
    looks: u32,
}

/// Sums by value of the grid: surprise of the running block, its variance; squares and variances of all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Scale {
    now: Vec<(f64, f64)>,
    all: Vec<(f64, f64)>,
    closed: u32,
}

impl Scale {
    fn over(values: usize) -> Self {
        Self { now: vec![(0.0, 0.0); values], all: vec![(0.0, 0.0); values], closed: 0 }
    }

    fn add(&mut self, surprise: &[(f64, f64)]) {
        for (now, (off, variance)) in self.now.iter_mut().zip(surprise) {
            now.0 += off;
            now.1 += variance;
        }
    }

    fn close(&mut self) {
        self.closed = self.closed.saturating_add(1);
        for (now, all) in self.now.iter_mut().zip(&mut self.all) {
            all.0 += now.0 * now.0;
            all.1 += now.1;
            *now = (0.0, 0.0);
        }
    }

    fn factor(&self, at: usize) -> f64 {
        let (squares, variance) = self.all.get(at).copied().unwrap_or((0.0, 0.0));
        // Chance alone makes the ratio scatter by so much where failures are rare.
        let scatter = (2.0 / f64::from(self.closed.max(1)) + 1.0 / (variance + PRIOR)).sqrt();
        (squares + PRIOR) / (variance + PRIOR) - scatter
    }
}

impl Dispersion {
    /// For a grid of so many values.
    pub(super) fn over(values: usize) -> Self {
        Self { look: Scale::over(values), block: Scale::over(values), looks: 0 }
    }

    /// Adds one stratum's surprise and variance at each value.
    pub(super) fn add(&mut self, surprise: &[(f64, f64)]) {
        self.look.add(surprise);
        self.block.add(surprise);
    }

    /// Ends a look.
    pub(super) fn end_look(&mut self) {
        self.look.close();
        self.looks += 1;
        if self.looks >= BLOCK {
            self.block.close();
            self.looks = 0;
        }
    }

    /// The factor, seen from the value at `at`; at least 1.
    pub(super) fn factor(&self, at: usize) -> f64 {
        self.look.factor(at).max(self.block.factor(at)).clamp(1.0, MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clumps_of_ten_are_worth_a_tenth() {
        let mut clumped = Dispersion::over(1);
        let mut even = Dispersion::over(1);
        for look in 0..200 {
            let off = if look % 2 == 0 { 1.0 } else { -1.0 };
            clumped.add(&[(off * 10.0, 10.0)]);
            even.add(&[(off * 10f64.sqrt(), 10.0)]);
            clumped.end_look();
            even.end_look();
        }
        assert!((clumped.factor(0) - 10.0).abs() < 0.5, "{}", clumped.factor(0));
        assert!((even.factor(0) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn what_swings_slowly_is_seen_in_blocks() {
        let mut slow = Dispersion::over(1);
        for look in 0..400 {
            let off = if (look / 10) % 2 == 0 { 1.0 } else { -1.0 };
            slow.add(&[(off, 1.0)]);
            slow.end_look();
        }
        assert!(slow.factor(0) > 8.0, "{}", slow.factor(0));
    }
}
