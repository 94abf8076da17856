//! How many times the stable version's odds the canary's are: evidence in both directions, and bounds.
//!
//! For each odds ratio of a grid the log likelihood of all looks is kept. Its ratios are e-processes:
//! against "at most the tolerance" (roll back), against "at least the limit" (promote), and against every
//! single value, which inverts to an anytime-valid confidence interval. Sources: Turner and Grünwald,
//! "Exact anytime-valid confidence intervals for contingency tables and beyond", 2023, and "Safe sequential
//! testing and effect estimation in stratified count data", AISTATS 2023; Howard et al., "Time-uniform,
//! nonparametric, nonasymptotic confidence sequences", Annals of Statistics 2021.

use serde::{Deserialize, Serialize};

use super::dispersion::Dispersion;
use super::hypergeometric::{Law, Split};
use super::mixture::{Mixture, Onset, log_sum};

/// The odds ratios that are told apart, close where decisions fall.
const VALUES: [f64; 23] = [
    0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 1.0, 1.15, 1.3, 1.5, 1.75, 2.0, 2.5, 3.2, 4.0, 5.5, 8.0, 12.0, 20.0,
    35.0, 60.0, 120.0, 300.0,
];
/// So far below a limit, in logarithms, lies what an equal canary shows, give or take the spread.
const EQUALS_BELOW: f64 = 0.6;
const SPREAD: f64 = 0.5;

/// The grid of odds ratios of one metric, the bounds among them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Grid {
    /// Natural logarithms, rising.
    log_odds: Vec<f64>,
    tolerance: usize,
}

impl Grid {
    /// With these bounds on it.
    pub(super) fn new(tolerance: f64, limit: f64) -> Self {
        let mut values: Vec<f64> = VALUES.iter().copied().chain([tolerance, limit]).collect();
        values.sort_by(f64::total_cmp);
        values.dedup_by(|a, b| (*a / *b - 1.0).abs() < 1e-9);
        let place = values.partition_point(|v| *v < tolerance * (1.0 - 1e-9));
        Self { log_odds: values.iter().map(|v| v.ln()).collect(), tolerance: place }
    }

    /// Without the values that only a rollback needs.
    pub(super) fn coarse(limit: f64) -> Self {
        let kept = |v: &f64| (0.15..=20.0).contains(v);
        let mut values: Vec<f64> = VALUES.iter().copied().chain([limit]).filter(kept).collect();
        values.sort_by(f64::total_cmp);
        values.dedup_by(|a, b| (*a / *b - 1.0).abs() < 1e-9);
        let last = values.len().saturating_sub(1);
        Self { log_odds: values.iter().map(|v| v.ln()).collect(), tolerance: last }
    }

    /// Index of the largest value not above `odds`: the stricter one.
    pub(super) fn at_most(&self, odds: f64) -> usize {
        let above = self.log_odds.partition_point(|v| *v <= odds.ln() + 1e-9);
        above.saturating_sub(1)
    }

    /// Index of the tolerance.
    pub(super) fn tolerance(&self) -> usize {
        self.tolerance
    }

    /// How many values lie above the tolerance.
    pub(super) fn above_tolerance(&self) -> usize {
        self.log_odds.len() - self.tolerance - 1
    }

    /// Log stakes on the values below `limit`, most on those that an equal canary shows.
    fn stakes_below(&self, limit: usize) -> Vec<(usize, f64)> {
        let centre = self.log_odds.get(limit).copied().unwrap_or(0.0) - EQUALS_BELOW;
        let bell = |v: f64| -((v - centre) / SPREAD).powi(2) / 2.0;
        let below = self.log_odds.iter().enumerate().take(limit);
        let stakes: Vec<(usize, f64)> = below.map(|(at, v)| (at, bell(*v))).collect();
        let all = log_sum(stakes.iter().map(|(_, stake)| *stake));
        stakes.into_iter().map(|(at, stake)| (at, stake - all)).collect()
    }

    /// The odds ratios, rising.
    pub(super) fn values(&self) -> impl Iterator<Item = f64> {
        self.log_odds.iter().map(|v| v.exp())
    }
}

/// The log likelihood of one look at every value of the grid.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) log_likelihood: Vec<f64>,
    pub(super) surprise: Vec<(f64, f64)>,
}

impl Reading {
    /// Reads a look; none if it cannot tell the sides apart.
    pub(super) fn of(split: Split, grid: &Grid) -> Option<Self> {
        if !split.tells() {
            return None;
        }
        let law = Law::new(split);
        let at: Vec<_> = grid.log_odds.iter().map(|v| law.at(*v)).collect();
        let log_likelihood = at.iter().map(|at| at.log_probability).collect();
        let surprise = at.iter().map(|at| (law.observed() - at.mean, at.variance)).collect();
        Some(Self { log_likelihood, surprise })
    }

    /// Log likelihood ratios of everything worse than the tolerance against the tolerance.
    pub(super) fn against_tolerance<'a>(&'a self, grid: &Grid) -> impl Iterator<Item = f64> + use<'a> {
        let null = self.log_likelihood.get(grid.tolerance).copied().unwrap_or(0.0);
        self.log_likelihood.iter().skip(grid.tolerance + 1).map(move |l| l - null)
    }
}

/// All that is known of the odds ratio over all strata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Odds {
    log_likelihood: Vec<f64>,
    /// Index of equal odds: the most likely value while nothing is known.
    equal: usize,
    worse: Mixture,
    dispersion: Dispersion,
}

/// Estimate and bounds of an odds ratio.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower confidence bound.
    pub low: f64,
    /// The most likely value of the grid.
    pub estimate: f64,
    /// Upper confidence bound.
    pub high: f64,
}

impl Odds {
    /// Nothing known.
    pub(super) fn new(grid: &Grid) -> Self {
        let values = grid.log_odds.len();
        let worse = Mixture::over(grid.above_tolerance());
        let equal = grid.at_most(1.0);
        Self { log_likelihood: vec![0.0; values], equal, worse, dispersion: Dispersion::over(values) }
    }

    /// Lays part of the bet anew.
    pub(super) fn lay(&mut self, onset: Onset) {
        self.worse.lay(onset);
    }

    /// Takes one stratum of a look in.
    pub(super) fn take(&mut self, reading: &Reading, grid: &Grid) {
        for (sum, l) in self.log_likelihood.iter_mut().zip(&reading.log_likelihood) {
            *sum += l;
        }
        self.worse.gain(reading.against_tolerance(grid));
        self.dispersion.add(&reading.surprise);
    }

    /// Ends a look.
    pub(super) fn end_look(&mut self) {
        self.dispersion.end_look();
    }

    /// How much more unevenly the bad requests fall than chance has it; evidence is divided by it.
    pub(super) fn dispersion(&self) -> f64 {
        self.dispersion.factor(self.likeliest())
    }

    /// Log e-value against "at most the tolerance".
    pub(super) fn log_e_worse(&self) -> f64 {
        self.worse.log_e()
    }

    /// Log e-value against "at least the value at `limit`".
    pub(super) fn log_e_within(&self, grid: &Grid, limit: usize) -> f64 {
        let null = self.log_likelihood.get(limit).copied().unwrap_or(0.0);
        let value = |at: usize| self.log_likelihood.get(at).copied().unwrap_or(f64::NEG_INFINITY);
        let stakes = grid.stakes_below(limit);
        log_sum(stakes.iter().map(|(at, stake)| stake + value(*at) - null))
    }

    /// For each value below `limit`, by its index: log evidence that it alone still lacks to `target`.
    pub(super) fn missing_by_value(&self, limit: usize, target: f64, grid: &Grid) -> Vec<(usize, f64)> {
        let null = self.log_likelihood.get(limit).copied().unwrap_or(0.0);
        let value = |at: usize| self.log_likelihood.get(at).copied().unwrap_or(f64::NEG_INFINITY);
        let stakes = grid.stakes_below(limit);
        stakes.iter().map(|(at, stake)| (*at, target - stake - (value(*at) - null))).collect()
    }

    /// Index of the most likely value.
    pub(super) fn likeliest(&self) -> usize {
        let best = |best: usize, at: usize| {
            let value = |at: usize| self.log_likelihood.get(at).copied().unwrap_or(f64::NEG_INFINITY);
            if value(at) > value(best) { at } else { best }
        };
        (0..self.log_likelihood.len()).fold(self.equal, best)
    }

    /// Anytime-valid bounds that fail with probability `alpha` at most.
    pub(super) fn interval(&self, grid: &Grid, alpha: f64) -> Interval {
        let scale = 1.0 / self.dispersion();
        let tempered: Vec<f64> = self.log_likelihood.iter().map(|l| l * scale).collect();
        let mixture = log_sum(tempered.iter().copied()) - (tempered.len().max(1) as f64).ln();
        let kept = |at: &usize| tempered.get(*at).is_some_and(|l| mixture - l < -alpha.ln());
        let value = |at: usize| grid.log_odds.get(at).map(|v| v.exp());
        let low = (0..tempered.len()).find(kept).and_then(|at| at.checked_sub(1)).and_then(value);
        let high = (0..tempered.len()).rev().find(kept).and_then(|at| value(at + 1));
        Interval {
            low: low.unwrap_or(0.0),
            estimate: value(self.likeliest()).unwrap_or(1.0),
            high: high.unwrap_or(f64::MAX),
        }
    }
}
