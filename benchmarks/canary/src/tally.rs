//! What became of the rollouts of a cell.

use crate::judges::{End, Outcome};

/// Ends of one judge in one cell.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    ends: Vec<End>,
}

impl Tally {
    /// One more.
    pub fn add(&mut self, end: End) {
        self.ends.push(end);
    }

    /// How many ended so.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.ends.iter().filter(|end| end.outcome == outcome).count()
    }

    /// How many there were.
    pub fn all(&self) -> usize {
        self.ends.len()
    }

    /// Of those that ended so: 5th, 50th and 95th percentile of what `of` says.
    pub fn spread(&self, outcome: Outcome, of: impl Fn(&End) -> u64) -> Option<[u64; 3]> {
        let mut values: Vec<u64> = self.ends.iter().filter(|end| end.outcome == outcome).map(of).collect();
        values.sort_unstable();
        let at = |q: f64| values.get(((values.len().saturating_sub(1)) as f64 * q).round() as usize).copied();
        Some([at(0.05)?, at(0.5)?, at(0.95)?])
    }
}

/// Wilson's interval of a share at 95 %, in percent (Wilson 1927).
pub fn wilson(k: usize, n: usize) -> (f64, f64) {
    let (k, n, z) = (k as f64, n.max(1) as f64, 1.96f64);
    let (p, denominator) = (k / n, 1.0 + z * z / n);
    let centre = (p + z * z / (2.0 * n)) / denominator;
    let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt() / denominator;
    (100.0 * (centre - half).max(0.0), 100.0 * (centre + half).min(1.0))
}
