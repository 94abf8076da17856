//! Counts by second over the last minute, and a latency sketch that forgets.

use protocol::latency::{Latency, MAX_INDEX, value_of};
use serde::{Deserialize, Serialize};

use super::buckets::Buckets;

/// Seconds a [`Ring`] remembers.
pub const RING_S: i64 = 64;
const SLOTS: usize = 64;

/// Requests, and how many of them failed or were slow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// All of them.
    pub n: u64,
    /// Failures: 5xx, timeouts, resets, refused connections.
    pub failed: u64,
    /// Slower than what counted as slow when they ended.
    pub slow: u64,
}

impl Tally {
    /// Adds another count; saturates.
    pub fn add(&mut self, other: Self) {
        self.n = self.n.saturating_add(other.n);
        self.failed = self.failed.saturating_add(other.failed);
        self.slow = self.slow.saturating_add(other.slow);
    }

    /// What is left without `part`.
    #[must_use]
    pub fn without(self, part: Self) -> Self {
        Self {
            n: self.n.saturating_sub(part.n),
            failed: self.failed.saturating_sub(part.failed),
            slow: self.slow.saturating_sub(part.slow),
        }
    }
}

/// `part / whole`, 0 when there is nothing.
#[must_use]
pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// One second in 16 bytes: which (0: none yet; until the year 2106), and its counts, saturating.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    second: u32,
    counts: [u32; 3],
}

impl Slot {
    fn tally(&self) -> Tally {
        let [n, failed, slow] = self.counts.map(u64::from);
        Tally { n, failed, slow }
    }

    fn add(&mut self, tally: Tally) {
        let more = [tally.n, tally.failed, tally.slow];
        for (count, more) in self.counts.iter_mut().zip(more) {
            *count = count.saturating_add(u32::try_from(more).unwrap_or(u32::MAX));
        }
    }
}

/// The last [`RING_S`] seconds, one [`Tally`] each; counts beyond four thousand million a second are cut off.
/// One kilobyte.
#[derive(Debug, Clone)]
pub struct Ring(Box<[Slot; SLOTS]>);

impl Default for Ring {
    fn default() -> Self {
        Self(Box::new([Slot::default(); SLOTS]))
    }
}

impl Ring {
    /// Counts into a second; one that is older than what its slot holds is dropped.
    pub fn add(&mut self, second: i64, tally: Tally) {
        let slot = &mut self.0[slot(second)];
        let Ok(second) = u32::try_from(second) else { return };
        if slot.second > second {
            return;
        }
        if slot.second < second {
            *slot = Slot { second, ..Slot::default() };
        }
        slot.add(tally);
    }

    /// The count of one second.
    #[must_use]
    pub fn at(&self, second: i64) -> Tally {
        let held = &self.0[slot(second)];
        if i64::from(held.second) == second { held.tally() } else { Tally::default() }
    }

    /// The sum over `from..=to`, as far as remembered.
    #[must_use]
    pub fn sum(&self, from: i64, to: i64) -> Tally {
        let mut sum = Tally::default();
        for second in from.max(to.saturating_sub(RING_S - 1))..=to {
            sum.add(self.at(second));
        }
        sum
    }
}

fn slot(second: i64) -> usize {
    // The remainder is 0..64.
    second.rem_euclid(RING_S) as usize
}

/// A latency sketch in which what was seen `half_life_s` ago counts half.
///
/// Forgetting costs nothing at rest: instead of shrinking the old, the new is counted larger, and
/// the whole is scaled down when numbers get big.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sketch {
    counts: Buckets,
    total: f64,
    half_life_s: f64,
    origin_s: i64,
}

impl Sketch {
    /// An empty one.
    #[must_use]
    pub fn new(half_life_s: f64) -> Self {
        Self { counts: Buckets::default(), total: 0.0, half_life_s, origin_s: 0 }
    }

    /// Adds what ended in `second`.
    pub fn add(&mut self, second: i64, latency: &Latency) {
        if latency.buckets.is_empty() {
            return;
        }
        if self.counts.is_empty() {
            self.origin_s = second;
        }
        let gain = self.gain(second);
        for (index, count) in &latency.buckets {
            let Ok(index) = usize::try_from((*index).min(MAX_INDEX)) else { continue };
            self.counts.add(index, (*count as f64 * gain) as f32);
            self.total += *count as f64 * gain;
        }
    }

    fn gain(&mut self, second: i64) -> f64 {
        let age = (second - self.origin_s) as f64 / self.half_life_s;
        if age > 40.0 {
            let scale = (-age).exp2();
            self.counts.scale(scale);
            self.total *= scale;
            self.origin_s = second;
            return 1.0;
        }
        age.exp2()
    }

    /// How many responses it holds, seen from `second`: old ones count less.
    #[must_use]
    pub fn weight(&self, second: i64) -> f64 {
        self.total * (-((second - self.origin_s) as f64) / self.half_life_s).exp2()
    }

    /// The bucket below which a share `q` of the responses lies.
    #[must_use]
    pub fn quantile_index(&self, q: f64) -> Option<i32> {
        if self.total <= 0.0 {
            return None;
        }
        let mut left = q * self.total;
        let mut last = None;
        for (index, count) in self.counts.iter() {
            last = i32::try_from(index).ok();
            left -= f64::from(count);
            if left <= 0.0 {
                break;
            }
        }
        last
    }

    /// A quantile in milliseconds; 0 when nothing was seen.
    #[must_use]
    pub fn quantile_ms(&self, q: f64) -> f64 {
        self.quantile_index(q).map_or(0.0, |index| value_of(index) / 1_000.0)
    }

    /// Counts another sketch of the same half-life in.
    pub fn merge(&mut self, other: &Self) {
        if other.counts.is_empty() {
            return;
        }
        if self.counts.is_empty() {
            self.clone_from(other);
            return;
        }
        // A count with the later origin stands for more of what is counted with the earlier one.
        let later_by = (other.origin_s - self.origin_s) as f64 / self.half_life_s;
        let scale = later_by.clamp(-60.0, 60.0).exp2();
        for (index, theirs) in other.counts.iter() {
            self.counts.add(index, (f64::from(theirs) * scale) as f32);
        }
        self.total += other.total * scale;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::latency::index_of;

    fn latency(value_us: u64, count: u64) -> Latency {
        Latency { buckets: vec![(index_of(value_us), count)], ..Latency::default() }
    }

    #[test]
    fn a_ring_forgets_what_is_older_than_itself_and_never_mixes_seconds() {
        let mut ring = Ring::default();
        let one = Tally { n: 1, failed: 1, slow: 0 };
        for second in 0..200 {
            ring.add(second, one);
        }
        ring.add(10, one);
        assert_eq!(ring.sum(0, 199).n, 64);
        assert_eq!(ring.at(199), one);
        assert_eq!(ring.at(10), Tally::default());
        assert_eq!(ring.sum(190, 194).failed, 5);
    }

    #[test]
    fn a_sketch_forgets_by_halves_over_any_time() {
        let mut sketch = Sketch::new(10.0);
        sketch.add(0, &latency(1_000, 1_000));
        sketch.add(10, &latency(9_000, 600));
        assert!(sketch.quantile_ms(0.5) > 8.0, "{}", sketch.quantile_ms(0.5));
        assert!((sketch.weight(10) - 1_100.0).abs() < 1.0);
        sketch.add(100_000, &latency(2_000, 3));
        assert!((sketch.weight(100_000) - 3.0).abs() < 0.01);
        assert!((sketch.quantile_ms(0.5) - 2.0).abs() < 0.05);
    }

    #[test]
    fn merged_sketches_weigh_as_if_seen_by_one() {
        let (mut a, mut b, mut both) = (Sketch::new(10.0), Sketch::new(10.0), Sketch::new(10.0));
        a.add(0, &latency(1_000, 100));
        b.add(20, &latency(5_000, 100));
        both.add(0, &latency(1_000, 100));
        both.add(20, &latency(5_000, 100));
        a.merge(&b);
        assert!((a.weight(20) - both.weight(20)).abs() < 0.01);
        assert_eq!(a.quantile_index(0.3), both.quantile_index(0.3));
    }
}
