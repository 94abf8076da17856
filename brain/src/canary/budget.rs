//! What a rollout may cost at most: failures beyond those that the stable version would have had.
//!
//! The judge bounds how likely a bad canary goes on; the budget bounds what one can cost, however unclear the
//! evidence. Stated as a number of failures, or as a share of what the service's objective allows in its
//! period (Beyer et al., "The Site Reliability Workbook", 2018, chapter 5) at the rate seen in the rollout.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::approach::BRAIN;
use super::{Canary, Pause, Phase};

const DAY_S: f64 = 86_400.0;
/// Fewer seconds tell no rate.
const RATE_SECONDS: u64 = 30;

/// What it may cost: `failures`, or `share` of what `objective` allows in `period_days`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ErrorBudget {
    /// Failed requests that the stable version would not have had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<u64>,
    /// The share of the service's requests that must succeed, e.g. 0.999.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<f64>,
    /// Over so many days.
    #[serde(default = "period_days")]
    pub period_days: u32,
    /// Of what the objective lets fail, the share that this rollout may spend, e.g. 0.01.
    #[serde(default = "share")]
    pub share: f64,
    /// What then becomes of it.
    #[serde(default)]
    pub when_spent: WhenSpent,
}

fn period_days() -> u32 {
    30
}

fn share() -> f64 {
    0.01
}

/// What becomes of a canary that has cost too much.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenSpent {
    /// It is taken out.
    #[default]
    Rollback,
    /// It stays at its share until a person resumes it, who grants as much again.
    Pause,
}

/// How much of it is spent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BudgetView {
    /// Failures beyond those that the stable version would have had.
    pub spent: f64,
    /// So many it may cost; absent while the rate is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed: Option<f64>,
}

impl BudgetView {
    /// For people.
    #[must_use]
    pub fn words(&self) -> String {
        let allowed = self.allowed.map_or_else(|| "?".to_owned(), |allowed| format!("{allowed:.0}"));
        format!("{:.0} of {allowed} failures spent", self.spent)
    }

    fn is_spent(&self) -> bool {
        self.allowed.is_some_and(|allowed| self.spent > allowed)
    }
}

impl ErrorBudget {
    /// What cannot be meant.
    #[must_use]
    pub fn mistake(&self) -> Option<String> {
        let open = |x: f64| x > 0.0 && x < 1.0;
        let why = match (self.failures, self.objective) {
            (Some(_), Some(_)) | (None, None) => "takes exactly one of failures and objective",
            (_, Some(objective)) if !open(objective) => "has an objective that is not between 0 and 1",
            _ if !(self.share > 0.0 && self.share <= 1.0) => "has a share that is not above 0 and at most 1",
            _ if !(1..=366).contains(&self.period_days) => "has a period that is not 1 to 366 days",
            _ => return None,
        };
        Some(why.to_owned())
    }

    /// Failures that it may cost at `rate` requests a second of the service, if that is known.
    fn allowed(&self, rate: Option<f64>) -> Option<f64> {
        if let Some(failures) = self.failures {
            return Some(failures as f64);
        }
        let requests = rate? * f64::from(self.period_days) * DAY_S;
        Some(requests * (1.0 - self.objective?) * self.share)
    }
}

impl Canary {
    /// How much of its budget is spent, where it has one.
    #[must_use]
    pub fn budget(&self) -> Option<BudgetView> {
        let allowed = self.spec.error_budget.as_ref()?.allowed(self.rate_of_the_service());
        Some(BudgetView { spent: (self.cost() - self.forgiven).max(0.0), allowed })
    }

    /// Failures beyond those that as many requests would have had at the stable version.
    fn cost(&self) -> f64 {
        let totals = &self.record.totals;
        let usual = totals.stable_failed as f64 / totals.stable.max(1) as f64;
        (totals.canary_failed as f64 - totals.canary as f64 * usual).max(0.0)
    }

    fn rate_of_the_service(&self) -> Option<f64> {
        let (totals, seconds) = (&self.record.totals, self.record.seconds);
        let all = totals.stable.saturating_add(totals.canary) as f64;
        (seconds >= RATE_SECONDS).then(|| all / seconds as f64)
    }

    /// Ends or pauses it when it has cost too much.
    pub(super) fn overspends(&mut self) -> bool {
        let Some((budget, spent)) = self.spec.error_budget.zip(self.budget()) else { return false };
        if !spent.is_spent() {
            return false;
        }
        let why = format!("error budget: {}", spent.words());
        match (budget.when_spent, self.phase) {
            (WhenSpent::Rollback, _) => self.back(Phase::RolledBack, why, BRAIN),
            (WhenSpent::Pause, Phase::Paused) => return false,
            (WhenSpent::Pause, from) => {
                self.pause = Some(Pause { from, incident: None });
                self.go(Phase::Paused, why, BRAIN);
            }
        }
        true
    }

    /// A person goes on with a canary that has cost too much: it may cost as much again.
    pub(super) fn forgive(&mut self) {
        if self.budget().is_some_and(|budget| budget.is_spent()) {
            self.forgiven = self.cost();
        }
    }
}
