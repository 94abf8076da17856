//! Decide: an incident becomes a proposal, typed, bounded, with its evidence and its digest.

pub mod advisor;
mod ahead;
mod desk;
mod footing;
mod model;
mod networks;
mod remedy;
mod rules;
mod shift;

pub use ahead::{advise_ahead, surge_is_past};
pub use desk::Desk;
pub use footing::footing;
pub use model::{SPEAKER as MODEL, WORTH_NAMING, with_opinion};
pub use remedy::{Circumstances, Load, canary_of, medians_ms};
pub use rules::{Advice, advise};

use protocol::action::ActionKind;
use protocol::canonical;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::domain::{Evidence, Incident, Proposal, ProposalState, ProposedAction, Radius, Signal, Speaker};
use crate::guard::capacity::{Fleet, holdings, proxies_of, taken, total};
use crate::state::{MeshState, share};

/// How much of its service an action touches.
#[must_use]
pub fn radius(action: &ProposedAction, mesh: &MeshState, fleet: &Fleet, now_ms: i64) -> Radius {
    let holdings = holdings(&action.service, mesh, fleet, now_ms);
    let taken = taken(&action.kind, &holdings);
    let all = total(&holdings.places);
    let weight = |id: &String| holdings.places.get(id).map_or(0.0, |p| p.weight);
    let lost: f64 = taken.iter().map(|(id, s)| if id.is_empty() { s * all } else { s * weight(id) }).sum();
    let capacity = if all > 0.0 { (lost / all).min(1.0) } else { 0.0 };
    let asks_proxies = !matches!(action.kind, ActionKind::Scale { .. });
    Radius {
        capacity,
        requests: requests_touched(action, &taken, mesh).unwrap_or(capacity),
        proxies: if asks_proxies { proxies_of(fleet, &action.service).len() } else { 0 },
    }
}

/// Share of the service's requests that are moved elsewhere or refused.
fn requests_touched(
    action: &ProposedAction,
    taken: &std::collections::BTreeMap<String, f64>,
    mesh: &MeshState,
) -> Option<f64> {
    let service = mesh.services.get(&action.service)?;
    let all = service.attempts(mesh.second - 9, mesh.second).n;
    match &action.kind {
        ActionKind::ShedLoad { fraction, .. } => return *fraction,
        ActionKind::BlockIps { cidrs } => return Some(mesh.clients_share(cidrs)),
        _ if all == 0 || taken.contains_key("") => return None,
        _ => {}
    }
    let requests =
        |id: &String| service.endpoints.get(id).map_or(0, |e| e.ring.sum(mesh.second - 9, mesh.second).n);
    Some(taken.iter().map(|(id, s)| share(requests(id), all) * s).sum())
}

/// Sheds that differ by less are the same: measurements wobble.
const SAME_SHED: f64 = 0.1;

/// Whether who agreed to one would have agreed to the other.
#[must_use]
pub fn is_same_intent(a: &ProposedAction, b: &ProposedAction) -> bool {
    let shed = |kind: &ActionKind| match kind {
        ActionKind::ShedLoad { max_in_flight: None, fraction } => *fraction,
        _ => None,
    };
    match (shed(&a.kind), shed(&b.kind)) {
        (Some(one), Some(other)) => a.service == b.service && (one - other).abs() <= SAME_SHED + 1e-9,
        _ => a == b,
    }
}

/// A proposal, waiting, not yet judged.
#[must_use]
pub fn propose(
    id: String,
    incident: Option<&Incident>,
    advice: Advice,
    radius: Radius,
    footing: String,
    now_ms: i64,
    expires_s: u32,
) -> Proposal {
    let expires_ms = now_ms + i64::from(expires_s) * 1_000;
    let evidence = incident.map_or(advice.evidence, |i| i.evidence.clone());
    let incident = incident.map(|i| i.id.clone());
    let mut speakers = advice.abstained;
    speakers.push(Speaker { name: advice.speaker, confidence: advice.said, says: advice.says });
    Proposal {
        digest: digest(&advice.action, &evidence, incident.as_deref(), Some(&footing)),
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
        footing: Some(footing),
        speakers,
        asked_by: None,
        approvals_needed: 1,
        approvals: Vec::new(),
    }
}

/// SHA-256 over the canonical JSON of what is proposed, on what evidence, for which incident, in which state
/// of the mesh (absent in records of older builds).
#[must_use]
pub fn digest(
    action: &ProposedAction,
    evidence: &[Evidence],
    incident: Option<&str>,
    footing: Option<&str>,
) -> String {
    let mut proposed = json!({ "action": action, "evidence": evidence, "incident": incident });
    if let Some(footing) = footing {
        proposed["footing"] = footing.into();
    }
    hex::encode(Sha256::digest(canonical::to_string(&proposed).as_bytes()))
}

fn predicted_effect(action: &ProposedAction, evidence: &[Evidence]) -> String {
    let service = &action.service;
    let of_shares = evidence.iter().filter(|e| e.signal.is_share());
    let strongest = of_shares.max_by(|a, b| a.log_e.total_cmp(&b.log_e));
    let falls = strongest.map(|e| {
        let (observed, baseline) = (e.observed * 100.0, e.baseline * 100.0);
        format!("the bad share of {service} falls from {observed:.1} % towards {baseline:.1} %")
    });
    match (&action.kind, strongest) {
        (ActionKind::BlockIps { .. } | ActionKind::LimitRate { .. }, _) => {
            let rates = evidence.iter().find(|e| e.signal == Signal::ClientRate);
            rates.map_or_else(
                || format!("{service} serves these clients less"),
                |e| {
                    format!("{service} no longer serves {:.0} requests a second of these clients", e.observed)
                },
            )
        }
        (kind, Some(e)) => match kind.endpoint() {
            Some(endpoint) => format!(
                "requests for {service} no longer go to {endpoint}, where {:.1} % are bad; at its siblings {:.1} % are",
                e.observed * 100.0,
                e.baseline * 100.0
            ),
            None => falls.unwrap_or_default(),
        },
        (ActionKind::Scale { replicas }, _) => {
            format!("{service} has at least {replicas} replicas before the load comes")
        }
        (ActionKind::SetWeights { .. }, None) if evidence.iter().any(|e| e.signal == Signal::Forecast) => {
            format!("when the load comes, less of it goes to those endpoints of {service} that are slower")
        }
        (kind, None) => format!("{} on {service}, as asked", kind.name()),
    }
}

/// An instant for people.
#[must_use]
pub fn rfc3339(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms).map_or_else(|_| String::from("out of range"), |t| t.to_string())
}
