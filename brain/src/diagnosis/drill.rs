//! From a service that fails to the one endpoint that explains it: where traffic is thin, the whole
//! tells sooner than the part that something is wrong, and the part then only has to be told apart.

use super::{Diagnosis, cause};
use crate::detection::Anomaly;
use crate::domain::{CauseKind, Evidence, Signal};
use crate::policies::DetectionPolicy;
use crate::state::{MeshState, Tally, share};

/// The alarm is the service's; this is only the chance that its failures fell together by accident.
const ACCIDENT: f64 = 0.005;
/// How sure such a diagnosis is at most: a person is asked until the endpoint's own evidence speaks.
const SURE: f64 = 0.7;
/// The endpoint must still be failing in so many seconds.
const STILL_S: i64 = 10;

/// What drilling found.
pub(super) enum Drilled {
    /// The endpoint.
    Named(Diagnosis),
    /// One endpoint explains it so far, on too few failures to say so.
    Perhaps,
}

/// The endpoint without which the service would be well, if its share of the failures is no accident.
pub(super) fn one_endpoint(
    name: &str,
    anomalies: &[Anomaly],
    mesh: &MeshState,
    policy: &DetectionPolicy,
) -> Option<Drilled> {
    let own = |a: &&Anomaly| a.service == name && a.endpoint.is_none();
    let alarm = &anomalies.iter().filter(own).find(|a| a.evidence.signal == Signal::Errors)?.evidence;
    let service = mesh.services.get(name)?;
    let from = alarm.since_ms.div_euclid(1_000);
    let all = service.attempts(from, mesh.second);
    let tallies = service.endpoints.iter().map(|(id, e)| (id, e.ring.sum(from, mesh.second)));
    let serving: Vec<(&String, Tally)> = tallies.filter(|(_, tally)| tally.n > 0).collect();
    let worst = serving.iter().max_by(|a, b| share(a.1.failed, a.1.n).total_cmp(&share(b.1.failed, b.1.n)));
    let (id, mine) = worst?;
    let rest = all.without(*mine);
    let (bad, well) = (share(mine.failed, mine.n), share(rest.failed, rest.n));
    let lately = service.endpoints.get(*id)?.ring.sum(mesh.second - STILL_S + 1, mesh.second);
    let floor = &policy.peers.errors;
    let explains = bad - well >= floor.min_excess
        && well < alarm.baseline + policy.service.errors.min_excess / 2.0
        && lately.failed > 0;
    if serving.len() < 2 || rest.n == 0 || !explains {
        return None;
    }
    let null = policy.peers.null_odds_ratio * mine.n as f64;
    let chance = at_least(mine.failed, all.failed, null / (null + rest.n as f64)) * serving.len() as f64;
    if mine.failed < floor.min_count || chance > ACCIDENT {
        return Some(Drilled::Perhaps);
    }
    Some(Drilled::Named(Diagnosis {
        cause: cause(CauseKind::BadEndpoint, name, Some(id)),
        symptom: name.to_owned(),
        confidence: SURE,
        onset_ms: alarm.since_ms,
        evidence: vec![Evidence {
            signal: Signal::PeerErrors,
            series: format!("{name}/{id}"),
            observed: bad,
            baseline: well,
            requests: mine.n,
            log_e: -chance.max(1e-12).ln(),
            ..alarm.clone()
        }],
        alternatives: vec![format!("{name} as a whole: without {id} it is well")],
        drilled: true,
    }))
}

/// The chance of at least `k` of `n` when each is one with probability `p`, by the Chernoff bound:
/// never too small.
fn at_least(k: u64, n: u64, p: f64) -> f64 {
    let x = share(k, n);
    if n == 0 || x <= p {
        return 1.0;
    }
    let term = |a: f64, b: f64| if a <= 0.0 { 0.0 } else { a * (a / b).ln() };
    (-(n as f64) * (term(x, p) + term(1.0 - x, 1.0 - p))).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_that_fall_together_are_no_accident() {
        assert!(at_least(8, 8, 0.27) < 1e-4);
        assert!(at_least(4, 8, 0.27) > 0.05);
        assert!((at_least(2, 8, 0.27) - 1.0).abs() < 1e-9);
        assert!((at_least(0, 0, 0.5) - 1.0).abs() < 1e-9);
    }
}
