//! Decide: an incident becomes a proposal, typed, bounded, with its evidence and its digest.

mod desk;
mod rules;

pub use desk::Desk;
pub use rules::{Advice, advise};

use protocol::canonical;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::domain::{Evidence, Incident, Proposal, ProposalState, ProposedAction, Radius, Speaker};
use crate::guard::capacity::{Fleet, places, proxies_of, taken, total};
use crate::state::{MeshState, share};

/// How much of its service an action touches.
#[must_use]
pub fn radius(action: &ProposedAction, mesh: &MeshState, fleet: &Fleet, now_ms: i64) -> Radius {
    let places = places(&action.service, mesh, fleet, now_ms);
    let taken = taken(&action.kind, &places);
    let all = total(&places);
    let weight = |id: &String| places.get(id).map_or(0.0, |p| p.weight);
    let lost: f64 = taken.iter().map(|(id, s)| if id.is_empty() { s * all } else { s * weight(id) }).sum();
    let capacity = if all > 0.0 { (lost / all).min(1.0) } else { 0.0 };
    Radius {
        capacity,
        requests: requests_touched(action, &taken, mesh).unwrap_or(capacity),
        proxies: proxies_of(fleet, &action.service).len(),
    }
}

fn requests_touched(
    action: &ProposedAction,
    taken: &std::collections::BTreeMap<String, f64>,
    mesh: &MeshState,
) -> Option<f64> {
    let service = mesh.services.get(&action.service)?;
    let all = service.attempts(mesh.second - 9, mesh.second).n;
    if all == 0 || taken.contains_key("") {
        return None;
    }
    let requests =
        |id: &String| service.endpoints.get(id).map_or(0, |e| e.ring.sum(mesh.second - 9, mesh.second).n);
    Some(taken.iter().map(|(id, s)| share(requests(id), all) * s).sum())
}

/// A proposal, waiting, not yet judged.
#[must_use]
pub fn propose(
    id: String,
    incident: Option<&Incident>,
    advice: Advice,
    radius: Radius,
    now_ms: i64,
    expires_s: u32,
) -> Proposal {
    let expires_ms = now_ms + i64::from(expires_s) * 1_000;
    let evidence = incident.map(|i| i.evidence.clone()).unwrap_or_default();
    let incident = incident.map(|i| i.id.clone());
    Proposal {
        digest: digest(&advice.action, &evidence, incident.as_deref()),
        id,
        state: ProposalState::Pending,
        incident,
        confidence: advice.confidence,
        created_ms: now_ms,
        expires_ms,
        expires_at: rfc3339(expires_ms),
        predicted_effect: predicted_effect(&advice.action, &evidence),
        action: advice.action,
        evidence,
        radius,
        speakers: vec![Speaker { name: advice.speaker, confidence: advice.confidence, says: advice.says }],
    }
}

/// SHA-256 over the canonical JSON of what is proposed, on what evidence, for which incident.
fn digest(action: &ProposedAction, evidence: &[Evidence], incident: Option<&str>) -> String {
    let proposed = json!({ "action": action, "evidence": evidence, "incident": incident });
    hex::encode(Sha256::digest(canonical::to_string(&proposed).as_bytes()))
}

fn predicted_effect(action: &ProposedAction, evidence: &[Evidence]) -> String {
    let strongest = evidence.iter().max_by(|a, b| a.log_e.total_cmp(&b.log_e));
    match (strongest, action.kind.endpoint()) {
        (Some(e), Some(endpoint)) => format!(
            "requests for {} no longer go to {endpoint}, where {:.1} % are bad; at its siblings {:.1} % are",
            action.service,
            e.observed * 100.0,
            e.baseline * 100.0
        ),
        (Some(e), None) => format!(
            "the bad share of {} falls from {:.1} % towards {:.1} %",
            action.service,
            e.observed * 100.0,
            e.baseline * 100.0
        ),
        (None, _) => format!("{} on {}, as asked", action.kind.name(), action.service),
    }
}

/// An instant for people.
#[must_use]
pub fn rfc3339(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms).map_or_else(|_| String::from("out of range"), |t| t.to_string())
}
