//! What is normal for one service: learned from quiet seconds, winsorised, frozen in trouble.

use protocol::latency::{Latency, MAX_INDEX};
use serde::{Deserialize, Serialize};

use super::rate::Rate;
use super::season::Season;
use super::series::{Sketch, Tally, share};

/// Seconds that make one lesson; long enough that slow bursts show as overdispersion.
pub(super) const BLOCK_S: u64 = 10;
/// A block further out than this many standard deviations counts as this far out.
pub(super) const WINSOR_SD: f64 = 4.0;
/// Buckets between the p99 and what is far beyond it: a factor of three.
const FAR_BUCKETS: i32 = 56;
/// How many requests a second there are beyond what the hour makes of them, learned block by block.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Pace {
    mean: f64,
    variance: f64,
    blocks: f64,
    /// What the season made of the last block's rate, as a logarithm.
    #[serde(default)]
    offset: f64,
    #[serde(default)]
    seasonal: bool,
}

impl Pace {
    fn learn(&mut self, rate: f64, season: &Season, second: i64, memory_blocks: f64) {
        self.offset = season.offset(second);
        if season.is_known() && !self.seasonal {
            // From now on the season is taken out of what is learned; so it is out of what was.
            self.seasonal = true;
            self.mean *= (-self.offset).exp();
            self.variance *= (-2.0 * self.offset).exp();
        }
        let rate = rate * (-self.offset).exp();
        self.blocks = (self.blocks + 1.0).min(memory_blocks);
        let most = self.mean + WINSOR_SD * self.variance.sqrt().max(0.1 * self.mean);
        let rate = if self.blocks < 6.0 { rate } else { rate.min(most) };
        let off = rate - self.mean;
        self.mean += off / self.blocks;
        // Before the first blocks say how much they differ, one off is no spread.
        if self.blocks > 1.0 {
            self.variance += (off * off - self.variance) / self.blocks;
        }
    }
}

/// The normal of one service.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Baseline {
    /// Share of failures.
    pub errors: Rate,
    /// Share of responses above [`Baseline::slow_index`].
    pub slow: Rate,
    /// Share of responses above [`Baseline::far_index`].
    #[serde(default = "Rate::none")]
    pub far: Rate,
    sketch: Sketch,
    slow_index: Option<i32>,
    in_flight: f64,
    /// Attempts made again, a request.
    #[serde(default)]
    retries: f64,
    pace: Pace,
    #[serde(default)]
    season: Season,
    block: (Tally, u64),
    #[serde(default)]
    far_block: u64,
    learned_s: u64,
    memory_blocks: f64,
}

impl Baseline {
    /// Nothing learned; what was learned `half_life_s` ago will count half.
    #[must_use]
    pub fn new(half_life_s: u32) -> Self {
        let half_life_s = f64::from(half_life_s);
        Self {
            errors: Rate::new(0.0),
            slow: Rate::new(0.01),
            far: Rate::none(),
            sketch: Sketch::new(half_life_s),
            slow_index: None,
            in_flight: 0.0,
            retries: 0.0,
            pace: Pace::default(),
            season: Season::default(),
            block: (Tally::default(), 0),
            far_block: 0,
            learned_s: 0,
            memory_blocks: half_life_s / std::f64::consts::LN_2 / BLOCK_S as f64,
        }
    }

    /// Seconds of quiet traffic learned from.
    #[must_use]
    pub fn learned_s(&self) -> u64 {
        self.learned_s
    }

    /// Above this bucket a response is slow: the baseline's p99. Nothing is slow before it is known.
    #[must_use]
    pub fn slow_index(&self) -> i32 {
        self.slow_index.unwrap_or(MAX_INDEX)
    }

    /// Above this bucket a response is far too slow: several times the baseline's p99, where quiet traffic has
    /// next to nothing. What hangs for a second shows here, though it be one request in fifty.
    #[must_use]
    pub fn far_index(&self) -> i32 {
        self.slow_index.map_or(MAX_INDEX, |index| (index + FAR_BUCKETS).min(MAX_INDEX))
    }

    /// The learned p90, for the peers' threshold.
    #[must_use]
    pub fn p90_index(&self) -> Option<i32> {
        (self.learned_s >= 60).then(|| self.sketch.quantile_index(0.9)).flatten()
    }

    /// The learned latency at quantile `q`, milliseconds; absent before a quiet second was seen.
    #[must_use]
    pub fn quantile_ms(&self, q: f64) -> Option<f64> {
        (self.learned_s > 0).then(|| self.sketch.quantile_ms(q))
    }

    /// Requests in flight, usually.
    #[must_use]
    pub fn in_flight(&self) -> f64 {
        self.in_flight
    }

    /// Attempts made again, a request, usually.
    #[must_use]
    pub fn retries(&self) -> f64 {
        self.retries
    }

    /// Requests a second, usually at the time of the last lesson, and the standard deviation of that over
    /// ten seconds.
    #[must_use]
    pub fn pace(&self) -> (f64, f64) {
        let season = self.pace.offset.exp();
        (self.pace.mean * season, self.pace.variance.sqrt() * season)
    }

    /// The same at another time.
    #[must_use]
    pub fn pace_at(&self, second: i64) -> (f64, f64) {
        let season = self.season.offset(second).exp();
        if self.pace.seasonal {
            (self.pace.mean * season, self.pace.variance.sqrt() * season)
        } else {
            self.pace()
        }
    }

    /// The day and the week of its rate.
    #[must_use]
    pub fn season(&self) -> &Season {
        &self.season
    }

    /// Takes up the days and weeks that were learned before anything else.
    pub fn recall_season(&mut self, season: Season) {
        self.season = season;
    }

    /// Forgets how many requests there usually are, unless the season tells what they are by now.
    pub fn forget_pace(&mut self) {
        if !self.pace.seasonal {
            self.pace = Pace::default();
        }
    }

    /// Latencies of a quiet second.
    pub fn learn_latency(&mut self, second: i64, latency: &Latency) {
        self.sketch.add(second, latency);
    }

    /// One quiet second is over, in which `far` responses were far too slow.
    pub fn learn_second(&mut self, second: i64, tally: Tally, far: u64, in_flight: u64, retries: u64) {
        if tally.n == 0 {
            return;
        }
        self.learned_s += 1;
        let weight = (1.0 / self.learned_s as f64).max(1.0 / (self.memory_blocks * BLOCK_S as f64));
        self.in_flight += (in_flight as f64 - self.in_flight) * weight;
        // A second in which every request was tried again is winsorised like any other.
        self.retries += (share(retries, tally.n).min(1.0) - self.retries) * weight;
        self.block.0.add(tally);
        self.block.1 += 1;
        self.far_block += far;
        if self.block.1 < BLOCK_S {
            return;
        }
        let (block, _) = std::mem::take(&mut self.block);
        let far = std::mem::take(&mut self.far_block);
        let rate = block.n as f64 / BLOCK_S as f64;
        self.season.learn(second, rate);
        self.pace.learn(rate, &self.season, second, self.memory_blocks);
        self.errors.learn(block.failed, block.n, self.memory_blocks);
        if self.slow_index.is_some() {
            self.slow.learn(block.slow, block.n, self.memory_blocks);
            self.far.learn(far, block.n, self.memory_blocks);
        }
        // A threshold that moved a little each block would make exceedances incomparable.
        if self.learned_s.is_multiple_of(60) {
            self.slow_index = self.sketch.quantile_index(0.99);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet(baseline: &mut Baseline, seconds: u64, failed: impl Fn(u64) -> u64) {
        for second in 0..seconds {
            baseline.learn_second(second as i64, Tally { n: 200, failed: failed(second), slow: 2 }, 0, 4, 0);
        }
    }

    #[test]
    fn a_steady_share_is_learned_without_overdispersion() {
        let mut baseline = Baseline::new(600);
        quiet(&mut baseline, 1_000, |_| 2);
        assert!((baseline.errors.share() - 0.01).abs() < 1e-3);
        assert!(baseline.errors.overdispersion(2_000) < 1.01);
        assert_eq!(baseline.learned_s(), 1_000);
    }

    #[test]
    fn bursts_are_learned_as_overdispersion() {
        let mut baseline = Baseline::new(600);
        quiet(&mut baseline, 1_000, |s| if (s / 10) % 2 == 0 { 6 } else { 0 });
        assert!(baseline.errors.overdispersion(2_000) > 3.0, "{}", baseline.errors.overdispersion(2_000));
    }

    #[test]
    fn one_bad_block_moves_the_baseline_only_a_little() {
        let mut baseline = Baseline::new(600);
        quiet(&mut baseline, 600, |_| 2);
        quiet(&mut baseline, 10, |_| 200);
        assert!(baseline.errors.share() < 0.013, "{}", baseline.errors.share());
    }
}
