//! Guard: every proposal, whoever made it, passes every check; the strictest decides.

pub mod capacity;
mod checks;
mod facts;
mod ledger;
mod recall;
mod refusals;

use std::collections::BTreeSet;

pub use capacity::Fleet;
pub use facts::{Bounded, Counted, EarnedFact, Facts, FreezeFact};
pub use ledger::{Ledger, target};
pub use recall::{RECALLED, RELAPSE_MS, REVERT_ALL};

use crate::domain::{Cause, Judgement, Mode, Proposal, Verdict};
use crate::learning::Learned;
use crate::policies::GuardPolicy;
use crate::state::MeshState;

/// Everything the guard may look at.
#[derive(Debug)]
pub struct Situation<'a> {
    /// The rules.
    pub policy: &'a GuardPolicy,
    /// What is live, what was done.
    pub ledger: &'a Ledger,
    /// What became of earlier actions.
    pub learned: &'a Learned,
    /// The mesh as seen.
    pub mesh: &'a MeshState,
    /// The proxies as they told.
    pub fleet: &'a Fleet,
    /// The brain's mode.
    pub mode: Mode,
    /// The cause the proposal answers; absent when a person proposed it.
    pub cause: Option<&'a Cause>,
    /// Whether the evidence rests on a learned baseline.
    pub needs_baseline: bool,
    /// (service, endpoint) pairs that show trouble now.
    pub sick: &'a BTreeSet<(String, String)>,
    /// Whether a person has stopped everything.
    pub frozen: bool,
    /// Whether intents can be made durable.
    pub audit_ok: bool,
    /// So long time stands still, because the clock went back.
    pub behind_ms: i64,
    /// This brain's epoch.
    pub epoch: u64,
    /// Nothing is sent: a recording.
    pub open_loop: bool,
    /// Whether budgets, cooldowns and reversals count.
    pub counted: bool,
    /// Now, milliseconds since the epoch.
    pub now_ms: i64,
}

/// The guard's whole answer, with the facts it rests on.
#[must_use]
pub fn judge(proposal: &Proposal, now: &Situation<'_>) -> Judgement {
    let facts = Facts::of(proposal, now);
    Judgement { facts: Some(Box::new(facts.clone())), ..judge_by(proposal, &facts) }
}

/// The same from the facts alone: what `audit explain` asks of a record.
#[must_use]
pub fn judge_by(proposal: &Proposal, facts: &Facts) -> Judgement {
    let checks: Vec<_> = checks::ALL.iter().map(|check| check(proposal, facts)).collect();
    let rank = |verdict: Verdict| match verdict {
        Verdict::Allow => 0,
        Verdict::Ask => 1,
        Verdict::Deny => 2,
    };
    // Of equally strict checks the first one speaks: they are asked in order of weight.
    let strictest = checks.iter().rev().max_by_key(|c| rank(c.verdict)).cloned();
    let (verdict, why) = match strictest {
        Some(check) if check.verdict != Verdict::Allow => (check.verdict, check.why),
        _ => (Verdict::Allow, "every check agrees".to_owned()),
    };
    Judgement { verdict, why, checks, facts: None }
}

/// How many people must agree to what touches such a share of a service, where one is asked.
#[must_use]
pub fn approvals_needed(share: f64, policy: &GuardPolicy) -> usize {
    if share > policy.four_eyes_above + 1e-9 { 2 } else { 1 }
}

/// The check that decided: its name.
#[must_use]
pub fn deciding(judgement: &Judgement) -> &str {
    judgement.checks.iter().find(|c| c.verdict == judgement.verdict).map_or("", |c| c.name.as_str())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
