//! NAB, the Numenta Anomaly Benchmark: real series, the windows of their anomalies, and its own score.
//!
//! Lavin and Ahmad, "Evaluating Real-time Anomaly Detection Algorithms: the Numenta Anomaly Benchmark" (ICMLA
//! 2015), computed as `sweeper.py` and `runner.py` of numenta/NAB do with the standard profile: the first
//! alarm in a window is worth the more the earlier it is, and no other counts; an alarm elsewhere costs the
//! more the farther it is behind a window; a window missed costs one. Silence scores nought; alarms at the
//! first row of each window and nowhere else score a hundred.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// What a window missed costs.
const MISS: f64 = 1.0;
/// What an alarm far from any window costs.
const FALSE_ALARM: f64 = 0.11;

/// A file of the benchmark.
#[derive(Debug, Clone)]
pub struct Series {
    /// What was measured.
    pub values: Vec<f64>,
    /// The rows of each anomaly, in their order.
    pub windows: Vec<Range<usize>>,
}

impl Series {
    /// The rows at the beginning that are for learning and are not judged.
    #[must_use]
    pub fn probation(&self) -> usize {
        ((self.values.len() as f64 * 0.15) as usize).min(750)
    }

    /// What an alarm at the row gains over silence, and the window that it falls into.
    fn gain(&self, at: usize) -> (f64, Option<usize>) {
        if let Some(n) = self.windows.iter().position(|window| window.contains(&at)) {
            let window = &self.windows[n];
            let position = (window.end - at) as f64 / window.len() as f64;
            return (sigmoid(-position) / sigmoid(-1.0) + MISS, Some(n));
        }
        let before = self.windows.iter().rfind(|window| window.end <= at);
        let past = before.map(|window| (at + 1 - window.end) as f64 / window.len().saturating_sub(1) as f64);
        (FALSE_ALARM * past.map_or(-1.0, sigmoid), None)
    }
}

/// From one, well before a window's end, through nought there to minus one well behind it.
fn sigmoid(position: f64) -> f64 {
    if position >= 3.0 { -1.0 } else { 2.0 / (1.0 + (5.0 * position).exp()) - 1.0 }
}

/// Reads all series of the folder `nab`, in the order of their names.
///
/// # Errors
/// What is there is not what its description says.
pub fn read(folder: &Path) -> Result<Vec<Series>> {
    let path = folder.join("labels/combined_windows.json");
    let about = || format!("cannot read {}", path.display());
    let text = std::fs::read(&path).with_context(about)?;
    let labels: BTreeMap<String, Vec<(String, String)>> =
        serde_json::from_slice(&text).with_context(about)?;
    let data = folder.join("data");
    labels.into_iter().map(|(name, limits)| one(&data, &name, &limits)).collect()
}

fn one(data: &Path, name: &str, limits: &[(String, String)]) -> Result<Series> {
    let text = std::fs::read_to_string(data.join(name)).with_context(|| format!("cannot read {name}"))?;
    let (mut timestamps, mut values) = (Vec::new(), Vec::new());
    for (n, line) in text.lines().enumerate().skip(1) {
        let about = || format!("{name}, line {}", n + 1);
        let (timestamp, value) = line.split_once(',').with_context(about)?;
        timestamps.push(timestamp.to_owned());
        values.push(value.trim().parse().with_context(about)?);
    }
    // The labels' times have fractions of a second, all nought; the rows' have none.
    let row = |time: &str| {
        let whole = time.split('.').next();
        let row = timestamps.iter().position(|timestamp| Some(timestamp.as_str()) == whole);
        row.with_context(|| format!("{name} has no row of {time}, where a window has its limit"))
    };
    let window = |(start, end): &(String, String)| {
        let window = row(start)?..row(end)? + 1;
        ensure!(!window.is_empty(), "{name}: a window ends before {start}, where it begins");
        Ok(window)
    };
    let mut windows: Vec<Range<usize>> = limits.iter().map(window).collect::<Result<_>>()?;
    windows.sort_by_key(|window| window.start);
    Ok(Series { values, windows })
}

/// The threshold whose score is the best, and that score; infinity where silence is the best.
#[must_use]
pub fn best_threshold(series: &[Series], scores: &[Vec<f64>]) -> (f64, f64) {
    let (threshold, gain) = best(rows(series, scores));
    (threshold, 100.0 * gain / most(series))
}

/// The score of all series, those at even positions judged with the threshold that is the best at odd ones,
/// and those at odd positions with that of the even ones.
#[must_use]
pub fn cross_scored(series: &[Series], scores: &[Vec<f64>]) -> f64 {
    let (even, odd): (Vec<_>, Vec<_>) = rows(series, scores).into_iter().partition(|row| row.series % 2 == 0);
    let gain = gained(&even, best(odd.clone()).0) + gained(&odd, best(even.clone()).0);
    100.0 * gain / most(series)
}

/// A row that is judged.
#[derive(Debug, Clone)]
struct Row {
    series: usize,
    window: Option<usize>,
    score: f64,
    gain: f64,
}

/// All rows that are judged. A score that is not a number raises no alarm at any threshold.
fn rows(series: &[Series], scores: &[Vec<f64>]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (n, (series, scores)) in series.iter().zip(scores).enumerate() {
        let told = scores.iter().enumerate().skip(series.probation()).filter(|(_, score)| !score.is_nan());
        rows.extend(told.map(|(at, score)| {
            let (gain, window) = series.gain(at);
            Row { series: n, window, score: *score, gain }
        }));
    }
    rows
}

/// What a perfect detector gains over silence: also, as in NAB, of windows that lie in the probation, though
/// silence is not charged for those.
fn most(series: &[Series]) -> f64 {
    let judged = |series: &Series| series.windows.iter().filter(|w| w.end > series.probation()).count();
    series.iter().map(|series| series.windows.len() as f64 + judged(series) as f64 * MISS).sum()
}

/// What the alarms so far have gained.
#[derive(Default)]
struct Tally {
    gain: f64,
    /// Of that, from each window of each series.
    windows: BTreeMap<(usize, usize), f64>,
}

impl Tally {
    fn alarm(&mut self, row: &Row) {
        let mut more = row.gain;
        if let Some(window) = row.window {
            let had = self.windows.entry((row.series, window)).or_default();
            more = (more - *had).max(0.0);
            *had += more;
        }
        self.gain += more;
    }
}

fn gained(rows: &[Row], threshold: f64) -> f64 {
    let mut tally = Tally::default();
    rows.iter().filter(|row| row.score >= threshold).for_each(|row| tally.alarm(row));
    tally.gain
}

/// All thresholds that differ are tried, the highest first: each only adds alarms to those of the one before.
fn best(mut rows: Vec<Row>) -> (f64, f64) {
    rows.sort_by(|a, b| b.score.total_cmp(&a.score));
    let (mut tally, mut best) = (Tally::default(), (f64::INFINITY, 0.0));
    for same in rows.chunk_by(|a, b| a.score == b.score) {
        same.iter().for_each(|row| tally.alarm(row));
        if tally.gain > best.1 {
            best = (same[0].score, tally.gain);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The score of alarms at the rows whose anomaly score is at least the threshold.
    fn score(series: &[Series], scores: &[Vec<f64>], threshold: f64) -> f64 {
        100.0 * gained(&rows(series, scores), threshold) / most(series)
    }

    /// A hundred rows, of which fifteen are probation.
    fn series(windows: &[(usize, usize)]) -> Series {
        let windows = windows.iter().map(|(start, end)| *start..*end).collect();
        Series { values: vec![0.0; 100], windows }
    }

    fn scored(windows: &[(usize, usize)], alarms: &[usize]) -> f64 {
        let scores = (0..100).map(|at| f64::from(alarms.contains(&at))).collect();
        score(&[series(windows)], &[scores], 0.5)
    }

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }

    #[test]
    fn a_window_is_read_as_the_rows_of_its_limits() -> Result<()> {
        let folder = std::env::temp_dir().join(format!("nab-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("labels"))?;
        std::fs::create_dir_all(folder.join("data/a"))?;
        std::fs::write(folder.join("data/a/b.csv"), "timestamp,value\n10:00,1.5\n10:05,2\n10:10,3\n")?;
        std::fs::write(
            folder.join("labels/combined_windows.json"),
            r#"{"a/b.csv": [["10:05.000", "10:10.000"]]}"#,
        )?;
        let read = read(&folder);
        std::fs::remove_dir_all(&folder)?;
        let read = read?.into_iter().map(|series| (series.values, series.windows));
        let windows = std::iter::once(1..3).collect();
        assert_eq!(read.collect::<Vec<_>>(), [(vec![1.5, 2.0, 3.0], windows)]);
        Ok(())
    }

    #[test]
    fn a_detector_that_says_nothing_scores_nought() {
        close(scored(&[(30, 40), (60, 80)], &[]), 0.0);
    }

    #[test]
    fn a_perfect_detector_scores_a_hundred() {
        close(scored(&[(30, 40), (60, 80)], &[30, 60]), 100.0);
    }

    #[test]
    fn a_later_detection_in_a_window_is_worth_less() {
        // Half of the window is left at row 35: 2 / (1 + e^-2.5) - 1 = .848284, of .986614 at the first row.
        close(scored(&[(30, 40)], &[35]), 50.0 * (1.0 + 0.848_283_639_957_513 / 0.986_614_298_151_430_3));
        assert!(scored(&[(30, 40)], &[39]) > 50.0);
    }

    #[test]
    fn a_second_detection_in_a_window_is_worth_nothing() {
        close(scored(&[(30, 40)], &[32, 33, 39]), scored(&[(30, 40)], &[32]));
    }

    #[test]
    fn a_false_alarm_costs_less_just_behind_a_window() {
        close(scored(&[(30, 40)], &[20]), -5.5);
        close(scored(&[(30, 40)], &[99]), -5.5);
        // Six rows behind the last of a window of ten: 2 / (1 + e^(5 * 6 / 9)) - 1 = -.931110.
        close(scored(&[(30, 40)], &[45]), -5.5 * 0.931_109_608_667_577_8);
    }

    #[test]
    fn an_alarm_in_the_probation_is_not_judged() {
        close(scored(&[(30, 40)], &[0, 14]), 0.0);
        close(scored(&[(30, 40)], &[15]), -5.5);
        assert_eq!(Series { values: vec![0.0; 10_000], ..series(&[]) }.probation(), 750);
    }

    #[test]
    fn the_best_threshold_is_the_best_of_all() {
        let all = [series(&[(30, 40)]), series(&[])];
        let scores =
            [0, 1].map(|n| (0..100).map(|at| f64::from((at * 37 + n * 11) % 101)).collect::<Vec<_>>());
        let (threshold, best) = best_threshold(&all, &scores);
        close(score(&all, &scores, threshold), best);
        assert!((0..102).all(|t| score(&all, &scores, f64::from(t)) <= best + 1e-9));
    }

    #[test]
    fn silence_is_the_best_where_all_alarms_are_false() {
        let (threshold, gain) = best_threshold(&[series(&[(30, 40)])], &[vec![0.0; 20]]);
        assert_eq!((threshold, gain), (f64::INFINITY, 0.0));
    }

    #[test]
    fn no_series_is_judged_by_a_threshold_that_it_helped_choose() {
        let all = [series(&[(30, 40)]), series(&[(50, 60)])];
        let scores = [(30, 0.9), (50, 0.8)]
            .map(|(alarm, high)| (0..100).map(|at| if at == alarm { high } else { 0.0 }).collect::<Vec<_>>());
        close(best_threshold(&all, &scores).1, 100.0);
        // The first's .9 is too high for the second.
        close(cross_scored(&all, &scores), 50.0);
    }
}
