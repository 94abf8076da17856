//! VUS-PR: how well scores rank anomalies that are ranges, whose edges nobody knows exactly.
//!
//! Paparrizos et al., "Volume Under the Surface: A New Accuracy Evaluation Measure for Time-Series Anomaly
//! Detection" (VLDB 2022): the area under precision and recall, averaged over buffers around the ranges. It
//! is what `RangeAUC_volume_opt` of the authors' package `vus` computes at its 250 thresholds, only sooner: a
//! row is counted once, at the first threshold that it reaches, and each threshold adds to those before it.

use std::ops::Range;

/// The widest buffer, where nothing is known of the data's period: the authors' default.
pub const BUFFER: usize = 100;
/// As many thresholds as the authors' package takes.
const THRESHOLDS: usize = 250;

/// The volume, from nought to one, over the buffers from none to `buffer`. Scores are finite, one a label;
/// without any anomaly there is no recall, and the answer is not a number.
#[must_use]
pub fn vus_pr(labels: &[bool], scores: &[f64], buffer: usize) -> f64 {
    let surface = Surface::new(labels, scores);
    if surface.ranges.is_empty() {
        return f64::NAN;
    }
    let areas = (0..=buffer).map(|buffer| surface.area(buffer));
    areas.sum::<f64>() / (buffer + 1) as f64
}

/// What is the same for all buffers.
struct Surface {
    /// The anomalies.
    ranges: Vec<Range<usize>>,
    /// The first threshold that each row reaches.
    reached: Vec<usize>,
    /// At each threshold, the rows of anomalies that reach it first.
    hits: Vec<f64>,
    /// At each threshold, all rows that reach it first.
    alarms: Vec<f64>,
}

impl Surface {
    fn new(labels: &[bool], scores: &[f64]) -> Self {
        let thresholds = thresholds(scores);
        let reached: Vec<usize> =
            scores.iter().map(|score| thresholds.partition_point(|threshold| threshold > score)).collect();
        let (mut hits, mut alarms) = (vec![0.0; THRESHOLDS], vec![0.0; THRESHOLDS]);
        for (at, label) in reached.iter().zip(labels) {
            alarms[*at] += 1.0;
            hits[*at] += f64::from(*label);
        }
        Self { ranges: ranges(labels), reached, hits, alarms }
    }

    /// The area under precision and recall with the buffer.
    fn area(&self, buffer: usize) -> f64 {
        let (near, regions) = (self.near(buffer), self.regions(buffer / 2));
        let mut found = vec![0.0; THRESHOLDS];
        for region in &regions {
            if let Some(first) = self.reached[region.clone()].iter().min() {
                found[*first] += 1.0;
            }
        }
        let anomalous = self.ranges.iter().map(Range::len).sum::<usize>() as f64;
        let (mut hits, mut halves, mut alarms, mut existing) = (0.0, 0.0, 0.0, 0.0);
        let (mut area, mut before) = (0.0, 0.0);
        for at in 0..THRESHOLDS {
            hits += self.hits[at] + near[at];
            halves += near[at] / 2.0;
            alarms += self.alarms[at];
            existing += found[at] / regions.len() as f64;
            let recall = f64::min(hits / (anomalous + halves), 1.0) * existing;
            area += (recall - before) * hits / alarms;
            before = recall;
        }
        area
    }

    /// At each threshold, the weight of the rows beside an anomaly that reach it first.
    fn near(&self, buffer: usize) -> Vec<f64> {
        let mut weights = vec![0.0; self.reached.len()];
        for range in &self.ranges {
            for distance in 1..=buffer / 2 {
                let weight = (1.0 - distance as f64 / buffer as f64).sqrt();
                let beside = [range.start.checked_sub(distance), Some(range.end - 1 + distance)];
                for at in beside.into_iter().flatten().filter(|at| *at < self.reached.len()) {
                    weights[at] += weight;
                }
            }
        }
        for range in &self.ranges {
            weights[range.clone()].fill(0.0);
        }
        let mut near = vec![0.0; THRESHOLDS];
        for (at, weight) in self.reached.iter().zip(weights) {
            near[*at] += f64::min(weight, 1.0);
        }
        near
    }

    /// The anomalies with what is near them; those that touch become one.
    fn regions(&self, near: usize) -> Vec<Range<usize>> {
        let mut regions: Vec<Range<usize>> = Vec::new();
        for range in &self.ranges {
            let (start, end) = (range.start.saturating_sub(near), (range.end + near).min(self.reached.len()));
            match regions.last_mut() {
                Some(last) if last.end > start => last.end = end,
                _ => regions.push(start..end),
            }
        }
        regions
    }
}

/// Scores at even ranks, the highest first.
fn thresholds(scores: &[f64]) -> Vec<f64> {
    let mut sorted = scores.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let step = scores.len().saturating_sub(1) as f64 / (THRESHOLDS - 1) as f64;
    let last = sorted.last().copied();
    let ranks = (0..THRESHOLDS - 1).map(|n| (n as f64 * step) as usize);
    ranks.filter_map(|rank| sorted.get(rank).copied()).chain(last).collect()
}

/// The runs of rows that are labelled.
fn ranges(labels: &[bool]) -> Vec<Range<usize>> {
    let runs = labels.chunk_by(|a, b| a == b).scan(0, |end, run| {
        *end += run.len();
        Some((run[0], *end - run.len()..*end))
    });
    runs.filter(|(label, _)| *label).map(|(_, range)| range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(len: usize, anomalies: &[Range<usize>]) -> Vec<bool> {
        (0..len).map(|at| anomalies.iter().any(|range| range.contains(&at))).collect()
    }

    /// Knuth's generator, for the same numbers are to be had in Python.
    fn noise(len: usize) -> Vec<f64> {
        let step =
            |x: &u64| Some(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
        let states = std::iter::successors(Some(7), step).skip(1);
        states.take(len).map(|x| (x >> 11) as f64 / (1_u64 << 53) as f64).collect()
    }

    /// The volumes of noise, of the truth under noise, and of that in a few steps.
    fn volumes(labels: &[bool], buffer: usize) -> [f64; 3] {
        let noise = noise(labels.len());
        let told: Vec<f64> = noise.iter().zip(labels).map(|(n, l)| n + 0.5 * f64::from(*l)).collect();
        let steps: Vec<f64> = told.iter().map(|score| (score * 4.0).floor()).collect();
        [noise, told, steps].map(|scores| vus_pr(labels, &scores, buffer))
    }

    fn close(found: [f64; 3], reference: [f64; 3]) {
        let near = found.iter().zip(reference).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(near, "{found:?} is not {reference:?}");
    }

    #[test]
    fn volumes_are_those_of_the_package_vus() {
        let far = labels(1_000, &[200..230, 600..700]);
        close(volumes(&far, BUFFER), [0.235_002_517, 0.745_073_459, 0.700_893_534]);
        let touching = labels(400, &[3..5, 60..61, 380..398]);
        close(volumes(&touching, BUFFER), [0.282_205_985, 0.638_179_798, 0.504_259_469]);
        let at_the_end = labels(300, &[100..120, 299..300]);
        close(volumes(&at_the_end, 10), [0.080_989_310, 0.370_383_106, 0.313_369_354]);
    }

    #[test]
    fn without_a_buffer_a_right_ranking_reaches_one() {
        let labels = labels(1_000, &[200..230, 600..700]);
        let scores: Vec<f64> = labels.iter().map(|label| f64::from(*label)).collect();
        assert!((vus_pr(&labels, &scores, 0) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn without_an_anomaly_there_is_no_volume() {
        assert!(vus_pr(&[false; 10], &noise(10), BUFFER).is_nan());
        assert!(vus_pr(&[], &[], BUFFER).is_nan());
    }
}
