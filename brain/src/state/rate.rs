//! A share that is learned block by block: its mean, how much more it varies than coin flips would, and how far
//! it wanders from one block to the next.

use serde::{Deserialize, Serialize};

use super::baseline::{BLOCK_S, WINSOR_SD};
use super::level::{Habit, Level};
use super::series::share;

const LEAST_SHARE: f64 = 5e-4;
/// A level is never known better than to some per cent, and never so badly that nothing is unusual.
const SPREAD: (f64, f64) = (1e-3, 4.0);
/// What two blocks say of drift counts in full from so many expected cases each; below, their noise drowns it.
const TELLING_CASES: f64 = 10.0;
/// So many telling pairs of blocks are believed to have shown none, before any was seen; and so many are
/// remembered.
const UNSEEN_PAIRS: f64 = 10.0;
const MOST_PAIRS: f64 = 1_000.0;
/// Two means over neighbouring blocks differ by two thirds of a block's drift.
const OF_A_BLOCK: f64 = 1.5;

/// A share that is learned block by block, with how much more it varies than coin flips would.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Rate {
    share: f64,
    /// Intra-class correlation of the beta-binomial: variance is `n p (1-p) (1 + (n-1) rho)`.
    rho: f64,
    blocks: f64,
    /// How far it wanders: variance a second, over the squared share.
    #[serde(default)]
    drift: Drift,
}

/// See [`Rate`].
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Drift {
    mean: f64,
    pairs: f64,
    /// The share and size of the block before; absent: there was none.
    before: Option<(f64, u64)>,
}

impl Drift {
    fn learn(&mut self, seen: f64, n: u64, p: f64) {
        let cases = |n: u64| n as f64 * p;
        if let Some((before, n_before)) = self.before.replace((seen, n)) {
            let weight = (cases(n).min(cases(n_before)) / TELLING_CASES).powi(2).min(1.0);
            let noise = cases(n).recip() + cases(n_before).recip();
            let moved = ((seen - before) / p).powi(2) - noise;
            self.pairs = (self.pairs + weight).min(MOST_PAIRS);
            let share = weight / (self.pairs + UNSEEN_PAIRS);
            self.mean += (moved * OF_A_BLOCK / BLOCK_S as f64 - self.mean) * share;
        }
    }
}

impl Rate {
    pub(super) fn new(share: f64) -> Self {
        Self { share, rho: 0.0, blocks: 0.0, drift: Drift::default() }
    }

    pub(super) fn none() -> Self {
        Self::new(0.0)
    }

    /// What it is believed to be before a window of `window_s` seconds; see [`Level::before`].
    #[must_use]
    pub fn level(
        &self,
        before: impl Iterator<Item = (u64, u64)> + Clone,
        window_s: i64,
        gap_s: i64,
    ) -> Level {
        let share = self.share();
        let spread = (self.rho * (1.0 - share) / share).clamp(SPREAD.0, SPREAD.1);
        Level::before(Habit { share, spread, drift: self.drift.mean.max(0.0) }, before, window_s, gap_s)
    }

    /// What is normal; never quite zero, so that one failure is no wonder.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.share.max(LEAST_SHARE)
    }

    /// By how much the variance of `n` requests exceeds the binomial one; at least 1.
    #[must_use]
    pub fn overdispersion(&self, n: u64) -> f64 {
        (1.0 + (n.saturating_sub(1)) as f64 * self.rho).max(1.0)
    }

    /// One quiet block is over.
    pub(super) fn learn(&mut self, part: u64, n: u64, memory_blocks: f64) {
        if n == 0 {
            return;
        }
        self.blocks = (self.blocks + 1.0).min(memory_blocks);
        let (n_f, p) = (n as f64, self.share());
        let sd = (p * (1.0 - p) / n_f * self.overdispersion(n)).sqrt();
        let seen =
            if self.blocks < 3.0 { share(part, n) } else { share(part, n).clamp(0.0, p + WINSOR_SD * sd) };
        let weight = 1.0 / self.blocks;
        self.share += (seen - self.share) * weight;
        if self.blocks >= 3.0 {
            self.drift.learn(seen, n, p);
        }
        if n > 1 && self.blocks >= 3.0 {
            let surprise = (seen - p).powi(2) / (p * (1.0 - p) / n_f);
            let rho = ((surprise - 1.0) / (n_f - 1.0)).clamp(-0.05, 1.0);
            self.rho += (rho - self.rho) * weight;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_wanders_is_told_from_one_that_stays() {
        let drift = |failed: fn(u64) -> u64| {
            let mut rate = Rate::none();
            (0..600).for_each(|block| rate.learn(failed(block), 2_000, 86.0));
            rate.drift.mean
        };
        // Up and down within a minute; and not at all.
        let wanders = drift(|block| 20 + 30 * (block % 6).min(6 - block % 6));
        let stays = drift(|_| 30);
        assert!(stays <= 0.0 && wanders > 5e-4, "{stays} {wanders}");
    }
}
