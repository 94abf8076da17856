//! How several numbers usually move together, learned row by row: online principal components.
//!
//! Each number is taken in standard deviations from its own mean; the components that carry seven
//! tenths of all variance, though at most half of them, are what usually moves together; the covariance is shrunk
//! towards independence (Ledoit and Wolf 2004, by a fixed share), or a few rows would show patterns where there are none. What a row has beyond them, its squared
//! prediction error (Jackson and Mudholkar 1979), is small as long as the numbers keep to each other, however far
//! they all move. Learned with winsorised rows, so that a fault teaches little. Pure: no clock, no names.

use linfa_linalg::eigh::{EigSort as _, Eigh as _};
use ndarray::{Array1, Array2};
use serde::{Deserialize, Serialize};

/// Further out than this many standard deviations a number teaches no more, or is no odder.
const WINSOR_SD: f64 = 5.0;
const ODDEST_SD: f64 = 20.0;
/// Rows between two looks at the components.
const REFIT: u64 = 60;
/// So much of all variance is what usually moves together.
const COMMON: f64 = 0.7;
/// So much of what is believed is that the numbers have nothing to do with each other.
const APART: f64 = 0.3;
/// No component is believed to have less variance.
const LEAST_VARIANCE: f64 = 1e-2;
/// Until so many rows were seen nothing is said.
const ENOUGH: u64 = 60;

/// See the module. A few kilobytes for a dozen numbers: the square of their count.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pattern {
    mean: Vec<f64>,
    /// In squared units; never below 1, which is the caller's unit of noise.
    variance: Vec<f64>,
    /// Of the standardised numbers, row by row.
    covariance: Vec<f64>,
    rows: u64,
    /// What is forgotten with every row.
    pace: f64,
    #[serde(skip)]
    common: Option<Common>,
}

/// What usually moves together.
#[derive(Debug, Clone)]
struct Common {
    /// A column a component.
    components: Array2<f64>,
    /// The variance beyond them, and over how many directions it is spread.
    rest: f64,
    directions: f64,
}

/// How far one row is from the pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct Departure {
    /// Its squared prediction error over the usual one.
    pub ratio: f64,
    /// How surprising that is, in nats, were the rest Gaussian: a Chernoff bound, so on the safe side.
    pub nats: f64,
    /// By number: what of it the others do not explain, in standard deviations.
    pub own: Vec<f64>,
}

impl Pattern {
    /// Of rows of `width` numbers; what came `half_life` rows ago counts half. Numbers are to be given in units
    /// of their least noise.
    #[must_use]
    pub fn new(width: usize, half_life: f64) -> Self {
        Self {
            mean: vec![0.0; width],
            variance: vec![1.0; width],
            covariance: Array2::<f64>::eye(width).into_iter().collect(),
            rows: 0,
            pace: 1.0 - 0.5_f64.powf(half_life.recip()),
            common: None,
        }
    }

    /// Rows learned from.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// What number `n` usually is, in the caller's units.
    #[must_use]
    pub fn usual(&self, n: usize) -> f64 {
        self.mean.get(n).copied().unwrap_or(0.0)
    }

    /// How far `row` is from the pattern; nothing as long as there is none.
    pub fn departure(&mut self, row: &[f64]) -> Option<Departure> {
        if self.rows < ENOUGH || row.len() != self.mean.len() {
            return None;
        }
        if self.common.is_none() {
            self.common = self.find_common();
        }
        let common = self.common.as_ref()?;
        let z: Array1<f64> = self.standardised(row).map(|z| z.clamp(-ODDEST_SD, ODDEST_SD)).collect();
        let own = &z - &common.components.dot(&common.components.t().dot(&z));
        let ratio = own.dot(&own) / common.rest;
        let nats = if ratio > 1.0 { common.directions / 2.0 * (ratio - 1.0 - ratio.ln()) } else { 0.0 };
        Some(Departure { ratio, nats, own: own.to_vec() })
    }

    /// Learns from one row. One that is no row of finite numbers teaches nothing.
    pub fn learn(&mut self, row: &[f64]) {
        if row.len() != self.mean.len() || !row.iter().all(|x| x.is_finite()) {
            return;
        }
        self.rows += 1;
        if self.rows == 1 {
            self.mean = row.to_vec();
            return;
        }
        let pace = self.pace.max((self.rows as f64).recip());
        // Before there is a spread nothing is far out, and nothing can be held against anything else.
        let begins = self.rows <= ENOUGH;
        let bound = if begins { f64::INFINITY } else { WINSOR_SD };
        let z: Vec<f64> = self.standardised(row).map(|z| z.clamp(-bound, bound)).collect();
        for ((mean, variance), z) in self.mean.iter_mut().zip(&mut self.variance).zip(&z) {
            *mean += pace * z * variance.sqrt();
            *variance = (*variance * (1.0 + pace * (z * z - 1.0))).max(1.0);
        }
        if begins {
            return;
        }
        let products = z.iter().flat_map(|a| z.iter().map(move |b| a * b));
        for (covariance, product) in self.covariance.iter_mut().zip(products) {
            *covariance += pace * (product - *covariance);
        }
        if self.rows.is_multiple_of(REFIT) {
            self.common = None;
        }
    }

    fn standardised<'a>(&'a self, row: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
        row.iter().zip(&self.mean).zip(&self.variance).map(|((x, mean), v)| (x - mean) / v.sqrt())
    }

    /// The components that carry most of all variance, at most half as many as there are numbers.
    fn find_common(&self) -> Option<Common> {
        let width = self.mean.len();
        let seen = Array2::from_shape_vec((width, width), self.covariance.clone()).ok()?;
        let (values, vectors) =
            (seen * (1.0 - APART) + Array2::<f64>::eye(width) * APART).eigh().ok()?.sort_eig_desc();
        let all: f64 = values.iter().sum();
        let below = |sum: &mut f64, value: &f64| {
            *sum += value;
            Some(*sum < COMMON * all)
        };
        let kept = (values.iter().scan(0.0, below).filter(|below| *below).count() + 1).min(width / 2);
        let rest = || values.iter().skip(kept).map(|v| v.max(LEAST_VARIANCE));
        let (sum, squares) = (rest().sum::<f64>(), rest().map(|v| v * v).sum::<f64>());
        let components = vectors.slice_move(ndarray::s![.., ..kept]);
        // Box 1954: a sum of squares of unequal variances is nearly a chi-square of so many degrees.
        (sum > 0.0).then(|| Common { components, rest: sum, directions: sum * sum / squares })
    }
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::*;
    use fastrand::Rng;

    /// Four numbers that follow a load, each with noise of its own.
    fn row(dice: &mut Rng, n: usize) -> Vec<f64> {
        let load = (n as f64 / 400.0).sin() * 10.0;
        (0..4).map(|_| 50.0 + load + dice.f64() * 4.0 - 2.0).collect()
    }

    fn learned(rows: usize) -> (Pattern, Rng) {
        let (mut pattern, mut dice) = (Pattern::new(4, 20_000.0), Rng::with_seed(7));
        (0..rows).for_each(|n| pattern.learn(&row(&mut dice, n)));
        (pattern, dice)
    }

    #[test]
    fn what_moves_together_as_usual_is_no_departure_and_what_leaves_the_others_is() {
        let (mut pattern, _) = learned(6_000);
        let together = pattern.departure(&[62.0, 62.5, 61.5, 62.0]);
        let apart = pattern.departure(&[62.0, 62.5, 61.5, 38.0]);
        let (Some(together), Some(apart)) = (together, apart) else { panic!("there is a pattern") };
        assert!(together.nats < 2.0 && apart.nats > 6.0, "{together:?} {apart:?}");
        // No number of its own lies outside what that number was seen to do.
        let most = apart.own.iter().copied().enumerate().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
        assert!(most.is_some_and(|(at, off)| at == 3 && off < 0.0), "{apart:?}");
    }

    #[test]
    fn quiet_rows_are_seldom_surprising() {
        let (mut pattern, mut dice) = learned(6_000);
        let mut beyond = 0;
        for n in 6_000..26_000 {
            let row = row(&mut dice, n);
            beyond += usize::from(pattern.departure(&row).is_some_and(|d| d.nats > 6.0));
            pattern.learn(&row);
        }
        assert!(beyond <= 50, "{beyond} of 20000 where at most e^-6 of them are expected");
    }

    #[test]
    fn what_is_far_out_teaches_little() {
        let (mut pattern, mut dice) = learned(6_000);
        let odd = [62.0, 62.5, 61.5, 20.0];
        let before = pattern.departure(&odd).map_or(0.0, |d| d.nats);
        (0..8).for_each(|_| pattern.learn(&odd));
        (0..60).for_each(|n| pattern.learn(&row(&mut dice, n)));
        let after = pattern.departure(&odd).map_or(0.0, |d| d.nats);
        assert!(after > before / 2.0, "{before} {after}");
    }

    #[test]
    fn no_row_of_other_width_or_without_number_is_taken() {
        let (mut pattern, _) = learned(100);
        pattern.learn(&[f64::NAN, 1.0, 1.0, 1.0]);
        pattern.learn(&[1.0]);
        assert_eq!(pattern.rows(), 100);
        assert_eq!(pattern.departure(&[1.0]), None);
    }
}
