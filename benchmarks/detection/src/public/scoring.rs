//! How odd each row of public data is to the brain's own patterns (`brain::state::Pattern`), seen row by row: no row
//! is judged by what comes after it.

use std::collections::VecDeque;

use brain::state::Pattern;

use super::nab::Series;
use super::smd::Machine;

/// Two weeks of minutes, as the brain has two weeks of its own rows.
const MACHINE_HALF_LIFE: f64 = 20_160.0;
/// The least noise of a metric that lies between nought and one.
const METRIC_NOISE: f64 = 0.01;
/// Rows over which a machine's oddness is averaged: what lasts.
const LASTING: usize = 10;
/// Levels of a lone series are its value and its means over so many rows.
const LEVELS: [usize; 4] = [6, 24, 96, 288];
const SERIES_HALF_LIFE: f64 = 1_000.0;
/// The least noise of a lone series, in its own standard deviations.
const SERIES_NOISE: f64 = 0.3;
/// What is no odder than something so few rows ago belongs to it: one trouble is told once.
const TOLD_ROWS: usize = 400;

/// Of the rows of `test`, after those of `train` were learned.
#[must_use]
pub fn of_machine(machine: &Machine) -> Vec<f64> {
    let width = machine.test.first().map_or(0, Vec::len);
    let mut pattern = Pattern::new(width, MACHINE_HALF_LIFE);
    let scaled = |row: &Vec<f32>| row.iter().map(|x| f64::from(*x) / METRIC_NOISE).collect::<Vec<f64>>();
    machine.train.iter().for_each(|row| pattern.learn(&scaled(row)));
    let odd: Vec<f64> = machine.test.iter().map(|row| oddness(&mut pattern, &scaled(row))).collect();
    let mean = |n: usize| {
        let lately = &odd[n.saturating_sub(LASTING - 1)..=n];
        lately.iter().sum::<f64>() / lately.len() as f64
    };
    (0..odd.len()).map(mean).collect()
}

/// Of a series' values: how its levels and its last step keep to each other.
#[must_use]
pub fn of_series(series: &Series) -> Vec<f64> {
    let values = &series.values;
    let noise = deviation(&values[..series.probation()]).max(1e-9) * SERIES_NOISE;
    let mut pattern = Pattern::new(LEVELS.len() + 2, SERIES_HALF_LIFE);
    let row = |n: usize| {
        let level = |rows: usize| {
            let of = &values[(n + 1).saturating_sub(rows)..=n];
            of.iter().sum::<f64>() / of.len() as f64 / noise
        };
        let step = (values[n] - values[n.saturating_sub(1)]) / noise;
        let own = [values[n] / noise, step];
        own.into_iter().chain(LEVELS.map(level)).collect::<Vec<f64>>()
    };
    let odd: Vec<f64> = (0..values.len()).map(|n| oddness(&mut pattern, &row(n))).collect();
    told_once(&odd)
}

fn oddness(pattern: &mut Pattern, row: &[f64]) -> f64 {
    let odd = pattern.departure(row).map_or(0.0, |departure| departure.ratio.ln_1p());
    pattern.learn(row);
    odd
}

fn deviation(values: &[f64]) -> f64 {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt()
}

/// The oddness where nothing as odd was shortly before; 0 elsewhere.
fn told_once(odd: &[f64]) -> Vec<f64> {
    let mut greatest: VecDeque<usize> = VecDeque::new();
    let mut told = Vec::with_capacity(odd.len());
    for (n, value) in odd.iter().enumerate() {
        while greatest.front().is_some_and(|at| at + TOLD_ROWS < n) {
            greatest.pop_front();
        }
        let before = greatest.front().map_or(0.0, |at| odd[*at]);
        told.push(if *value > before { *value } else { 0.0 });
        while greatest.back().is_some_and(|at| odd[*at] <= *value) {
            greatest.pop_back();
        }
        greatest.push_back(n);
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_trouble_is_told_once_and_a_greater_one_again() {
        let mut odd = vec![0.1; 1_000];
        (odd[100], odd[200], odd[300], odd[900]) = (5.0, 4.0, 6.0, 4.0);
        let told = told_once(&odd);
        let loud: Vec<usize> = (0..1_000).filter(|n| told[*n] > 1.0).collect();
        assert_eq!(loud, [100, 300, 900]);
    }
}
