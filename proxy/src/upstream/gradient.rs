//! A limit of the requests at once that finds itself: it falls when answers take longer than in calm, and
//! rises while they do not (Envoy's gradient controller, Netflix's `concurrency-limits`).
//!
//! Two things differ from Envoy's. What calm is shows by itself while less than half of the limit is in use;
//! only under lasting pressure is the limit lowered for a moment to see it (Envoy does so always, which
//! costs healthy traffic). And a limit that nobody needs does not grow. Pure: time and samples are arguments.

use crate::settings::AdaptiveLimit;

/// Where the limit begins before anything is known.
const INITIAL: f64 = 64.0;
/// A window with fewer answers says nothing.
pub const MIN_SAMPLES: usize = 10;
/// To see calm, the limit is lowered to this share.
const CALM_SHARE: f64 = 0.5;
/// Answers that come faster than this share of the time before still came faster for the lower limit.
const STILL_FALLING: f64 = 0.8;
/// The most by which one window changes the limit.
const GRADIENT: (f64, f64) = (0.5, 2.0);

/// What one window has shown.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// The median time to an answer, microseconds.
    pub median_us: f64,
    /// The most requests at once.
    pub peak: u32,
}

/// See the module.
#[derive(Debug)]
pub struct Gradient {
    limit: f64,
    /// The median in calm, microseconds; 0: not seen.
    calm_us: f64,
    looking: Option<Looking>,
    /// When calm was seen, or begins to be out of date, ms.
    calm_seen_ms: u64,
    /// Whether calm was taken for want of better under pressure.
    doubtful: bool,
}

/// The limit is low, to see what calm is.
#[derive(Debug, Clone, Copy)]
struct Looking {
    /// The limit before, and the median under it.
    before: (f64, f64),
    /// The median one step higher.
    above_us: f64,
    /// Requests from before have gone.
    settled: bool,
}

impl Gradient {
    /// Before anything is known.
    #[must_use]
    pub fn new(rules: &AdaptiveLimit) -> Self {
        let limit = INITIAL.clamp(f64::from(rules.min), f64::from(rules.max));
        Self { limit, calm_us: 0.0, looking: None, calm_seen_ms: 0, doubtful: true }
    }

    /// The limit in force.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.limit as u32
    }

    /// A window has ended.
    pub fn window(&mut self, seen: Seen, rules: &AdaptiveLimit, now_ms: u64) {
        let (min, max) = (f64::from(rules.min), f64::from(rules.max));
        if let Some(looking) = self.looking {
            return self.look(looking, seen, (min, max), rules.tolerance, now_ms);
        }
        if f64::from(seen.peak) <= self.limit / 2.0 {
            self.calm_down(seen.median_us, now_ms);
            self.limit = self.limit.clamp(min, max);
            return;
        }
        if self.calm_us == 0.0 {
            (self.calm_us, self.doubtful) = (seen.median_us, true);
        }
        let every_ms = u64::try_from(rules.calm_every.as_millis()).unwrap_or(u64::MAX);
        if self.doubtful || now_ms.saturating_sub(self.calm_seen_ms) >= every_ms {
            // Whether this median already saw a queue is not known: the first step is always taken.
            let (before, above_us) = ((self.limit, seen.median_us), f64::INFINITY);
            self.looking = Some(Looking { before, above_us, settled: false });
            self.limit = (self.limit * CALM_SHARE).clamp(min, max);
            return;
        }
        let gradient = self.calm_us * (1.0 + rules.tolerance) / seen.median_us.max(1.0);
        let aimed = self.limit * gradient.clamp(GRADIENT.0, GRADIENT.1);
        // Room for a queue, as Envoy has it, so that the limit can rise again at all.
        self.limit = (aimed + aimed.sqrt()).clamp(min, max);
    }

    /// Goes lower as long as answers still come faster for it: then there was still a queue.
    fn look(&mut self, looking: Looking, seen: Seen, (min, max): (f64, f64), tolerance: f64, now_ms: u64) {
        if !looking.settled {
            self.looking = Some(Looking { settled: true, ..looking });
            return;
        }
        if seen.median_us < looking.above_us * STILL_FALLING && self.limit > min {
            self.looking = Some(Looking { above_us: seen.median_us, settled: false, ..looking });
            self.limit = (self.limit * CALM_SHARE).clamp(min, max);
            return;
        }
        (self.calm_us, self.doubtful, self.calm_seen_ms) = (seen.median_us, false, now_ms);
        let (limit, median_us) = looking.before;
        let fitting = limit * (self.calm_us * (1.0 + tolerance) / median_us.max(1.0)).min(1.0);
        (self.limit, self.looking) = ((fitting + fitting.sqrt()).clamp(min, max), None);
    }

    /// Calm is believed at once when it is faster than before, slowly when it is slower.
    fn calm_down(&mut self, median_us: f64, now_ms: u64) {
        let slower = median_us > self.calm_us && self.calm_us > 0.0;
        self.calm_us += (median_us - self.calm_us) * if slower { 0.1 } else { 1.0 };
        (self.doubtful, self.calm_seen_ms) = (false, now_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const RULES: AdaptiveLimit = AdaptiveLimit {
        min: 4,
        max: 1_000,
        tolerance: 0.25,
        window: Duration::from_millis(100),
        calm_every: Duration::from_secs(30),
    };

    /// A service that does `capacity` requests at once in 10 ms each; what is more waits in its queue.
    /// The mean limit and the mean time over the last half.
    fn run(offered: f64, capacity: f64, windows: u64) -> (f64, f64) {
        let mut gradient = Gradient::new(&RULES);
        let (mut limits, mut times) = (0.0, 0.0);
        for n in 0..windows {
            let in_flight = offered.min(gradient.limit);
            let time_us = 10_000.0 * (in_flight / capacity).max(1.0);
            if n >= windows / 2 {
                (limits, times) = (limits + gradient.limit, times + time_us);
            }
            gradient.window(Seen { median_us: time_us, peak: in_flight as u32 }, &RULES, n * 100);
        }
        let half = (windows - windows / 2) as f64;
        (limits / half, times / half)
    }

    #[test]
    fn under_lasting_overload_the_limit_stays_a_little_above_the_capacity() {
        for capacity in [8.0, 20.0, 300.0] {
            let (limit, time_us) = run(1e6, capacity, 2_000);
            assert!((capacity..capacity * 1.9).contains(&limit), "{limit} for {capacity}");
            assert!(time_us < 19_000.0, "{time_us} us for {capacity}");
        }
    }

    #[test]
    fn traffic_within_the_capacity_is_never_limited() {
        let mut gradient = Gradient::new(&RULES);
        for n in 0..5_000 {
            assert!(gradient.limit() >= 30, "{} in window {n}", gradient.limit());
            gradient.window(Seen { median_us: 10_000.0, peak: 30 }, &RULES, n * 100);
        }
    }

    #[test]
    fn a_service_that_gets_slower_by_itself_is_the_new_calm() {
        let mut gradient = Gradient::new(&RULES);
        for n in 0..600 {
            let median_us = if n < 100 { 10_000.0 } else { 40_000.0 };
            gradient.window(Seen { median_us, peak: 30 }, &RULES, n * 100);
        }
        assert!(gradient.limit() >= 60, "{}", gradient.limit());
    }

    #[test]
    fn the_limit_keeps_its_bounds_whatever_comes() {
        let mut gradient = Gradient::new(&RULES);
        for n in 0..10_000_u64 {
            let median_us = [1.0, 1e9, 0.0, 50.0, 1e4][(n % 5) as usize];
            let peak = gradient.limit().saturating_mul(u32::try_from(n % 2).unwrap_or(0));
            gradient.window(Seen { median_us, peak }, &RULES, n * 100);
            assert!((4..=1_000).contains(&gradient.limit()));
        }
    }
}
