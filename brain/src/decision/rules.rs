//! `rules.yaml` at work: the first rule that matches an incident speaks.

use protocol::action::ActionKind;
use protocol::id::EndpointId;

use crate::domain::{Incident, ProposedAction};
use crate::policies::{Condition, Remedy, RulesPolicy};

/// What a voice advises.
#[derive(Debug, Clone, PartialEq)]
pub struct Advice {
    /// What to do.
    pub action: ProposedAction,
    /// Probability that it helps.
    pub confidence: f64,
    /// Who speaks: `rule:NAME`.
    pub speaker: String,
    /// In one sentence.
    pub says: String,
}

/// What the rules advise, if anything. `in_flight_ratio` is the service's, against its baseline.
#[must_use]
pub fn advise(incident: &Incident, rules: &RulesPolicy, in_flight_ratio: f64) -> Option<Advice> {
    let rule = rules.rules.iter().find(|rule| matches(&rule.when, incident, in_flight_ratio))?;
    let (kind, lease_ms) = match rule.propose {
        Remedy::None => return None,
        Remedy::EjectEndpoint { lease_ms } => {
            let endpoint = EndpointId::new(incident.cause.endpoint.clone()?).ok()?;
            (ActionKind::EjectEndpoint { endpoint }, lease_ms)
        }
        Remedy::ShedLoad { fraction, lease_ms } => {
            (ActionKind::ShedLoad { max_in_flight: None, fraction: Some(fraction) }, lease_ms)
        }
    };
    Some(Advice {
        says: format!("{}: {}", kind.name(), incident.summary),
        action: ProposedAction { service: incident.cause.service.clone(), kind, lease_ms },
        confidence: incident.confidence * rule.helps,
        speaker: format!("rule:{}", rule.name),
    })
}

fn matches(when: &Condition, incident: &Incident, in_flight_ratio: f64) -> bool {
    let signal =
        when.signals.is_empty() || incident.evidence.iter().any(|e| when.signals.contains(&e.signal));
    when.cause == incident.cause.kind
        && signal
        && incident.confidence >= when.min_confidence
        && in_flight_ratio >= when.min_in_flight_ratio
}
