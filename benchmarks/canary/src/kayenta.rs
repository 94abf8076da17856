//! A judge as Kayenta's `NetflixACAJudge`: points of twenty seconds, Mann-Whitney at 98 % each minute over all of them.
//!
//! A metric is high when the lower bound of the Hodges-Lehmann shift lies above a quarter of its estimate. Errors
//! are critical: high once is the end. The score is the share of metrics that pass; under 75 ends, at the tenth
//! minute it must be 95 (<https://spinnaker.io/docs/guides/user/canary/config/>).

use crate::judges::{Judging, Outcome};
use crate::world::{Second, Side};

const POINT_S: u64 = 20;
const JUDGE_S: u64 = 60;
/// Its warm-up: nothing is sampled before.
const BEGINS_S: u64 = 60;
const LAST_S: u64 = 600;
/// 98 %, two-sided.
const Z: f64 = 2.326;
const TOLERANCE: f64 = 0.25;

/// One side's point in the making, and its series: share of errors, p50, p90, p99.
#[derive(Debug)]
struct Series {
    requests: u64,
    failed: u64,
    buckets: Vec<u64>,
    points: [Vec<f64>; 4],
}

impl Default for Series {
    fn default() -> Self {
        Self { requests: 0, failed: 0, buckets: vec![0; 1_057], points: Default::default() }
    }
}

impl Series {
    fn add(&mut self, side: &Side) {
        self.requests += side.attempts;
        self.failed += side.failed;
        side.buckets.iter().for_each(|(index, n)| self.buckets[*index as usize] += n);
    }

    fn close(&mut self) {
        if self.requests > 0 {
            let share = self.failed as f64 / self.requests as f64;
            let values = [share, self.quantile(0.5), self.quantile(0.9), self.quantile(0.99)];
            self.points.iter_mut().zip(values).for_each(|(series, value)| series.push(value));
        }
        (self.requests, self.failed) = (0, 0);
        self.buckets.fill(0);
    }

    fn quantile(&self, q: f64) -> f64 {
        let mut left = self.buckets.iter().sum::<u64>() as f64 * q;
        let reached = |n: &u64| {
            left -= *n as f64;
            left <= 0.0
        };
        self.buckets.iter().position(reached).map_or(0.0, |index| 1.02f64.powi(index as i32))
    }
}

/// The judge.
#[derive(Debug, Default)]
pub struct Kayenta {
    stable: Series,
    canary: Series,
}

impl Kayenta {
    /// Before the first point.
    pub fn new() -> Self {
        Self::default()
    }
}

/// Whether the canary's points lie higher, by the rank test's own interval of the shift.
fn is_high(canary: &[f64], stable: &[f64]) -> bool {
    let mut shifts: Vec<f64> = canary.iter().flat_map(|c| stable.iter().map(move |s| c - s)).collect();
    shifts.sort_unstable_by(f64::total_cmp);
    let (m, n) = (canary.len() as f64, stable.len() as f64);
    let below = m * n / 2.0 - Z * (m * n * (m + n + 1.0) / 12.0).sqrt();
    let (Some(low), Some(estimate)) = (shifts.get(below.max(0.0) as usize), shifts.get(shifts.len() / 2))
    else {
        return false;
    };
    below >= 0.0 && *low > TOLERANCE * estimate.abs()
}

impl Judging for Kayenta {
    fn look(&mut self, second: &Second) -> Option<Outcome> {
        if second.at_s <= BEGINS_S {
            return None;
        }
        for (_, stable, canary) in &second.routes {
            self.stable.add(stable);
            self.canary.add(canary);
        }
        if second.at_s.is_multiple_of(POINT_S) {
            self.stable.close();
            self.canary.close();
        }
        if !second.at_s.is_multiple_of(JUDGE_S) {
            return None;
        }
        let high: Vec<bool> =
            self.canary.points.iter().zip(&self.stable.points).map(|(c, s)| is_high(c, s)).collect();
        let score = 25 * high.iter().filter(|high| !**high).count();
        if high.first().copied().unwrap_or(false) || score < 75 {
            return Some(Outcome::RolledBack);
        }
        (second.at_s >= LAST_S).then_some(if score >= 95 { Outcome::Promoted } else { Outcome::RolledBack })
    }
}
