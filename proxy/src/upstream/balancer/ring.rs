//! Ring hash, as ketama has it (Karger et al. 1997; Last.fm's libketama): points of each endpoint on a
//! circle, and a key goes to the next point.
//!
//! How many points a unit of weight has follows from the weights in steps of sixteen, so that it stays
//! when an endpoint comes or goes and only that endpoint's keys move. Envoy and ketama divide a fixed
//! number of points instead, by which the others' points move as well.

use super::hashing;

/// The least points that the mean weight has, and a sixteenth of the most.
const POINTS: f64 = 256.0;
/// A step of the unit.
const STEP: f64 = 16.0;
/// The most points of a ring.
const MAX_POINTS: f64 = 1_048_576.0;

/// Points in order, each with whose it is.
#[derive(Debug)]
pub struct Ring(Vec<(u64, u32)>);

impl Ring {
    /// Over these names with these weights; a weight of 0 has no point.
    #[must_use]
    pub fn new(members: &[(&str, u32)]) -> Self {
        let unit = points_per_weight(members);
        let mut points = Vec::new();
        for (at, (name, weight)) in (0u32..).zip(members) {
            let count = (f64::from(*weight) * unit).round() as u64;
            let count = count.max(u64::from(*weight > 0));
            points.extend((0..count).map(|n| (hashing::of_endpoint(name, n), at)));
        }
        points.sort_unstable();
        Self(points)
    }

    /// The owner of the next point from `key` on whom `fits` takes; each point is looked at once.
    pub fn find(&self, key: u64, mut fits: impl FnMut(usize) -> bool) -> Option<usize> {
        let start = self.0.partition_point(|(point, _)| *point < key);
        let (before, after) = self.0.split_at_checked(start)?;
        let mut last = None;
        let owners = after.iter().chain(before).map(|(_, owner)| *owner as usize);
        // Neighbouring points of one owner are one question.
        owners.filter(|owner| last.replace(*owner) != Some(*owner)).find(|owner| fits(*owner))
    }
}

fn points_per_weight(members: &[(&str, u32)]) -> f64 {
    let weights = || members.iter().map(|(_, weight)| f64::from(*weight)).filter(|weight| *weight > 0.0);
    let (total, count) = (weights().sum::<f64>(), weights().count() as f64);
    if total <= 0.0 {
        return 0.0;
    }
    // The power of sixteen times eight that gives the mean 256 to 4,096 points: 800 for the usual 100, by
    // which shares are even to some percent of themselves.
    let steps = (POINTS / 8.0 * count / total).log(STEP).ceil();
    let unit = 8.0 * STEP.powf(steps);
    let over = (total * unit / MAX_POINTS).max(1.0).log(STEP).ceil();
    unit / STEP.powf(over)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_points_is_bounded_and_stays_when_one_leaves() {
        let weights = [1, 2, 5, 100, 100_000].map(|weight| ("a", weight));
        for weight in weights {
            let ring = |count: usize| Ring::new(&vec![weight; count]).0.len() / count;
            assert!((256..=4_096).contains(&ring(3)), "{weight:?}: {}", ring(3));
            assert_eq!(ring(3), ring(2));
        }
        assert!(Ring::new(&[("a", 100_000); 5_000]).0.len() <= MAX_POINTS as usize);
        assert!(Ring::new(&[("a", 0)]).0.is_empty());
        assert_eq!(Ring::new(&[]).find(7, |_| true), None);
    }
}
