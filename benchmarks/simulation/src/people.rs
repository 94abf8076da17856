//! What people and pipelines ask, sensible or not.

use ::brain::domain::{Actor, ActorKind, PersonRequest, Proposal, ProposalState, ProposedAction, View};
use fastrand::Rng;
use protocol::action::ActionKind;
use serde_json::json;

use crate::proxy::{ENDPOINTS, SERVICES, endpoint};

/// Somebody.
pub fn who(rng: &mut Rng) -> Actor {
    let kind = if rng.u8(0..5) == 0 { ActorKind::Pipeline } else { ActorKind::Person };
    Actor { kind, id: ["ada", "grace", "barbara"][rng.usize(0..3)].to_owned() }
}

/// Something that somebody wants of a brain whose picture is `view`.
pub fn request(view: &View, rng: &mut Rng) -> PersonRequest {
    let waits = |p: &&Proposal| p.state == ProposalState::Pending;
    let pending: Vec<&Proposal> = view.proposals.iter().filter(waits).collect();
    let reason = "because".to_owned();
    if !pending.is_empty() && rng.u8(0..3) > 0 {
        let proposal = pending[rng.usize(0..pending.len())];
        let (id, digest) = (proposal.id.clone(), proposal.digest.clone());
        return match rng.u8(0..6) {
            0 => PersonRequest::Reject { proposal: id, reason },
            1 => PersonRequest::Approve { proposal: id, digest: "0".repeat(64), reason },
            _ => PersonRequest::Approve { proposal: id, digest, reason },
        };
    }
    match rng.u8(0..12) {
        0 => PersonRequest::Freeze { revert_all: rng.bool() },
        1..=3 if view.frozen => PersonRequest::Unfreeze,
        1..=3 => match view.actions.first() {
            Some(action) => PersonRequest::Undo { action: action.id.clone(), reason },
            None => PersonRequest::Undo { action: "act-0".to_owned(), reason },
        },
        _ => PersonRequest::Propose { action: proposed(rng), reason },
    }
}

/// An action of any kind, within the floor or not.
fn proposed(rng: &mut Rng) -> ProposedAction {
    let s = rng.usize(0..SERVICES.len());
    let at = endpoint(s, rng.usize(0..ENDPOINTS + 1));
    let kind = match rng.u8(0..10) {
        0 => json!({"type": "eject_endpoint", "endpoint": at}),
        1 => json!({"type": "trip_breaker", "endpoint": at}),
        2 => json!({"type": "set_weights", "weights": {at: rng.u32(0..300)}}),
        3 => {
            json!({"type": "set_weights", "weights": {"version:v1": rng.u32(0..2), "version:v2": rng.u32(0..200)}})
        }
        4 => json!({"type": "shed_load", "fraction": rng.f64() * 1.2}),
        5 => json!({"type": "block_ips", "cidrs": [format!("203.0.{}.0/{}", rng.u8(..), rng.u8(20..=32))]}),
        6 => json!({"type": "limit_rate", "key": "ip", "rps": rng.f64() * 50.0, "burst": rng.u32(0..9)}),
        7 => json!({"type": "set_timeout", "request_timeout_ms": rng.u64(0..60_000)}),
        8 => json!({"type": "set_retry_budget", "ratio": rng.f64(), "max_attempts": rng.u32(0..6)}),
        _ => json!({"type": "set_algorithm", "algorithm": if rng.bool() { "random" } else { "none" }}),
    };
    let kind: ActionKind = serde_json::from_value(kind).unwrap();
    ProposedAction { service: SERVICES[s].to_owned(), kind, lease_ms: rng.u64(500..20_000) }
}
