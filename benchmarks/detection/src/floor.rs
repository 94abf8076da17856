//! Two detectors anyone could write in an hour, to stand beside every figure: a rolling z-score and chance.

use std::collections::{BTreeMap, VecDeque};

use protocol::telemetry::Window;
use rand_distr::{Distribution, StandardUniform};
use rand_pcg::rand_core::SeedableRng;

use crate::Dice;

/// Seconds that are averaged, and that they are compared with.
const NOW_S: usize = 10;
const PAST_S: usize = 300;
/// Standard deviations that make an alarm.
const Z: f64 = 5.0;
/// After an alarm, silence.
const QUIET_S: u64 = 60;
/// Chance raises as many alarms as one a minute in all: what a pager that rings all night is worth.
const RANDOM_A_SECOND: f64 = 1.0 / 60.0;

/// Both, over all services.
#[derive(Debug)]
pub struct Floor {
    /// When the z-score rang, s, and for which service.
    pub z: Vec<(u64, String)>,
    /// When chance rang, s, and for which service.
    pub random: Vec<(u64, String)>,
    past: BTreeMap<String, VecDeque<f64>>,
    dice: Dice,
}

impl Floor {
    /// Nothing seen.
    pub fn new(seed: u64) -> Self {
        let dice = Dice::seed_from_u64(seed ^ 0x5eed);
        Self { z: Vec::new(), random: Vec::new(), past: BTreeMap::new(), dice }
    }

    /// One second's windows.
    pub fn observe(&mut self, at_s: u64, windows: &[Window]) {
        let mut failures: BTreeMap<String, f64> = BTreeMap::new();
        for cell in windows.iter().flat_map(|w| &w.cells) {
            *failures.entry(cell.service.clone()).or_default() += cell.failures() as f64;
        }
        for (service, failed) in failures {
            let past = self.past.entry(service.clone()).or_default();
            past.push_back(failed);
            if past.len() > PAST_S + NOW_S {
                past.pop_front();
                if z(past) > Z {
                    ring(&mut self.z, at_s, &service);
                }
            }
            let chance: f64 = StandardUniform.sample(&mut self.dice);
            if chance < RANDOM_A_SECOND {
                ring(&mut self.random, at_s, &service);
            }
        }
    }
}

fn z(past: &VecDeque<f64>) -> f64 {
    let before = past.len() - NOW_S;
    let mean = past.iter().take(before).sum::<f64>() / before as f64;
    let spread = past.iter().take(before).map(|v| (v - mean).powi(2)).sum::<f64>() / before as f64;
    let now = past.iter().skip(before).sum::<f64>() / NOW_S as f64;
    (now - mean) / (spread / NOW_S as f64).sqrt().max(0.1)
}

fn ring(rings: &mut Vec<(u64, String)>, at_s: u64, service: &str) {
    let last = rings.iter().rev().find(|(_, of)| of == service);
    if last.is_none_or(|(at, _)| at_s >= at + QUIET_S) {
        rings.push((at_s, service.to_owned()));
    }
}
