//! From a service that fails to the one version or endpoint that explains it: the whole tells sooner
//! than the part that something is wrong, and the part then only has to be told apart.

use super::{Diagnosis, cause, version};
use crate::detection::Anomaly;
use crate::domain::{Cause, CauseKind, Evidence, Signal};
use crate::policies::DetectionPolicy;
use crate::state::{Endpoint, MeshState, Service, Tally, share};

/// The alarm is the service's; this is only the chance that its failures fell together by accident.
const ACCIDENT: f64 = 0.005;
/// How sure such a diagnosis is at most: a person is asked until the endpoint's own evidence speaks.
const SURE: f64 = 0.7;
/// The part must still be failing in so many seconds.
const STILL_S: i64 = 10;

/// Of what the rest fails beyond the usual, so much of the part's own excess may be chance.
const CHANCE_SD: f64 = 3.0;

/// What drilling found.
pub(super) enum Drilled {
    /// The part.
    Named(Diagnosis),
    /// One part explains it so far, on too few failures to say so.
    Perhaps,
}

/// One part of the service, and what it did since the alarm's beginning.
struct Part {
    kind: CauseKind,
    label: String,
    mine: Tally,
    failed_lately: u64,
}

/// The part (a version, an endpoint) without which the service would be well, if its share of the
/// failures is no accident.
pub(super) fn one_part(
    name: &str,
    anomalies: &[Anomaly],
    mesh: &MeshState,
    policy: &DetectionPolicy,
) -> Option<Drilled> {
    let own = |a: &&Anomaly| a.service == name && a.is_whole();
    let alarm = &anomalies.iter().filter(own).find(|a| a.evidence.signal == Signal::Errors)?.evidence;
    let service = mesh.services.get(name)?;
    let from = alarm.since_ms.div_euclid(1_000);
    let all = service.attempts(from, mesh.second);
    let versions =
        worst(versions(service, from, mesh.second)).filter(|p| is_versions(service, p, mesh.second));
    let endpoint = worst(endpoints(service, from, mesh.second));
    let parts: Vec<Part> = versions.into_iter().chain(endpoint).collect();
    let found = parts.iter().find_map(|part| explained(name, part, all, alarm, policy));
    found.map(|found| match found {
        Explained::Surely(kind, label, evidence) => {
            Drilled::Named(diagnosis(name, kind, label, evidence, alarm))
        }
        Explained::Perhaps => Drilled::Perhaps,
    })
}

fn endpoints(service: &Service, from: i64, second: i64) -> Vec<Part> {
    let part = |(id, endpoint): (&String, &Endpoint)| Part {
        kind: CauseKind::BadEndpoint,
        label: id.clone(),
        mine: endpoint.ring.sum(from, second),
        failed_lately: endpoint.ring.sum(second - STILL_S + 1, second).failed,
    };
    service.endpoints.iter().map(part).filter(|part| part.mine.n > 0).collect()
}

fn versions(service: &Service, from: i64, second: i64) -> Vec<Part> {
    let part = |label: &String| {
        let mut part = Part {
            kind: CauseKind::BadVersion,
            label: label.clone(),
            mine: Tally::default(),
            failed_lately: 0,
        };
        for (_, endpoint) in service.of_version(label) {
            part.mine.add(endpoint.ring.sum(from, second));
            part.failed_lately += endpoint.ring.sum(second - STILL_S + 1, second).failed;
        }
        part
    };
    service.versions.keys().map(part).filter(|part| part.mine.n > 0).collect()
}

/// The one that fails most, of several.
fn worst(parts: Vec<Part>) -> Option<Part> {
    let several = parts.len() > 1;
    let fails = |part: &Part| share(part.mine.failed, part.mine.n);
    parts.into_iter().max_by(|a, b| fails(a).total_cmp(&fails(b))).filter(|_| several)
}

/// Whether it is the version and not one endpoint of it.
fn is_versions(service: &Service, part: &Part, second: i64) -> bool {
    let tallies = service.of_version(&part.label).map(|(_, e)| e.ring.sum(second - STILL_S + 1, second));
    let serving: Vec<Tally> = tallies.filter(|tally| tally.n > 0).collect();
    let failing = serving.iter().filter(|tally| tally.failed > 0).count();
    let new = version::is_new(service, &part.label, second * 1_000);
    (serving.len() == 1 && new) || (serving.len() > 1 && failing * 2 > serving.len())
}

/// Whether the rest is well without a part.
enum Explained {
    /// It is, and chance does not explain it.
    Surely(CauseKind, String, Evidence),
    /// It is so far, on too few failures.
    Perhaps,
}

/// The part and its evidence, if the rest is well without it.
fn explained(
    name: &str,
    part: &Part,
    all: Tally,
    alarm: &Evidence,
    policy: &DetectionPolicy,
) -> Option<Explained> {
    let rest = all.without(part.mine);
    let (bad, well) = (share(part.mine.failed, part.mine.n), share(rest.failed, rest.n));
    let floor = &policy.peers.errors;
    let usual = alarm.baseline * rest.n as f64;
    let rest_is_well = rest.failed as f64 <= usual + CHANCE_SD * usual.sqrt().max(1.0)
        && well < alarm.baseline + policy.service.errors.min_excess;
    let explains = bad - well >= floor.min_excess && rest_is_well && part.failed_lately > 0;
    if rest.n == 0 || !explains {
        return None;
    }
    let null = policy.peers.null_odds_ratio * part.mine.n as f64;
    let looks = (all.n as f64 / part.mine.n as f64).max(2.0);
    let chance = at_least(part.mine.failed, all.failed, null / (null + rest.n as f64)) * looks;
    if part.mine.failed < floor.min_count || chance > ACCIDENT {
        return Some(Explained::Perhaps);
    }
    let evidence = Evidence {
        signal: Signal::PeerErrors,
        series: format!("{name}/{}", part.label),
        observed: bad,
        baseline: well,
        requests: part.mine.n,
        log_e: -chance.max(1e-12).ln(),
        ..alarm.clone()
    };
    Some(Explained::Surely(part.kind, part.label.clone(), evidence))
}

fn diagnosis(name: &str, kind: CauseKind, label: String, evidence: Evidence, alarm: &Evidence) -> Diagnosis {
    let alternatives = vec![format!("{name} as a whole: without {label} it is well")];
    let whole = cause(kind, name, None);
    let cause = match kind {
        CauseKind::BadVersion => Cause { version: Some(label), ..whole },
        _ => Cause { endpoint: Some(label), ..whole },
    };
    Diagnosis {
        cause,
        symptom: name.to_owned(),
        confidence: SURE,
        onset_ms: alarm.since_ms,
        evidence: vec![evidence],
        alternatives,
        drilled: true,
    }
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
