//! The closed set: what could be done about an incident, each action complete and sized by code.

use protocol::action::ActionKind;

use super::super::remedy::{Circumstances, kind_of};
use crate::domain::{CauseKind, Incident, ProposedAction};
use crate::policies::Remedy;

/// The life of a lease that the menu offers, milliseconds.
const LEASE_MS: u64 = 15_000;
/// A retry budget that cannot multiply an outage.
const CAREFUL_RATIO: f64 = 0.05;

/// One thing that could be done.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// `a1`, `a2`, …: all that a model can say of it.
    pub id: String,
    /// The whole action.
    pub action: ProposedAction,
    /// In words, without an address.
    pub says: String,
}

/// What could be done, mildest first; kinds that were `tried` in vain are not offered.
#[must_use]
pub fn menu(incident: &Incident, now: &Circumstances, tried: &[&'static str]) -> Vec<Candidate> {
    let lease_ms = LEASE_MS;
    let shed = |fraction| Remedy::ShedLoad { fraction: Some(fraction), lease_ms };
    let remedies = match incident.cause.kind {
        CauseKind::BadEndpoint => vec![Remedy::EjectEndpoint { lease_ms }],
        CauseKind::BadVersion => vec![Remedy::SetWeights { lease_ms }, Remedy::RollbackCanary { lease_ms }],
        CauseKind::AbusiveClients => {
            vec![Remedy::LimitRate { times_usual: 3.0, lease_ms }, Remedy::BlockIps { lease_ms }]
        }
        CauseKind::Overload | CauseKind::Service | CauseKind::Dependency => vec![shed(0.1), shed(0.3)],
        CauseKind::Unknown => Vec::new(),
    };
    let sized = remedies.iter().filter_map(|remedy| kind_of(remedy, incident, now)?.ok());
    let mut kinds: Vec<ActionKind> = sized.map(|(kind, _)| kind).collect();
    if matches!(incident.cause.kind, CauseKind::Service | CauseKind::Dependency | CauseKind::Overload) {
        kinds.insert(0, ActionKind::SetRetryBudget { ratio: CAREFUL_RATIO, max_attempts: 2 });
    }
    let offered = kinds.into_iter().filter(|kind| !tried.contains(&kind.name()));
    let numbered = offered.enumerate().map(|(n, kind)| Candidate {
        id: format!("a{}", n + 1),
        says: words(&kind),
        action: ProposedAction { service: incident.cause.service.clone(), kind, lease_ms },
    });
    numbered.collect()
}

fn words(kind: &ActionKind) -> String {
    match kind {
        ActionKind::ShedLoad { fraction: Some(fraction), .. } => {
            format!("refuse {:.0} % of its requests", fraction * 100.0)
        }
        ActionKind::BlockIps { cidrs } => {
            format!("refuse the {} client networks that are named", cidrs.len())
        }
        ActionKind::LimitRate { rps, .. } => format!("at most {rps:.0} requests a second from each client"),
        ActionKind::SetRetryBudget { ratio, max_attempts } => {
            format!(
                "retries for {:.0} % of the requests at most, {max_attempts} attempts each",
                ratio * 100.0
            )
        }
        ActionKind::EjectEndpoint { .. } => "send nothing to the named endpoint".to_owned(),
        ActionKind::SetWeights { .. } => "send nothing to the named version".to_owned(),
        ActionKind::RollbackCanary { .. } => "end the named version's trial".to_owned(),
        kind => kind.name().to_owned(),
    }
}
