//! What a person or a pipeline asks for: `kind: Canary`.

use protocol::trial::Copies;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::judge::JudgeSettings;
use super::{ErrorBudget, Gate, MAX_GATES, PreviewStage, Prometheus};

/// The most steps of one canary.
const MAX_STEPS: usize = 32;

/// A rollout: which version, past which steps, judged how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CanarySpec {
    /// Always `Canary`; what the document is.
    #[serde(default)]
    pub kind: SpecKind,
    /// The service.
    pub service: String,
    /// The version users have.
    pub stable: String,
    /// The version on trial.
    pub canary: String,
    /// How it is tried.
    #[serde(default)]
    pub strategy: Strategy,
    /// First it is there for those alone who ask for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<PreviewStage>,
    /// Under strategy `mirror`, what is copied; absent: what the proxies' own routes copy (`mirror`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copies: Option<Copies>,
    /// The canary's shares in percent, rising. Where the last one is not 100, a person promotes.
    #[serde(default = "steps")]
    pub steps: Vec<u32>,
    /// It never gets more than this before it is promoted, percent.
    #[serde(default = "whole")]
    pub max_weight: u32,
    /// The least time on each step, seconds.
    #[serde(default = "min_bake_s")]
    pub min_bake_s: u32,
    /// After so long without a verdict it ends undecided, seconds. Time in which nothing could be judged
    /// (paused, no telemetry, a gate) does not count.
    #[serde(default = "max_duration_s")]
    pub max_duration_s: u32,
    /// By how much it is prolonged while evidence still comes in, seconds; else half as long again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension_s: Option<u32>,
    /// So long after the promotion an incident or a person takes it back, seconds.
    #[serde(default = "rollback_window_s")]
    pub rollback_window_s: u32,
    /// What it may cost at most; absent: what the judge allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_budget: Option<ErrorBudget>,
    /// What waits for a person.
    #[serde(default)]
    pub approval: Approval,
    /// Programs that have a say.
    #[serde(default)]
    pub gates: Vec<Gate>,
    /// Where the metrics of `judge.business` are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<Prometheus>,
    /// How much worse the canary may be, and how sure the judge must be.
    #[serde(default)]
    pub judge: JudgeSettings,
}

/// The word that says what the document is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SpecKind {
    /// A canary.
    #[default]
    Canary,
}

/// How a version is tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Step by step.
    #[default]
    Progressive,
    /// All at once, with the stable version kept warm.
    BlueGreen,
    /// The first of the steps, to the same users all the time; a read-out, no promotion.
    Ab,
    /// Copies of requests only (`copies`, or what the proxies' routes send); no promotion.
    Mirror,
}

/// What a person must agree to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    /// Nothing: evidence alone decides.
    #[default]
    None,
    /// The promotion.
    Promotion,
    /// Every step and the promotion.
    Steps,
}

fn steps() -> Vec<u32> {
    vec![1, 5, 10, 25, 50, 100]
}

fn whole() -> u32 {
    100
}

fn min_bake_s() -> u32 {
    15
}

fn max_duration_s() -> u32 {
    1_800
}

fn rollback_window_s() -> u32 {
    600
}

impl CanarySpec {
    /// Everything that cannot be meant: JSON pointer and message. Empty when all is well.
    #[must_use]
    pub fn findings(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut must = |holds: bool, path: &str, why: &str| {
            if !holds {
                found.push((path.to_owned(), why.to_owned()));
            }
        };
        for (path, name) in
            [("/service", &self.service), ("/stable", &self.stable), ("/canary", &self.canary)]
        {
            let fine = protocol::id::check_name(name).is_ok();
            must(fine, path, "is not a name");
        }
        must(self.stable != self.canary, "/canary", "is the stable version itself");
        must(!self.steps.is_empty(), "/steps", "names no step");
        must(self.steps.len() <= MAX_STEPS, "/steps", "has more than 32 steps");
        must(
            self.steps.iter().all(|w| (1..=100).contains(w)),
            "/steps",
            "are not all between 1 and 100 percent",
        );
        must(self.steps.is_sorted_by(|a, b| a < b), "/steps", "do not rise");
        let stepwise = matches!(self.strategy, Strategy::Progressive | Strategy::Ab);
        let begins = self.steps.first().is_none_or(|first| *first < 100);
        must(!stepwise || begins, "/steps", "begin with everything: that is strategy blue_green");
        must((1..=100).contains(&self.max_weight), "/max_weight", "is not between 1 and 100 percent");
        must(self.min_bake_s <= 86_400, "/min_bake_s", "is more than a day");
        must(
            (1..=604_800).contains(&self.max_duration_s),
            "/max_duration_s",
            "is not between a second and a week",
        );
        must(self.extension_s.is_none_or(|s| s <= 604_800), "/extension_s", "is more than a week");
        must(self.rollback_window_s <= 604_800, "/rollback_window_s", "is more than a week");
        must(self.gates.len() <= MAX_GATES, "/gates", "are more than 16");
        for (number, gate) in self.gates.iter().enumerate() {
            found.extend(gate.mistake().map(|why| (format!("/gates/{number}"), why)));
        }
        found.extend(self.trial_findings());
        let prometheus = self.prometheus.as_ref().and_then(|p| p.mistake(&self.judge.business));
        found.extend(prometheus.map(|why| ("/prometheus".to_owned(), why)));
        found.extend(self.judge.mistakes().into_iter().map(|why| ("/judge".to_owned(), why)));
        found
    }

    /// The same of how requests reach it, and of what it may cost.
    fn trial_findings(&self) -> impl Iterator<Item = (String, String)> {
        let mirrors = self.strategy == Strategy::Mirror;
        let unfit = |is: bool, why: &str| is.then(|| why.to_owned());
        let preview =
            unfit(mirrors && self.preview.is_some(), "is not for strategy mirror: nobody is sent there");
        let copies = unfit(!mirrors && self.copies.is_some(), "are for strategy mirror alone");
        let costs = mirrors && self.error_budget.is_some();
        let budget = unfit(costs, "is not for strategy mirror: copies cost no user anything");
        [
            ("/preview", preview.or_else(|| self.preview.as_ref()?.mistake())),
            ("/copies", copies.or_else(|| self.copies?.mistake())),
            ("/error_budget", budget.or_else(|| self.error_budget?.mistake())),
        ]
        .into_iter()
        .filter_map(|(path, why)| Some((path.to_owned(), why?)))
    }

    /// The shares on the way to promotion; the first is 0 while only those get it who ask for it.
    #[must_use]
    pub fn weights(&self) -> Vec<u32> {
        let preview = self.preview.iter().map(|_| 0);
        match self.strategy {
            Strategy::BlueGreen => preview.chain([100]).collect(),
            Strategy::Mirror => Vec::new(),
            Strategy::Progressive | Strategy::Ab => preview.chain(self.shares()).collect(),
        }
    }

    fn shares(&self) -> Vec<u32> {
        let below = self.steps.iter().copied().filter(|w| *w < 100);
        let mut weights: Vec<u32> = below.map(|w| w.min(self.max_weight)).collect();
        weights.dedup();
        weights.truncate(if self.strategy == Strategy::Ab { 1 } else { MAX_STEPS });
        weights
    }

    /// Whether it can be promoted at all.
    #[must_use]
    pub fn promotes(&self) -> bool {
        matches!(self.strategy, Strategy::Progressive | Strategy::BlueGreen)
    }

    /// Whether it is promoted without a person.
    #[must_use]
    pub fn promotes_itself(&self) -> bool {
        let goes_all_the_way = self.steps.last() == Some(&100) || self.strategy == Strategy::BlueGreen;
        self.approval == Approval::None && goes_all_the_way
    }
}

#[cfg(test)]
mod tests {
    use protocol::document::{Document, Report};

    use super::*;

    fn read(text: &str) -> Result<CanarySpec, Report> {
        let document = Document::parse("canary.yaml", text)?;
        let spec: CanarySpec = document.read()?;
        match spec.findings() {
            none if none.is_empty() => Ok(spec),
            some => Err(document.report(some)),
        }
    }

    #[test]
    fn a_short_document_is_enough() -> Result<(), Report> {
        let spec = read("kind: Canary\nservice: cart\nstable: v1\ncanary: v2\n")?;
        assert_eq!(spec.weights(), [1, 5, 10, 25, 50]);
        assert!(spec.promotes_itself());
        Ok(())
    }

    #[test]
    fn the_shipped_sample_shows_the_defaults() -> Result<(), Report> {
        let sample = read(include_str!("../../../config/canary.yaml"))?;
        assert_eq!(sample, read("{service: cart, stable: v1, canary: v2}")?);
        Ok(())
    }

    #[test]
    fn no_step_lies_above_the_maximum_weight() -> Result<(), Report> {
        let spec = read("{service: cart, stable: v1, canary: v2, max_weight: 20}")?;
        assert_eq!(spec.weights(), [1, 5, 10, 20]);
        Ok(())
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_place() {
        let wrong = [
            ("steps: [5, 5]", "do not rise"),
            ("steps: [10, 5]", "do not rise"),
            ("steps: []", "names no step"),
            ("steps: [0, 5]", "between 1 and 100"),
            ("steps: [50, 101]", "between 1 and 100"),
            ("max_weight: 0", "between 1 and 100"),
            ("stepps: [1]", "did you mean"),
            ("judge: { rollback_e: 2 }", "rollback_e"),
        ];
        for (line, part) in wrong {
            let report = read(&format!("service: cart\nstable: v1\ncanary: v2\n{line}\n"));
            let report = report.map(|_| ()).map_err(|why| why.to_string());
            assert!(
                report.as_ref().is_err_and(|why| why.contains(part) && why.contains(":4:")),
                "{report:?}"
            );
        }
        assert!(read("{service: cart, stable: v1, canary: v1}").is_err());
        assert!(read("{service: a b, stable: v1, canary: v2}").is_err());
    }
}
