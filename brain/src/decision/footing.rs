//! What a proposal stands on: the part of the mesh that decides what its action would do. Who approves,
//! approves the action in that state; in another it would be another one.

use protocol::canonical;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::domain::{Cause, ProposedAction};
use crate::guard::capacity::Places;

/// SHA-256, hex, over a service's endpoints with their versions and weights, what is live on it, and the
/// culprit. Health and breakers come and go with the trouble itself: the guard looks at them anew each time.
#[must_use]
pub fn footing(places: &Places, live: &[(&str, &ProposedAction)], cause: Option<&Cause>) -> String {
    let endpoints: Vec<_> = places.iter().map(|(id, p)| json!([id, p.version, p.weight, p.now])).collect();
    let culprit = cause.map(|cause| json!([cause.kind, cause.service, cause.endpoint, cause.version]));
    let stood_on = json!({ "endpoints": endpoints, "live": live, "culprit": culprit });
    hex::encode(Sha256::digest(canonical::to_string(&stood_on).as_bytes()))
}

#[cfg(test)]
mod tests {
    use protocol::action::ActionKind;
    use protocol::snapshot::Health;

    use super::*;
    use crate::domain::CauseKind;
    use crate::guard::capacity::Place;

    fn places(weights: &[f64], health: Health) -> Places {
        let place = |weight| Place { weight, now: weight, version: "v1".into(), health, serving: true };
        weights.iter().enumerate().map(|(n, weight)| (format!("10.0.0.{n}:80"), place(*weight))).collect()
    }

    #[test]
    fn it_changes_with_all_that_decides_what_an_action_does_and_with_nothing_else() {
        let cause = |kind| Cause { kind, service: "cart".into(), endpoint: None, version: None, ips: vec![] };
        let shed = ProposedAction {
            service: "cart".into(),
            kind: ActionKind::ShedLoad { max_in_flight: None, fraction: Some(0.2) },
            lease_ms: 15_000,
        };
        let (load, service) = (cause(CauseKind::Overload), cause(CauseKind::Service));
        let before = footing(&places(&[1.0, 1.0], Health::Unknown), &[], Some(&load));
        let others = [
            footing(&places(&[1.0], Health::Unknown), &[], Some(&load)),
            footing(&places(&[1.0, 2.0], Health::Unknown), &[], Some(&load)),
            footing(&places(&[1.0, 1.0], Health::Unknown), &[("act-1", &shed)], Some(&load)),
            footing(&places(&[1.0, 1.0], Health::Unknown), &[], Some(&service)),
            footing(&places(&[1.0, 1.0], Health::Unknown), &[], None),
        ];
        assert!(others.iter().all(|other| *other != before));
        assert_eq!(footing(&places(&[1.0, 1.0], Health::Unhealthy), &[], Some(&load)), before);
    }
}
