//! Evidence that accumulates: a restarting e-process for one share against the others', and the
//! threshold that a tolerated alarm rate asks for.
//!
//! Given `X` failures over all siblings in a step, those of one endpoint are at most
//! Binomial(X, p0) while its odds are at most `null` times the others'. The likelihood ratio of a
//! larger odds ratio is then an e-value, and a mixture of them one too (Wald 1945; Shin, Ramdas and
//! Rinaldo, "E-detectors", 2023). Each alternative restarts at zero, which makes the whole a CUSUM.

use serde::{Deserialize, Serialize};

/// The odds ratios an endpoint may have instead.
const ALTERNATIVES: [f64; 4] = [3.0, 6.0, 15.0, 60.0];
/// What each is given of the mixture: gray failures lie in the middle.
const WEIGHTS: [f64; 4] = [0.1, 0.3, 0.4, 0.2];
/// Evidence fades by this factor a second: old specks do not add up to an alarm.
const FADE: f64 = 0.99;
/// A step is no more surprising than so many times the usual.
const WINSOR: f64 = 25.0;
/// Beyond this, failures come in clumps so large that peers cannot be compared; some evidence is left.
const MOST_DISPERSED: f64 = 100.0;
const SECONDS_IN_A_WEEK: f64 = 604_800.0;

/// The log-evidence an alarm needs so that a service of `endpoints` has at most `alarms` false ones
/// a week. A CUSUM over e-values runs on average at least `exp(b)` steps to a false alarm, so `b` is
/// the logarithm of all looks in a week over the alarms; `safety_nats` come on top. The bound itself is
/// on the safe side: it counts no overshoot, takes looks that share their seconds for independent,
/// and the null is 1.5 times the siblings' odds where equals have 1; the floors come on top of it.
#[must_use]
pub fn threshold(alarms: f64, endpoints: usize, safety_nats: f64) -> f64 {
    let looks = SECONDS_IN_A_WEEK * endpoints.max(1) as f64 * 2.0;
    (looks / alarms.max(1e-9)).ln() + safety_nats
}

/// One step: what one endpoint did, and all siblings together with it.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The endpoint's failures.
    pub part: u64,
    /// Its requests.
    pub n: u64,
    /// Failures of all, it included.
    pub all_part: u64,
    /// Requests of all.
    pub all_n: u64,
}

/// Accumulated evidence against one endpoint.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cusum {
    log: [f64; ALTERNATIVES.len()],
    gained: [f64; ALTERNATIVES.len()],
    second: i64,
    onset_second: Option<i64>,
}

impl Cusum {
    /// Takes a step in; within one second it gains at most `cap`, so that no second decides alone.
    pub fn step(&mut self, second: i64, step: Step, null: f64, dispersion: f64, cap: f64) {
        self.fade_to(second);
        if step.all_part == 0 || step.n == 0 || step.all_n <= step.n {
            return;
        }
        let (own, others) = (step.n as f64, (step.all_n - step.n) as f64);
        let p0 = null * own / (null * own + others);
        let (part, rest) = (step.part as f64, step.all_part.saturating_sub(step.part) as f64);
        for (k, odds) in ALTERNATIVES.iter().enumerate() {
            let p1 = odds * own / (odds * own + others);
            let gain = (part * (p1 / p0).ln() + rest * ((1.0 - p1) / (1.0 - p0)).ln()) / dispersion;
            let gain = gain.min(cap - self.gained[k]);
            self.gained[k] += gain.max(0.0);
            self.log[k] = (self.log[k] + gain).max(0.0);
        }
        if self.log_e() < 0.05 {
            self.onset_second = None;
        } else if self.onset_second.is_none() {
            self.onset_second = Some(second);
        }
    }

    fn fade_to(&mut self, second: i64) {
        if second <= self.second {
            return;
        }
        let passed = (second - self.second).clamp(0, 3_600) as i32;
        let fade = FADE.powi(passed);
        self.log.iter_mut().for_each(|l| *l *= fade);
        self.gained = [0.0; ALTERNATIVES.len()];
        self.second = second;
    }

    /// Whether the log-evidence is above `level`: most of the time known without exponentials, for a mean
    /// is never above its greatest part.
    #[must_use]
    pub fn exceeds(&self, level: f64) -> bool {
        self.top() > level && self.log_e() > level
    }

    fn top(&self) -> f64 {
        self.log.iter().copied().fold(0.0, f64::max)
    }

    /// Natural logarithm of the mixture's e-value.
    #[must_use]
    pub fn log_e(&self) -> f64 {
        let top = self.top();
        if top == 0.0 {
            return 0.0;
        }
        let mean: f64 = self.log.iter().zip(WEIGHTS).map(|(l, weight)| weight * (l - top).exp()).sum();
        (top + mean.ln()).max(0.0)
    }

    /// The second in which the present run began.
    #[must_use]
    pub fn onset_second(&self) -> Option<i64> {
        self.onset_second
    }
}

/// How much more unevenly failures fall on endpoints than chance would have it: 1 is chance.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Dispersion {
    mean: f64,
    seen: f64,
}

impl Default for Dispersion {
    fn default() -> Self {
        Self { mean: 1.0, seen: 120.0 }
    }
}

impl Dispersion {
    /// The factor by which evidence is worth less; at least 1.
    #[must_use]
    pub fn factor(self) -> f64 {
        self.mean.clamp(1.0, MOST_DISPERSED)
    }

    /// Learns from a quiet step.
    pub fn learn(&mut self, step: Step) {
        if step.all_part == 0 || step.n == 0 || step.all_n <= step.n {
            return;
        }
        let p = step.n as f64 / step.all_n as f64;
        let expected = step.all_part as f64 * p;
        let surprise = (step.part as f64 - expected).powi(2) / (expected * (1.0 - p));
        self.seen = (self.seen + 1.0).min(3_000.0);
        self.mean += (surprise.min(WINSOR * self.mean.max(1.0)) - self.mean) / self.seen;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAP: f64 = 12.0;

    fn run(cusum: &mut Cusum, seconds: std::ops::Range<i64>, part: u64, all_part: u64) {
        for second in seconds {
            cusum.step(second, Step { part, n: 40, all_part, all_n: 200 }, 1.5, 1.0, CAP);
        }
    }

    #[test]
    fn an_endpoint_like_the_others_gathers_nothing() {
        let mut cusum = Cusum::default();
        run(&mut cusum, 1..500, 2, 10);
        assert!(cusum.log_e() < 0.1);
        assert_eq!(cusum.onset_second(), None);
    }

    #[test]
    fn one_second_never_decides_alone_and_the_onset_is_the_first_of_the_run() {
        let mut cusum = Cusum::default();
        run(&mut cusum, 100..101, 40, 40);
        assert!(cusum.log_e() <= CAP);
        run(&mut cusum, 101..102, 40, 40);
        assert!(cusum.log_e() > threshold(0.3, 5, 1.0), "{}", cusum.log_e());
        assert_eq!(cusum.onset_second(), Some(100));
    }

    #[test]
    fn specks_far_apart_fade() {
        let mut cusum = Cusum::default();
        for speck in 0..1_000 {
            run(&mut cusum, speck * 120..speck * 120 + 1, 1, 1);
        }
        assert!(cusum.log_e() < 3.0, "{}", cusum.log_e());
    }

    #[test]
    fn fewer_tolerated_alarms_need_more_evidence() {
        assert!(threshold(0.1, 5, 1.0) > threshold(1.0, 5, 1.0));
        assert!(threshold(0.3, 50, 1.0) > threshold(0.3, 5, 1.0));
        assert!((14.0..20.0).contains(&threshold(0.3, 5, 1.0)));
    }
}
