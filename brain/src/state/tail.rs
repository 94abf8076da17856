//! The threshold that keeps a promise of so many false alarms a week: learned from the statistic itself.
//!
//! What theory says of a threshold (`evidence::threshold`) holds for the noise that theory knows. So the
//! final statistic, as it stands after all floors, is watched in quiet times: the greatest value of each ten
//! minutes, and over those that stand out a generalised Pareto tail (peaks over threshold; Hosking and Wallis
//! 1987, probability-weighted moments). Where that tail reaches beyond the theoretical threshold more often
//! than is tolerated, more evidence is asked for; never less, and never so much that a fault of size is
//! not seen. Blocks with an alarm teach nothing: faults must not raise the bar for faults.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Ten minutes: longer than the statistics remember, so that blocks are nearly independent.
const BLOCK_S: i64 = 600;
const BLOCKS_A_WEEK: f64 = 1_008.0;
/// Blocks that are remembered: two weeks, of which at most so many stood out.
const MEMORY: i64 = 2_016;
const MAX_PEAKS: usize = 128;
/// Without so many peaks there is no tail to speak of.
const ENOUGH: usize = 10;
/// So much of all blocks belongs to the tail at most.
const TAIL: f64 = 0.2;
/// Heavier than this no tail is believed to be, and none is believed to end.
const SHAPE: (f64, f64) = (0.0, 0.5);
/// More than so many times the theoretical threshold is never asked for.
const MOST: f64 = 3.0;

/// See the module. One statistic of one service; at most 2 kilobytes, none as long as nothing stands out.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Tail {
    /// (block since 1970, its greatest value), those above zero only.
    peaks: VecDeque<(i64, f32)>,
    first: Option<i64>,
    newest: i64,
    /// The block that is being watched, its greatest value, and whether there was an alarm in it.
    open: (i64, f32, bool),
}

impl Tail {
    /// The statistic at `second`, and whether it is, or belongs to, an alarm.
    pub fn watch(&mut self, second: i64, statistic: f64, alarm: bool) {
        let block = second.div_euclid(BLOCK_S);
        if block != self.open.0 {
            self.close();
            self.open = (block, 0.0, false);
        }
        self.open.1 = self.open.1.max(statistic as f32);
        self.open.2 |= alarm;
    }

    fn close(&mut self) {
        let (block, value, alarm) = self.open;
        if alarm || block == 0 {
            return;
        }
        self.first.get_or_insert(block);
        self.newest = block;
        if value > 0.0 {
            self.peaks.push_back((block, value));
        }
        while self.peaks.front().is_some_and(|(b, _)| b + MEMORY < block) {
            self.peaks.pop_front();
        }
        if self.peaks.len() > MAX_PEAKS {
            let by_value = |a: &(usize, &(i64, f32)), b: &(usize, &(i64, f32))| a.1.1.total_cmp(&b.1.1);
            let least = self.peaks.iter().enumerate().min_by(by_value).map(|(at, _)| at);
            least.and_then(|at| self.peaks.remove(at));
        }
    }

    /// Blocks that the peaks were found in.
    fn blocks(&self) -> f64 {
        let first = self.first.unwrap_or(self.newest);
        (self.newest - first.max(self.newest - MEMORY) + 1) as f64
    }

    /// The threshold for so many false alarms a week, where theory says `needed`.
    #[must_use]
    pub fn threshold(&self, alarms_a_week: f64, needed: f64) -> f64 {
        self.level(alarms_a_week).map_or(needed, |level| level.clamp(needed, MOST * needed))
    }

    /// What quiet blocks exceed so many times a week; nothing as long as too few stand out.
    #[must_use]
    pub fn level(&self, alarms_a_week: f64) -> Option<f64> {
        if self.peaks.len() < ENOUGH {
            return None;
        }
        let mut sorted: Vec<f64> = self.peaks.iter().map(|(_, value)| f64::from(*value)).collect();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let blocks = self.blocks().max(sorted.len() as f64);
        // Of those that were let go none is above the least that was kept.
        let most = if sorted.len() == MAX_PEAKS { MAX_PEAKS - 1 } else { sorted.len() };
        let in_tail = ((TAIL * blocks) as usize).clamp(ENOUGH, most);
        let edge = sorted.get(in_tail).copied().unwrap_or(0.0);
        let excesses: Vec<f64> = sorted.iter().take(in_tail).map(|value| value - edge).collect();
        let wanted = alarms_a_week / BLOCKS_A_WEEK;
        Some(edge + exceeded(&excesses, wanted / (in_tail as f64 / blocks)))
    }
}

/// What is exceeded with probability `p` by a generalised Pareto variable like these (in falling order).
fn exceeded(excesses: &[f64], p: f64) -> f64 {
    let n = excesses.len() as f64;
    let mean = excesses.iter().sum::<f64>() / n;
    // Rank 1 is the greatest: its weight is the estimated probability to be exceeded.
    let weighted = excesses.iter().enumerate().map(|(rank, x)| (rank as f64 + 0.65) / n * x).sum::<f64>() / n;
    let spread = (mean - 2.0 * weighted).max(1e-9);
    let shape = (2.0 - mean / spread).clamp(SHAPE.0, SHAPE.1);
    // Given the shape, the scale that keeps the mean.
    let scale = mean * (1.0 - shape);
    let odds = (1.0 / p.clamp(1e-12, 1.0)).ln();
    if shape < 1e-6 { scale * odds } else { scale / shape * ((shape * odds).exp() - 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Uniform without a generator: the fractional parts of multiples of the golden ratio.
    fn uniform(n: usize) -> f64 {
        ((n + 1) as f64 * 0.618_033_988_75).fract()
    }

    fn watched(blocks: usize, value: impl Fn(f64) -> f64) -> Tail {
        let mut tail = Tail::default();
        (0..=blocks).for_each(|n| tail.watch(600_000 + n as i64 * 600, value(uniform(n)), false));
        tail
    }

    #[test]
    fn quiet_statistics_leave_the_threshold_where_theory_put_it() {
        assert!((watched(1_000, |_| 0.0).threshold(0.3, 15.0) - 15.0).abs() < 1e-9);
        // One block in ten stands out a little, with an exponential tail of mean 1.
        let some = watched(1_000, |u| if u < 0.1 { -(u * 10.0).ln() } else { 0.0 });
        assert!((some.threshold(0.3, 15.0) - 15.0).abs() < 1e-9);
    }

    #[test]
    fn a_statistic_that_wanders_further_needs_as_much_more() {
        // Exponential with mean 3: exceeded with probability 0.3 / 1008 at 3 ln(3360) = 24.4.
        let tail = watched(1_000, |u| -3.0 * u.ln());
        let level = tail.threshold(0.3, 15.0);
        assert!((20.0..32.0).contains(&level), "{level}");
        assert!(tail.threshold(3.0, 15.0) < level && tail.threshold(0.03, 15.0) > level);
        assert!(watched(1_000, |u| -30.0 * u.ln()).threshold(0.3, 15.0) <= 45.0);
    }

    #[test]
    fn alarms_teach_nothing() {
        let mut tail = watched(100, |_| 0.0);
        (0..200).for_each(|n| tail.watch(700_000 + n * 600, 100.0, true));
        assert!((tail.threshold(0.3, 15.0) - 15.0).abs() < 1e-9);
    }
}
