//! A decision again, from its record alone: the same questions of the same facts must give the same answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::audit::Record;
use crate::decision::digest;
use crate::domain::{Check, Event, Judgement, Proposal, Verdict};
use crate::guard::{Facts, judge_by};

/// What a decision rests on, and whether it comes out the same again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// The record of the verdict.
    pub seq: u64,
    /// When it was written.
    pub at: String,
    /// What was proposed, by whom, on what evidence, how sure.
    pub proposal: Proposal,
    /// What the guard said then.
    pub verdict: Verdict,
    /// And why.
    pub why: String,
    /// Every answer of its checks, then.
    pub checks: Vec<Check>,
    /// What they looked at.
    pub facts: Option<Facts>,
    /// What it says now, of the same proposal and facts; absent where a record of an older build holds none.
    pub again: Option<Verdict>,
    /// Whether every answer is the same, and the proposal is what its digest says.
    pub same: bool,
    /// What differs, one line each.
    pub differences: Vec<String>,
}

/// The explanation of a verdict's record; `None` when the record is of another kind or cannot be read.
#[must_use]
pub fn explain(record: &Record) -> Option<Explanation> {
    let Ok(Event::Verdict { proposal, judgement }) = record.event() else { return None };
    let Judgement { verdict, why, checks, facts } = judgement;
    let facts = facts.map(|facts| *facts);
    let again = facts.as_ref().map(|facts| judge_by(&proposal, facts));
    let mut differences = Vec::new();
    match &again {
        None => differences.push("the record holds no facts: an older build wrote it".to_owned()),
        Some(again) => {
            if (again.verdict, &again.why) != (verdict, &why) {
                differences
                    .push(format!("{verdict:?} ({why}) then, {:?} ({}) now", again.verdict, again.why));
            }
            let pairs = checks.iter().zip(&again.checks).filter(|(then, now)| then != now);
            differences.extend(pairs.map(|(then, now)| {
                format!(
                    "{}: {:?} ({}) then, {:?} ({}) now",
                    then.name, then.verdict, then.why, now.verdict, now.why
                )
            }));
            if checks.len() != again.checks.len() {
                differences.push(format!("{} checks then, {} now", checks.len(), again.checks.len()));
            }
        }
    }
    let (incident, footing) = (proposal.incident.as_deref(), proposal.footing.as_deref());
    if proposal.digest != digest(&proposal.action, &proposal.evidence, incident, footing) {
        differences.push("the proposal's digest is not that of its action, evidence and state".to_owned());
    }
    Some(Explanation {
        seq: record.seq,
        at: record.at.clone(),
        proposal,
        verdict,
        why,
        checks,
        facts,
        again: again.map(|judgement| judgement.verdict),
        same: differences.is_empty(),
        differences,
    })
}
