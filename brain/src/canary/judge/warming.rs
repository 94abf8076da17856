//! Whether the canary is still growing faster: caches fill, code is compiled, connections are made.
//!
//! A canary that is slower than stable *and* less so from one ten seconds to the next is warming up; a slow
//! one stays slow. The slope of the mean log ratio over the last minute tells (weighted least squares).

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::look::StratumCounts;
use super::reference::log_moments;

const BLOCK_MS: i64 = 10_000;
/// Blocks that the slope is taken over.
const BLOCKS: usize = 6;
/// In fewer blocks than this no slope can be seen: a canary that is slow at first is given the time.
const FEW: usize = 5;
/// A fall over the blocks by less than this (3 %) is no warming.
const LEAST_FALL: f64 = 0.03;
/// Nor is one of so few standard errors. Low: to wait ten seconds in vain costs less than a false alarm.
const LEAST_Z: f64 = 0.35;
/// A canary less slow than this (5 %) has nothing to warm up.
const SLOWER: f64 = 0.05;

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Block {
    /// Sum over looks of the difference of mean log latencies, weighted.
    sum: f64,
    /// Sum of weights: one over the variance.
    weight: f64,
}

impl Block {
    fn mean(self) -> f64 {
        self.sum / self.weight.max(1e-12)
    }
}

/// The last minute in blocks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Warming {
    blocks: VecDeque<Block>,
    now: Block,
    until_ms: i64,
}

impl Warming {
    /// Takes a look in.
    pub(super) fn take(&mut self, at_ms: i64, strata: &[(&str, &StratumCounts)]) {
        if at_ms >= self.until_ms {
            self.until_ms = at_ms.saturating_add(BLOCK_MS);
            if self.now.weight > 0.0 {
                self.blocks.push_back(std::mem::take(&mut self.now));
            }
            if self.blocks.len() > BLOCKS {
                self.blocks.pop_front();
            }
        }
        for (_, counts) in strata {
            let (canary, stable) = (log_moments(&counts.canary.latency), log_moments(&counts.stable.latency));
            if canary.2 < 1.0 || stable.2 < 1.0 {
                continue;
            }
            let spread = canary.1.max(stable.1).max(1e-4);
            let weight = 1.0 / (spread / canary.2 + spread / stable.2);
            self.now.sum += weight * (canary.0 - stable.0);
            self.now.weight += weight;
        }
    }

    /// Whether the canary is slower than stable and still gains on it.
    pub(super) fn lasts(&self) -> bool {
        let Some(last) = self.blocks.back().filter(|_| self.blocks.len() >= 2) else { return false };
        if last.mean() < SLOWER {
            return false;
        }
        if self.blocks.len() < FEW {
            return true;
        }
        let weight: f64 = self.blocks.iter().map(|b| b.weight).sum();
        let each = || self.blocks.iter().enumerate().map(|(at, b)| (at as f64, *b));
        let centre = each().map(|(at, b)| at * b.weight).sum::<f64>() / weight;
        let mean = self.blocks.iter().map(|b| b.sum).sum::<f64>() / weight;
        let spread: f64 = each().map(|(at, b)| b.weight * (at - centre).powi(2)).sum();
        let slope = each().map(|(at, b)| b.weight * (at - centre) * (b.mean() - mean)).sum::<f64>()
            / spread.max(1e-12);
        let fall = -slope * (self.blocks.len() - 1) as f64;
        fall > LEAST_FALL && -slope * spread.sqrt() > LEAST_Z
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::latency::{Latency, index_of};

    fn run(slower: impl Fn(i64) -> f64) -> Vec<bool> {
        let mut warming = Warming::default();
        let spread = |ms: f64| Latency {
            buckets: (-10..=10).map(|i| (index_of((ms * 1_000.0) as u64) + i, 5)).collect(),
            ..Latency::default()
        };
        let mut seen = Vec::new();
        for second in 0..180 {
            let mut counts = StratumCounts::default();
            counts.stable.latency = spread(20.0);
            counts.canary.latency = spread(20.0 * slower(second));
            warming.take(second * 1_000, &[("r", &counts)]);
            seen.push(warming.lasts());
        }
        seen
    }

    #[test]
    fn a_filling_cache_is_waited_for_and_then_no_longer() {
        let seen = run(|second| 1.0 + (-second as f64 / 40.0).exp());
        assert!(seen[30..80].iter().all(|lasts| *lasts));
        assert!(!seen[179]);
    }

    #[test]
    fn a_slow_canary_is_not_taken_for_a_cold_one() {
        assert!(run(|_| 1.5).iter().skip(60).all(|lasts| !lasts));
        assert!(run(|second| 1.0 + second as f64 / 100.0).iter().skip(60).all(|lasts| !lasts));
    }
}
