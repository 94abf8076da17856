//! The counts of a latency sketch, of which only the stretch in use is held: of a thousand buckets a service
//! uses a hundred. 0.5 kilobytes as a rule, 4.2 at most.

use protocol::latency::MAX_INDEX;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const BUCKETS: usize = MAX_INDEX as usize + 1;
/// Room made beyond what is asked for.
const SLACK: usize = 12;

/// See the module. Written as pairs of index and count.
#[derive(Debug, Clone, Default)]
pub(super) struct Buckets {
    base: usize,
    counts: Vec<f32>,
}

impl Buckets {
    pub(super) fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Counts into a bucket; one that does not exist is left out.
    pub(super) fn add(&mut self, index: usize, count: f32) {
        if index < BUCKETS {
            self.make_room(index);
            self.counts[index - self.base] += count;
        }
    }

    fn make_room(&mut self, index: usize) {
        if self.counts.is_empty() {
            self.base = index.saturating_sub(SLACK);
        }
        if index < self.base {
            let base = index.saturating_sub(SLACK);
            self.counts.splice(0..0, std::iter::repeat_n(0.0, self.base - base));
            self.base = base;
        }
        if index - self.base >= self.counts.len() {
            let len = (index + SLACK).min(BUCKETS) - self.base;
            self.counts.reserve_exact(len.max(index - self.base + 1) - self.counts.len());
            self.counts.resize(len.max(index - self.base + 1), 0.0);
        }
    }

    pub(super) fn scale(&mut self, factor: f64) {
        self.counts.iter_mut().for_each(|count| *count = (f64::from(*count) * factor) as f32);
    }

    /// Index and count of what is not empty, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, f32)> {
        let all = self.counts.iter().enumerate().map(|(n, count)| (self.base + n, *count));
        all.filter(|(_, count)| *count > 0.0)
    }
}

impl Serialize for Buckets {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Buckets {
    /// What a damaged store says of buckets that do not exist is left out.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut buckets = Self::default();
        for (index, count) in Vec::<(usize, f32)>::deserialize(from)? {
            buckets.add(index, count);
        }
        Ok(buckets)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_the_stretch_in_use_is_held_and_nothing_is_lost() {
        let mut buckets = Buckets::default();
        for index in [500, 520, 480, BUCKETS - 1, BUCKETS, usize::MAX, 0] {
            buckets.add(index, 1.0);
        }
        let held: Vec<usize> = buckets.iter().map(|(index, _)| index).collect();
        assert_eq!(held, [0, 480, 500, 520, BUCKETS - 1]);
        let mut some = Buckets::default();
        (300..400).for_each(|index| some.add(index, 1.0));
        assert!(some.counts.capacity() <= 140, "{}", some.counts.capacity());
        let again: Buckets = serde_json::from_str(&serde_json::to_string(&some).unwrap()).unwrap();
        assert!(again.iter().eq(some.iter()));
    }
}
