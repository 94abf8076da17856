//! What is usual just now: what the last hours say of a share, sharpened by the seconds before, and how far
//! it may have drifted since.
//!
//! A share of failures that wanders (doubles and halves within minutes) is no outlier wherever it happens to
//! be; a fault is a jump. So the level is a gamma variable whose past fades (a discounted gamma-Poisson local
//! level: Smith and Miller, "A non-Gaussian state space model", 1986), and a count against it is negative
//! binomial. The quieter a service's level is seen to be, the longer its past counts.

/// Seconds over which the past fades by two thirds: where it drifts, and where it does not.
const FADES_S: (f64, f64) = (3.0, 40.0);
/// Of the drift over a window, so much lies on average between its seconds and the level before it.
const WITHIN: f64 = 1.0 / 3.0;

/// A share as it is believed to be: gamma-distributed with this shape around this mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    share: f64,
    shape: f64,
}

/// How a share behaves in the long run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Habit {
    /// Its mean.
    pub(super) share: f64,
    /// Variance over the squared mean.
    pub(super) spread: f64,
    /// What is added to that by each second that passes.
    pub(super) drift: f64,
}

impl Level {
    /// Before a window of `window_s` seconds: `before` are the seconds that are known to be quiet, newest first
    /// (part, whole), the newest of them `gap_s` seconds before the window.
    pub(super) fn before(
        habit: Habit,
        before: impl Iterator<Item = (u64, u64)> + Clone,
        window_s: i64,
        gap_s: i64,
    ) -> Self {
        let Habit { share, spread, drift } = habit;
        let (seconds, n) = before.clone().fold((0.0, 0.0), |(s, sum), (_, n)| (s + 1.0, sum + n as f64));
        let a_second = share * n / f64::max(seconds, 1.0);
        // Where news and drift weigh the same (the steady state of a Kalman filter).
        let fade_s = (drift * a_second).sqrt().recip().clamp(FADES_S.0, FADES_S.1);
        let keep = (-1.0 / fade_s).exp();
        let prior = spread.recip();
        let mut weight = 1.0;
        let (mut part, mut whole) = (prior, prior / share);
        for (some, all) in before {
            part += weight * some as f64;
            whole += weight * all as f64;
            weight *= keep;
        }
        let passed_s = gap_s as f64 + window_s as f64 * WITHIN;
        Self { share: part / whole, shape: (part.recip() + drift * passed_s).recip() }
    }

    /// How surprising it is that at least `part` of `n` happen: the negative logarithm of the chance, by the
    /// deviance of the negative binomial and the usual correction for a tail. 0 where it is no more than usual.
    #[must_use]
    pub fn surprise(&self, part: f64, n: f64) -> f64 {
        let (x, mean, shape) = (part, n * self.share, self.shape);
        if x <= mean || mean <= 0.0 {
            return 0.0;
        }
        let deviance = x * (x / mean).ln() - (x + shape) * ((x + shape) / (mean + shape)).ln();
        deviance + 0.5 * (4.0 * std::f64::consts::PI * deviance.max(0.1)).ln().max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEADY: Habit = Habit { share: 0.005, spread: 1e-3, drift: 0.0 };
    const RESTLESS: Habit = Habit { share: 0.005, spread: 0.4, drift: 0.008 };

    fn level(habit: Habit, failed: u64, window_s: i64, gap_s: i64) -> Level {
        Level::before(habit, std::iter::repeat_n((failed, 200), 50), window_s, gap_s)
    }

    #[test]
    fn the_chance_is_the_textbooks_where_nothing_wanders() {
        // Poisson, mean 10: 30 or more with this probability, summed term by term.
        let exact = -(2.51e-07_f64.ln());
        let surprise = Level { share: 0.005, shape: 1e9 }.surprise(30.0, 2_000.0);
        assert!((surprise - exact).abs() < 0.6, "{surprise} {exact}");
    }

    #[test]
    fn a_jump_surprises_and_a_level_that_came_before_does_not() {
        let jump = level(RESTLESS, 1, 10, 0).surprise(52.0, 2_000.0);
        let stays = level(RESTLESS, 5, 10, 0).surprise(52.0, 2_000.0);
        assert!(jump > 10.0 && stays < 3.0, "{jump} {stays}");
        assert!(level(STEADY, 1, 10, 0).surprise(52.0, 2_000.0) > jump + 5.0);
    }

    #[test]
    fn the_older_a_level_is_the_less_it_says() {
        let surprise = |gap_s| level(RESTLESS, 1, 10, gap_s).surprise(52.0, 2_000.0);
        assert!(surprise(0) > surprise(30) + 3.0 && surprise(30) > surprise(300));
    }

    #[test]
    fn nothing_known_of_the_seconds_before_leaves_the_long_run() {
        let level = Level::before(RESTLESS, std::iter::empty(), 60, 0);
        assert!((level.share - 0.005).abs() < 1e-12 && level.shape < 2.5);
    }
}
