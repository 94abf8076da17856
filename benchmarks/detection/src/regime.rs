//! How restless healthy traffic is: the part of reality that makes textbook thresholds fail.
//!
//! Rates and shares of errors wander (first-order autoregression on the log scale) and are overdispersed
//! (gamma-mixed Poisson), from not at all to wildly. Absent on purpose: anything that a detector could share.

use rand_distr::{Distribution, Gamma, StandardNormal};

use crate::Dice;

/// A degree of restlessness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Regime {
    /// Poisson counts, constant shares: the textbook.
    Iid,
    /// A daily profile, rates that scatter by 10 %, shares of errors that drift by a quarter.
    Mild,
    /// Rates that scatter by 30 %, shares of errors that double and halve in minutes, latency that breathes.
    Wild,
}

impl Regime {
    /// All, in turn.
    pub const ALL: [Self; 3] = [Self::Iid, Self::Mild, Self::Wild];

    /// Its name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Iid => "iid",
            Self::Mild => "mild",
            Self::Wild => "wild",
        }
    }

    /// Coefficient of variation of a second's rate; standard deviation and correlation time (s) of the log
    /// share of errors; standard deviation of the log latency; amplitude of the daily profile.
    fn shape(self) -> Shape {
        match self {
            Self::Iid => Shape { rate_cv: 0.0, error_sd: 0.0, error_s: 1.0, latency_sd: 0.0, daily: 0.0 },
            Self::Mild => {
                Shape { rate_cv: 0.1, error_sd: 0.25, error_s: 300.0, latency_sd: 0.03, daily: 0.4 }
            }
            Self::Wild => Shape { rate_cv: 0.3, error_sd: 0.6, error_s: 120.0, latency_sd: 0.10, daily: 0.6 },
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Shape {
    rate_cv: f64,
    error_sd: f64,
    error_s: f64,
    latency_sd: f64,
    daily: f64,
}

/// One service's weather, second by second.
#[derive(Debug, Clone)]
pub struct Weather {
    shape: Shape,
    error: f64,
    latency: f64,
}

/// What the weather makes of a second: factors on the service's own figures.
#[derive(Debug, Clone, Copy)]
pub struct Second {
    /// On the rate.
    pub rate: f64,
    /// On the share of errors.
    pub errors: f64,
    /// On every latency.
    pub latency: f64,
}

impl Weather {
    /// Begins at a typical moment.
    pub fn new(regime: Regime, dice: &mut Dice) -> Self {
        let shape = regime.shape();
        let (error, latency): (f64, f64) = (StandardNormal.sample(dice), StandardNormal.sample(dice));
        Self { shape, error: error * shape.error_sd, latency: latency * shape.latency_sd }
    }

    /// The next second, `at_s` seconds after six o'clock of the first day: there the rate is the stated one.
    pub fn next(&mut self, at_s: u64, dice: &mut Dice) -> Second {
        let Shape { rate_cv, error_sd, error_s, latency_sd, daily } = self.shape;
        self.error = wander(self.error, error_sd, error_s, dice);
        self.latency = wander(self.latency, latency_sd, error_s, dice);
        let turn = at_s as f64 / 86_400.0 * std::f64::consts::TAU;
        let day = 1.0 + daily * turn.sin();
        Second { rate: day * scatter(rate_cv, dice), errors: self.error.exp(), latency: self.latency.exp() }
    }
}

/// One step of a stationary AR(1) with standard deviation `sd` and correlation time `tau_s`.
fn wander(value: f64, sd: f64, tau_s: f64, dice: &mut Dice) -> f64 {
    if sd == 0.0 {
        return 0.0;
    }
    let keep = (-1.0 / tau_s).exp();
    let shock: f64 = StandardNormal.sample(dice);
    keep * value + sd * (1.0 - keep * keep).sqrt() * shock
}

/// A gamma variable with mean 1 and coefficient of variation `cv`.
fn scatter(cv: f64, dice: &mut Dice) -> f64 {
    match Gamma::new(1.0 / (cv * cv), cv * cv) {
        Ok(gamma) if cv > 0.0 => gamma.sample(dice),
        _ => 1.0,
    }
}
