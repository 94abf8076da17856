//! `rules.yaml` at work: of the rules that match an incident the first that can be carried out speaks.

use protocol::action::ActionKind;

use super::remedy::{Circumstances, kind_of};
use crate::domain::{CauseKind, Evidence, Incident, Proposal, ProposedAction, Speaker};
use crate::learning::Learned;
use crate::policies::{Condition, RulesPolicy};

/// What a voice advises.
#[derive(Debug, Clone, PartialEq)]
pub struct Advice {
    /// What to do.
    pub action: ProposedAction,
    /// Probability that it helps.
    pub confidence: f64,
    /// The same as its own speaker says, before it is corrected by how often the like came true.
    pub said: f64,
    /// Who speaks: `rule:NAME`.
    pub speaker: String,
    /// In one sentence.
    pub says: String,
    /// Who else spoke: rules that had nothing to advise, and the record.
    pub abstained: Vec<Speaker>,
    /// The numbers it rests on, where it answers no incident.
    pub evidence: Vec<Evidence>,
}

impl Advice {
    /// What a proposal was made from.
    #[must_use]
    pub fn behind(proposal: &Proposal) -> Self {
        let mut abstained = proposal.speakers.clone();
        let last = abstained.pop();
        Self {
            action: proposal.action.clone(),
            confidence: proposal.confidence,
            said: last.as_ref().map_or(proposal.confidence, |speaker| speaker.confidence),
            speaker: last.as_ref().map(|speaker| speaker.name.clone()).unwrap_or_default(),
            says: last.map(|speaker| speaker.says).unwrap_or_default(),
            abstained,
            evidence: proposal.evidence.clone(),
        }
    }
}

/// What the rules advise, if anything. A kind of action that was `tried` in vain is not advised again.
#[must_use]
pub fn advise(
    incident: &Incident,
    rules: &RulesPolicy,
    now: &Circumstances,
    tried: &[&'static str],
    learned: &Learned,
) -> Option<Advice> {
    let mut abstained = Vec::new();
    for rule in rules.rules.iter().filter(|rule| matches(&rule.when, incident, now)) {
        let speaker = format!("rule:{}", rule.name);
        match kind_of(&rule.propose, incident, now)? {
            Ok((kind, lease_ms)) if !tried.contains(&kind.name()) => {
                let cause = incident.cause.kind;
                let said = incident.confidence * learned.helps(kind.name(), cause, rule.helps);
                let confidence = learned.calibrated(kind.name(), said);
                abstained.extend(record(learned, kind.name(), cause, confidence));
                return Some(Advice {
                    says: format!("{}: {}", named(&kind), incident.summary),
                    action: ProposedAction { service: incident.cause.service.clone(), kind, lease_ms },
                    confidence,
                    said,
                    speaker,
                    abstained,
                    evidence: Vec::new(),
                });
            }
            Ok((kind, _)) => {
                let says = format!("{} was tried, in vain", kind.name());
                abstained.push(Speaker { name: speaker, confidence: 0.0, says });
            }
            Err(says) => abstained.push(Speaker { name: speaker, confidence: 0.0, says }),
        }
    }
    None
}

/// What became of the like before, where there was any.
pub(super) fn record(learned: &Learned, kind: &str, cause: CauseKind, confidence: f64) -> Option<Speaker> {
    let seen = learned.outcomes(kind, cause);
    let says = format!(
        "{kind} has helped {} of {} times; people agreed {} times and refused {}",
        seen.helped,
        seen.trials(),
        seen.approved,
        seen.rejected
    );
    let any = seen.trials() + seen.approved + seen.rejected > 0;
    any.then(|| Speaker { name: "record".to_owned(), confidence, says })
}

fn named(kind: &ActionKind) -> String {
    match kind {
        ActionKind::ShedLoad { fraction: Some(fraction), .. } => {
            format!("shed_load of {:.0} %", fraction * 100.0)
        }
        ActionKind::BlockIps { cidrs } => format!("block_ips of {} networks", cidrs.len()),
        ActionKind::LimitRate { rps, .. } => format!("limit_rate to {rps:.1} a second and client"),
        _ => kind.name().to_owned(),
    }
}

fn matches(when: &Condition, incident: &Incident, now: &Circumstances) -> bool {
    let signal =
        when.signals.is_empty() || incident.evidence.iter().any(|e| when.signals.contains(&e.signal));
    when.cause == incident.cause.kind
        && signal
        && incident.confidence >= when.min_confidence
        && now.in_flight_ratio >= when.min_in_flight_ratio
        && now.now_ms - incident.opened_ms >= i64::from(when.min_age_s) * 1_000
}
