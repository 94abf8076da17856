//! A whole service against its own past: in several windows the chance of as many, where the level may
//! wander as it was seen to; and gross failures, which need no past.

use crate::policies::Floor;
use crate::state::{Level, RING_S, Rate, Ring, Tally, share};

/// The windows looked at, seconds.
pub(super) const WINDOWS_S: [i64; 3] = [2, 10, 60];

/// A window with more requests than this over the usual says no more than so many would: nobody knows yet how
/// the additional ones hang together.
const MOST_OVER_USUAL: f64 = 1.5;
/// By chance alone the dispersion of a minute's seconds seems as much greater as this is less than one.
const CHANCE: f64 = 0.8;

/// What one window shows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Finding {
    pub(super) window_s: i64,
    pub(super) observed: f64,
    pub(super) baseline: f64,
    pub(super) n: u64,
    pub(super) log_e: f64,
}

/// One count of a service, by second, and what is usual of it.
pub(super) struct Series<'a> {
    pub(super) ring: &'a Ring,
    pub(super) part: fn(Tally) -> u64,
    pub(super) usual: &'a Rate,
    /// The first second of a trouble that is known: what is usual is not learned from it.
    pub(super) trouble: Option<i64>,
}

impl Series<'_> {
    /// The strongest window up to `second` that passes the floor, however little its evidence.
    pub(super) fn strongest(&self, second: i64, floor: &Floor) -> Option<Finding> {
        let findings = WINDOWS_S.into_iter().filter_map(|window_s| {
            let sum = self.ring.sum(second - window_s + 1, second);
            let (part, n, baseline) = ((self.part)(sum), sum.n, self.usual.share());
            let observed = share(part, n);
            if part < floor.min_count || observed - baseline < floor.min_excess {
                return None;
            }
            let alone = self.alone(second, window_s, n);
            let log_e = self.level(second, window_s).surprise(part as f64 * alone, n as f64 * alone);
            Some(Finding { window_s, observed, baseline, n, log_e }).filter(|found| found.log_e > 0.0)
        });
        findings.max_by(|a, b| a.log_e.total_cmp(&b.log_e))
    }

    /// What was usual just before the window.
    fn level(&self, second: i64, window_s: i64) -> Level {
        let last = second - window_s;
        let calm = self.calm(last);
        self.usual.level(self.seconds(second, calm), window_s, last - calm)
    }

    /// The last quiet second up to `last`.
    fn calm(&self, last: i64) -> i64 {
        self.trouble.map_or(last, |from| last.min(from - 1))
    }

    /// What is remembered up to `last`, newest first.
    fn seconds(&self, second: i64, last: i64) -> impl Iterator<Item = (u64, u64)> + Clone {
        (second - RING_S + 1..=last).rev().map(|s| {
            let tally = self.ring.at(s);
            ((self.part)(tally), tally.n)
        })
    }

    /// Of `n` requests in a window, the share that says something of itself: requests that fail together count
    /// once (the dispersion of the seconds before), and so do many more than usual.
    fn alone(&self, second: i64, window_s: i64, n: u64) -> f64 {
        let before = self.seconds(second, self.calm(second - WINDOWS_S[1]));
        let sums = before
            .clone()
            .fold((0.0, 0.0, 0.0), |(s, p, n), (some, of)| (s + 1.0, p + some as f64, n + of as f64));
        let (seconds, part, all) = sums;
        if all == 0.0 {
            return 1.0;
        }
        let usual = (part / all).max(self.usual.share());
        let off = |(some, of): (u64, u64)| (some as f64 - of as f64 * usual).powi(2);
        let together = before.map(off).sum::<f64>() / (all * usual) * CHANCE;
        let over = n as f64 / (all / seconds * window_s as f64 * MOST_OVER_USUAL);
        together.max(over).max(1.0).recip()
    }
}

/// Whether most requests fail, in this second and in the one before.
pub(super) fn gross(last: Tally, before: Tally, least_share: f64, least_requests: u64) -> Option<Finding> {
    let mut both = last;
    both.add(before);
    let bad = |t: Tally, needed: f64| t.n > 0 && share(t.failed, t.n) >= needed;
    let found =
        both.n >= least_requests && bad(both, least_share) && bad(last, least_share) && bad(before, 0.1);
    found.then(|| Finding {
        window_s: 2,
        observed: share(both.failed, both.n),
        baseline: 0.0,
        n: both.n,
        log_e: (both.failed as f64 * 2.0).min(100.0),
    })
}
