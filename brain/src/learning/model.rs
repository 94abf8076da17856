//! A learned voice: the probability that a kind of action helps against a kind of cause, here, from what came of
//! the like before.
//!
//! Bayesian logistic regression over the newest outcomes: the weights' posterior is taken as Gaussian about its
//! mode (Laplace), which Newton's method finds, and a prediction averages over it (MacKay 1992), so that little
//! knowledge says little. Far from what it was taught it abstains. What it says is corrected by what came true of
//! its own earlier words, told before each outcome was known.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::calibration::Curve;
use super::features::{COUNT, Features};

/// Fewer outcomes teach it nothing worth saying.
pub const MIN_OUTCOMES: u32 = 20;
/// The newest outcomes that count.
const MAX_CASES: usize = 400;
/// Prior variance of a weight.
const PRIOR_VARIANCE: f64 = 25.0;
/// Newton's steps to the mode, from the mode before the newest outcome …
const STEPS: usize = 6;
/// … and from nowhere, at most.
const STEPS_AT_FIRST: usize = 40;
/// A step by less is none.
const NO_STEP: f64 = 1e-8;
/// Parts of what is taught at once, each told by the others.
const FOLDS: usize = 5;
/// The longest of them.
const LONGEST_STEP: f64 = 8.0;
/// Further from what it was taught than so many standard deviations, in any number, it does not know.
const FAR: f64 = 4.0;
/// What it was taught is never thought narrower than this.
const LEAST_SPREAD: f64 = 0.05;

/// See the module.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Model {
    /// Numbers, and whether it helped; oldest first.
    cases: VecDeque<(Features, bool)>,
    weights: Features,
    covariance: [Features; COUNT],
    outcomes: u32,
    /// What it said before each outcome, once it had seen enough, against what came true.
    pub(super) curve: Curve,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            cases: VecDeque::new(),
            weights: [0.0; COUNT],
            covariance: prior(),
            outcomes: 0,
            curve: Curve::default(),
        }
    }
}

fn prior() -> [Features; COUNT] {
    std::array::from_fn(|i| std::array::from_fn(|j| if i == j { PRIOR_VARIANCE } else { 0.0 }))
}

fn dot(a: &Features, b: &Features) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

impl Model {
    /// What all of these teach at once. Its word is corrected by what came true of what the others would have said
    /// of each fold of them.
    pub(super) fn taught(cases: impl IntoIterator<Item = (Features, bool)>) -> Self {
        let known = |(x, _): &(Features, bool)| x.iter().all(|number| number.is_finite());
        let cases: Vec<_> = cases.into_iter().filter(known).take(MAX_CASES).collect();
        let mut curve = Curve::default();
        for fold in 0..FOLDS {
            let (own, others): (Vec<_>, Vec<_>) = (0..).zip(&cases).partition(|(n, _)| n % FOLDS == fold);
            let model = Self::fitted(others.into_iter().map(|(_, case)| *case).collect());
            own.into_iter().for_each(|(_, (x, helped))| curve.learn(model.raw(x), *helped));
        }
        Self { curve, ..Self::fitted(cases.into()) }
    }

    fn fitted(cases: VecDeque<(Features, bool)>) -> Self {
        // Never above MAX_CASES.
        let mut model = Self { outcomes: cases.len() as u32, cases, ..Self::default() };
        for _ in 0..STEPS_AT_FIRST {
            let before = model.weights;
            model.step();
            let still = |(a, b): (&f64, &f64)| (a - b).abs() < NO_STEP;
            if before.iter().zip(&model.weights).all(still) {
                break;
            }
        }
        model
    }

    /// What came of a proposal with these numbers.
    pub(super) fn learn(&mut self, x: &Features, helped: bool) {
        if !x.iter().all(|number| number.is_finite()) {
            return;
        }
        if self.outcomes >= MIN_OUTCOMES {
            self.curve.learn(self.raw(x), helped);
        }
        self.outcomes = self.outcomes.saturating_add(1);
        self.cases.push_back((*x, helped));
        if self.cases.len() > MAX_CASES {
            self.cases.pop_front();
        }
        (0..STEPS).for_each(|_| self.step());
    }

    /// One of Newton's steps; the covariance is the inverse of the curvature where it began.
    fn step(&mut self) {
        let mut covariance = prior();
        let mut uphill: Features = self.weights.map(|weight| -weight / PRIOR_VARIANCE);
        for (x, helped) in &self.cases {
            let told = sigmoid(dot(&self.weights, x));
            observe(&mut covariance, x, (told * (1.0 - told)).max(1e-9));
            let surprise = f64::from(u8::from(*helped)) - told;
            uphill.iter_mut().zip(x).for_each(|(slope, number)| *slope += surprise * number);
        }
        let step = covariance.map(|row| dot(&row, &uphill));
        // Shortened as a whole: its direction is what leads up.
        let part = (LONGEST_STEP / dot(&step, &step).sqrt().max(f64::MIN_POSITIVE)).min(1.0);
        self.weights.iter_mut().zip(step).for_each(|(weight, step)| *weight += part * step);
        self.covariance = covariance;
    }

    /// Averaged over the posterior.
    fn raw(&self, x: &Features) -> f64 {
        let variance: f64 = self.covariance.iter().zip(x).map(|(row, a)| a * dot(row, x)).sum();
        sigmoid(dot(&self.weights, x) / (1.0 + std::f64::consts::PI * variance.max(0.0) / 8.0).sqrt())
    }

    /// The probability that a proposal with these numbers helps, or why it does not know.
    ///
    /// # Errors
    ///
    /// Where it was taught too little, or nothing like it.
    pub(crate) fn word(&self, x: &Features) -> Result<f64, String> {
        if self.outcomes < MIN_OUTCOMES {
            return Err(format!("{} of {MIN_OUTCOMES} outcomes seen", self.outcomes));
        }
        if let Some(far) = self.farthest(x).filter(|far| far.is_nan() || *far > FAR) {
            return Err(format!("{far:.0} standard deviations from what it was taught"));
        }
        Ok(self.curve.corrected(self.raw(x)))
    }

    /// In standard deviations of what it was taught, over all numbers.
    fn farthest(&self, x: &Features) -> Option<f64> {
        let n = self.cases.len().max(1) as f64;
        let mean =
            |of: &dyn Fn(&Features) -> f64| self.cases.iter().map(|(case, _)| of(case)).sum::<f64>() / n;
        let off = (0..COUNT).zip(x).map(|(i, number)| {
            let at = |case: &Features| case.get(i).copied().unwrap_or_default();
            let middle = mean(&at);
            let deviation = mean(&|case| (at(case) - middle).powi(2)).sqrt().max(LEAST_SPREAD);
            (number - middle).abs() / deviation
        });
        off.reduce(|a, b| if b.is_nan() || b > a { b } else { a })
    }

    /// How many outcomes it was taught.
    pub(crate) fn outcomes(&self) -> u32 {
        self.outcomes
    }

    /// Of those that it remembers, so many helped.
    pub(super) fn helped(&self) -> u32 {
        // Never above MAX_CASES.
        self.cases.iter().filter(|(_, helped)| *helped).count() as u32
    }

    /// The same, as a share; 0 where it remembers none.
    pub(super) fn share_helped(&self) -> f64 {
        f64::from(self.helped()) / self.cases.len().max(1) as f64
    }
}

/// Sherman–Morrison: the covariance after something of this curvature was seen along `x`.
fn observe(covariance: &mut [Features; COUNT], x: &Features, curvature: f64) {
    let along = covariance.map(|row| dot(&row, x));
    let gain = curvature / (1.0 + curvature * dot(&along, x));
    for (row, a) in covariance.iter_mut().zip(&along) {
        row.iter_mut().zip(&along).for_each(|(entry, b)| *entry -= gain * a * b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(rng: &mut fastrand::Rng) -> (Features, bool) {
        let rise = rng.f64();
        let x = [1.0, 0.8 + 0.1 * rng.f64(), rise, 0.5, 0.6, 0.2, 0.2 * rng.f64()];
        (x, rng.f64() < sigmoid(6.0 * rise - 2.0))
    }

    fn taught(outcomes: u32) -> Model {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut model = Model::default();
        for _ in 0..outcomes {
            let (x, helped) = case(&mut rng);
            model.learn(&x, helped);
        }
        model
    }

    #[test]
    fn it_says_nothing_before_it_has_seen_enough_and_nothing_of_what_it_has_not_seen() {
        let usual = [1.0, 0.85, 0.5, 0.5, 0.6, 0.2, 0.1];
        assert!(taught(MIN_OUTCOMES - 1).word(&usual).is_err());
        let model = taught(200);
        assert!(model.word(&usual).is_ok());
        for (n, odd) in [(2, 3.0), (5, 1.0), (3, f64::NAN)] {
            let mut strange = usual;
            strange[n] = odd;
            assert!(model.word(&strange).is_err(), "{n}");
        }
    }

    #[test]
    fn what_it_says_of_others_than_it_was_taught_comes_true_as_often() {
        let model = taught(400);
        let (mut rng, mut curve) = (fastrand::Rng::with_seed(8), Curve::default());
        let mut apart = [0.0, 0.0];
        for _ in 0..4_000 {
            let (x, helped) = case(&mut rng);
            let said = model.word(&x).unwrap_or(f64::NAN);
            curve.learn(said, helped);
            apart[usize::from(helped)] += said / 4_000.0;
        }
        assert!(curve.error() <= 0.05, "{}", curve.error());
        assert!(apart[1] > apart[0], "it tells what helps from what does not: {apart:?}");
    }

    #[test]
    fn what_it_knows_survives_its_json() {
        let model = taught(50);
        let text = serde_json::to_string(&model).unwrap_or_default();
        let back: Option<Model> = serde_json::from_str(&text).ok();
        let x = [1.0, 0.85, 0.5, 0.5, 0.6, 0.2, 0.1];
        assert_eq!(back.map(|back| back.word(&x)), Some(model.word(&x)));
    }

    #[test]
    fn what_is_taught_at_once_is_what_is_taught_one_by_one() {
        let one_by_one = taught(100);
        let at_once = Model::taught(one_by_one.cases.iter().copied());
        let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-6;
        assert!(one_by_one.weights.iter().zip(&at_once.weights).all(close), "{one_by_one:?}");
        assert_eq!(at_once.outcomes(), 100);
    }
}
