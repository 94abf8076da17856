//! A rollout as people and programs see it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BudgetView, Canary, CanarySpec, Hold, Pause, Phase, Record, Strategy, Totals};

/// In short: in lists, in the audit, on the event stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CanaryView {
    /// `can-1`.
    pub id: String,
    /// The service.
    pub service: String,
    /// The version users have.
    pub stable: String,
    /// The version on trial.
    pub canary: String,
    /// How it is tried.
    pub strategy: Strategy,
    /// Where it stands.
    pub phase: Phase,
    /// The canary's share that is wanted now, percent.
    pub weight: u32,
    /// Which step, from 1; 0 before the first.
    pub step: usize,
    /// Its steps, percent.
    pub steps: Vec<u32>,
    /// Phase and step are so since then, milliseconds since the epoch.
    pub since_ms: i64,
    /// When it was asked for.
    pub created_ms: i64,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<i64>,
    /// Who asked for it.
    pub by: String,
    /// Why it last moved: at the end, the reason.
    pub why: String,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// While it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// How much of the evidence that a promotion needs is there, 0 to 1.
    pub evidence_share: f64,
    /// Requests that the judge still needs, where it can say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs_requests: Option<u64>,
    /// Requests a second at the canary, lately.
    pub rate_rps: f64,
    /// Requests and failures since users got it.
    pub totals: Totals,
    /// Requests that asked for it before that.
    #[serde(default)]
    pub previewed: u64,
    /// What it has cost of what it may cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetView>,
    /// Whether it can still be rolled back.
    pub may_be_rolled_back: bool,
    /// What the judge goes by: e-values and bounds.
    pub evidence: serde_json::Value,
}

/// In full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CanaryDetail {
    /// In short.
    #[serde(flatten)]
    pub view: CanaryView,
    /// What was asked.
    pub spec: CanarySpec,
    /// What happened.
    pub record: Record,
}

impl Canary {
    /// In short.
    #[must_use]
    pub fn view(&self) -> CanaryView {
        let has_verdict = !self.phase.is_over();
        CanaryView {
            id: self.id.clone(),
            service: self.spec.service.clone(),
            stable: self.spec.stable.clone(),
            canary: self.spec.canary.clone(),
            strategy: self.spec.strategy,
            phase: self.phase,
            weight: self.weight(),
            // The preview comes before the first.
            step: if self.has_begun { self.step + 1 - usize::from(self.spec.preview.is_some()) } else { 0 },
            steps: self.spec.steps.clone(),
            since_ms: self.since_ms,
            created_ms: self.created_ms,
            ended_ms: self.ended_ms,
            by: self.by.id.clone(),
            why: self.why.clone(),
            hold: self.hold.clone(),
            pause: self.pause.clone(),
            evidence_share: self.evidence_share(),
            needs_requests: self.needs().filter(|_| has_verdict && !self.is_previewed()),
            rate_rps: (self.record.rate_rps * 100.0).round() / 100.0,
            totals: self.record.totals,
            previewed: self.record.previewed.canary,
            budget: self.budget(),
            may_be_rolled_back: !self.phase.is_over() || self.may_be_taken_back(),
            evidence: serde_json::to_value(self.judge.evidence()).unwrap_or_default(),
        }
    }

    /// In full.
    #[must_use]
    pub fn detail(&self) -> CanaryDetail {
        CanaryDetail { view: self.view(), spec: self.spec.clone(), record: self.record.clone() }
    }
}
