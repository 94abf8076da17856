//! One line of a replay's answer (CONTRACTS §4): every key on every line, null where it says nothing.

use serde::Serialize;

use crate::control_loop::ControlLoop;
use crate::domain::{Cause, CauseKind, Event, Incident, ProposedAction, Verdict};

/// What sort of line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum LineType {
    IncidentOpened,
    IncidentUpdated,
    IncidentClosed,
    Proposal,
    Verdict,
    Action,
    Effect,
}

/// The culprit with every key, null where it says nothing.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct ShownCause {
    pub kind: CauseKind,
    pub service: String,
    pub endpoint: Option<String>,
    pub version: Option<String>,
    pub ips: Vec<String>,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// Virtual time: the end of the newest window used.
    pub at_ms: i64,
    /// What sort of line.
    #[serde(rename = "type")]
    pub line_type: LineType,
    /// The incident.
    pub incident: Option<String>,
    /// Where the symptom shows.
    pub service: String,
    /// The culprit.
    pub cause: Option<ShownCause>,
    /// That the diagnosis is right or, on lines about an action, that the action helps.
    pub confidence: f64,
    /// What would be done.
    pub action: Option<ProposedAction>,
    /// What the guard says.
    pub verdict: Option<Verdict>,
    /// In one sentence.
    pub why: String,
}

/// The lines that an event is told in; none for what a recording cannot show.
#[must_use]
pub fn lines(event: &Event, at_ms: i64, brain: &ControlLoop) -> Option<Line> {
    Some(match event {
        Event::IncidentOpened { incident, .. } => {
            of_incident(LineType::IncidentOpened, incident, at_ms, incident.summary.clone())
        }
        Event::IncidentUpdated { incident } => {
            of_incident(LineType::IncidentUpdated, incident, at_ms, incident.summary.clone())
        }
        Event::IncidentClosed { incident, why } => {
            of_incident(LineType::IncidentClosed, incident, at_ms, why.clone())
        }
        Event::Proposal { proposal } => {
            let (incident, action) = (proposal.incident.as_deref(), &proposal.action);
            let why = proposal.predicted_effect.clone();
            about(LineType::Proposal, incident, action, proposal.confidence, None, why, at_ms, brain)
        }
        Event::Verdict { proposal, judgement } => {
            let (incident, action) = (proposal.incident.as_deref(), &proposal.action);
            let (verdict, why) = (Some(judgement.verdict), judgement.why.clone());
            about(LineType::Verdict, incident, action, proposal.confidence, verdict, why, at_ms, brain)
        }
        Event::Intent { action, .. } => {
            let (incident, kind, why) = (action.incident.as_deref(), &action.action, action.reason.clone());
            about(
                LineType::Action,
                incident,
                kind,
                action.confidence,
                Some(Verdict::Allow),
                why,
                at_ms,
                brain,
            )
        }
        Event::Effect { action, effect } => {
            let (incident, kind) = (action.incident.as_deref(), &action.action);
            let why = format!("unknown: {}", effect.why);
            about(LineType::Effect, incident, kind, action.confidence, None, why, at_ms, brain)
        }
        _ => return None,
    })
}

fn of_incident(line_type: LineType, incident: &Incident, at_ms: i64, why: String) -> Line {
    Line {
        at_ms,
        line_type,
        incident: Some(incident.id.clone()),
        service: incident.service.clone(),
        cause: Some(shown(&incident.cause)),
        confidence: incident.confidence,
        action: None,
        verdict: None,
        why,
    }
}

/// The endpoint belongs to `bad_endpoint` alone; elsewhere it only told two incidents apart.
fn shown(cause: &Cause) -> ShownCause {
    let Cause { kind, service, endpoint, version, ips } = cause.clone();
    ShownCause { endpoint: endpoint.filter(|_| kind == CauseKind::BadEndpoint), kind, service, version, ips }
}

#[allow(clippy::too_many_arguments)]
fn about(
    line_type: LineType,
    incident: Option<&str>,
    action: &ProposedAction,
    confidence: f64,
    verdict: Option<Verdict>,
    why: String,
    at_ms: i64,
    brain: &ControlLoop,
) -> Line {
    let known = incident.and_then(|id| brain.incident(id));
    Line {
        at_ms,
        line_type,
        incident: incident.map(str::to_owned),
        service: known.map_or_else(|| action.service.clone(), |i| i.service.clone()),
        cause: known.map(|i| shown(&i.cause)),
        confidence,
        action: Some(action.clone()),
        verdict,
        why,
    }
}
