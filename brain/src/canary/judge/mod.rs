//! The judge of a canary: canary against stable in the same seconds, route by route, at every look.
//!
//! Every decision is anytime-valid: looking each second costs nothing. A canary within the tolerance is ever
//! rolled back with probability at most `1/rollback_e`, one at or beyond a limit ever promoted with at most
//! `1/promote_e`, for requests that are independent given the second; clumps are learned and discounted.
//! The weighted mean of the metrics' e-values is an e-value under any dependence (Vovk and Wang, "E-values: calibration,
//! combination and applications", Annals of Statistics 2021); promotion needs every metric on its own
//! (Berger, "Multiparameter hypothesis testing and acceptance sampling", 1982).
//!
//! Pure: no clock, no I/O. All state is serialisable; a judge read back continues identically.

mod business;
mod contest;
mod dispersion;
mod evidence;
mod forecast;
mod hard;
mod hypergeometric;
mod look;
mod mixture;
mod odds;
mod reading;
mod reference;
mod settings;
mod share;
mod tail;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
mod verdict;
mod warming;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use business::Business;
use contest::Contest;
pub use evidence::{Evidence, Interval, MetricEvidence, Verdict, Why};
use hard::Hard;
pub use look::{Counts, Look, Reading, StratumCounts};
use mixture::Onset;
use reference::Reference;
pub use settings::{BusinessMetric, ErrorBounds, JudgeSettings, LatencyBounds, ShareBound, Worse};
use share::Share;
use tail::Tail;
use warming::Warming;

/// The most strata told apart; what comes later is judged together.
pub const MAX_STRATA: usize = 32;
const QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];
/// How often part of the bets is laid anew.
const ONSET_MS: i64 = 20_000;
/// How often new endpoints of the canary may make it cold again.
const MOST_COLD: u32 = 5;

/// The judge of one canary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judge {
    settings: JudgeSettings,
    errors: Contest,
    share: Share,
    tails: Vec<Tail>,
    business: Vec<Business>,
    references: BTreeMap<String, Reference>,
    warming: Warming,
    hard: Hard,
    times: Times,
    looks: u64,
    bad: Option<Why>,
}

/// When things happened, milliseconds since the epoch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Times {
    last_ms: Option<i64>,
    began_ms: Option<i64>,
    cold_until_ms: i64,
    settling_until_ms: i64,
    onset_ms: i64,
    endpoints: u32,
    colds: u32,
    warming_up: bool,
}

impl Judge {
    /// A judge that has seen nothing. Settings should be free of [`JudgeSettings::mistakes`].
    #[must_use]
    pub fn new(settings: &JudgeSettings) -> Self {
        let bounds = settings.errors;
        Self {
            errors: Contest::new(bounds.tolerance.odds, bounds.limit.odds),
            share: Share::new(),
            tails: QUANTILES.iter().map(|q| Tail::new(*q)).collect(),
            business: settings.business.iter().cloned().map(Business::new).collect(),
            references: BTreeMap::new(),
            warming: Warming::default(),
            hard: Hard::default(),
            times: Times { warming_up: true, ..Times::default() },
            looks: 0,
            bad: None,
            settings: settings.clone(),
        }
    }

    /// What it goes by.
    #[must_use]
    pub fn settings(&self) -> &JudgeSettings {
        &self.settings
    }

    /// The canary has got another share of the traffic: trouble may begin now, and queues and
    /// autoscalers need a moment before its latency tells anything: two thirds of the warm-up.
    pub fn begin_step(&mut self) {
        self.lay(Onset::Step);
        if let Some(last) = self.times.last_ms {
            self.times.settling_until_ms = last.saturating_add(self.settings.warm_up_ms / 3 * 2);
        }
    }

    fn lay(&mut self, onset: Onset) {
        self.errors.lay(onset);
        self.share.lay(onset);
        self.tails.iter_mut().for_each(|tail| tail.tolerated.lay(onset));
        self.business.iter_mut().for_each(|metric| metric.lay(onset));
    }

    /// Takes a look in. One that is not newer than the last is ignored.
    pub fn observe(&mut self, look: &Look) {
        if self.times.last_ms.is_some_and(|last| look.at_ms <= last) {
            return;
        }
        self.times.last_ms = Some(look.at_ms);
        if let Some(text) = self.hard.take(look, self.settings.max_restarts) {
            self.condemn(Why { metric: "hard".to_owned(), text, hard: true, at_ms: look.at_ms });
        }
        let merged = reading::merge(look, &self.references);
        let strata: Vec<(&str, &StratumCounts)> = merged.iter().map(|(n, c)| (n.as_str(), c)).collect();
        if self.may_be_warming(look.at_ms) {
            self.warming.take(look.at_ms, &strata);
        }
        let cold = self.is_cold(look, &strata);
        let settling = look.at_ms < self.times.settling_until_ms;
        let still_warming = cold || settling || self.is_warming(look.at_ms);
        self.times.warming_up = still_warming;
        if !cold {
            self.judge(look, &strata, still_warming);
        }
        for (name, counts) in &strata {
            let reference = self.references.entry((*name).to_owned()).or_default();
            reference.add(look.at_ms, &counts.stable.latency);
        }
        self.decide(look.at_ms);
    }

    fn judge<'a>(&mut self, look: &Look, strata: &[(&'a str, &'a StratumCounts)], still_warming: bool) {
        self.looks += 1;
        if look.at_ms >= self.times.onset_ms.saturating_add(ONSET_MS) {
            self.times.onset_ms = look.at_ms;
            self.lay(Onset::Time);
        }
        self.errors.take(&reading::failures(strata));
        let (n, bad) = reading::canary_failures(strata);
        self.share.take(n, bad, &self.settings.errors);
        if !still_warming {
            let references = &self.references;
            let known = |(name, counts): &(&'a str, &'a StratumCounts)| {
                references.get(*name).map(|reference| (*name, *counts, reference))
            };
            let known: Vec<_> = strata.iter().filter_map(known).collect();
            self.tails.iter_mut().for_each(|tail| tail.take(&known, &self.settings.latency));
        }
        for metric in &mut self.business {
            look.readings.iter().for_each(|r| metric.take(look.at_ms, r));
        }
    }

    /// Whether the canary, or a new endpoint of it, is starting up.
    fn is_cold(&mut self, look: &Look, strata: &[(&str, &StratumCounts)]) -> bool {
        let times = &mut self.times;
        let asked = strata.iter().any(|(_, counts)| counts.canary.requests > 0);
        if asked && times.began_ms.is_none() {
            times.began_ms = Some(look.at_ms);
            times.cold_until_ms = look.at_ms.saturating_add(self.settings.warm_up_ms);
            times.endpoints = look.canary_endpoints;
        }
        if look.canary_endpoints > times.endpoints {
            if times.endpoints > 0 && times.colds < MOST_COLD {
                times.colds += 1;
                times.cold_until_ms = look.at_ms.saturating_add(self.settings.warm_up_ms);
            }
            times.endpoints = look.canary_endpoints;
        }
        times.began_ms.is_none() || look.at_ms < times.cold_until_ms
    }

    /// Whether the canary is still growing faster, within the time it is given for that.
    fn is_warming(&self, at_ms: i64) -> bool {
        self.may_be_warming(at_ms) && self.warming.lasts()
    }

    fn may_be_warming(&self, at_ms: i64) -> bool {
        let began = self.times.began_ms.unwrap_or(at_ms);
        at_ms < began.saturating_add(self.settings.longest_warm_up_ms)
    }
}
