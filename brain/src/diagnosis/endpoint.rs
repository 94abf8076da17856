//! Which endpoint of a service, or after all the service: what its siblings and its witnesses say.

use std::collections::BTreeMap;

use super::{Diagnosis, cause, of_evidence, version};
use crate::detection::Anomaly;
use crate::domain::{CauseKind, Evidence, Incident, Signal};
use crate::policies::DetectionPolicy;
use crate::state::evidence::threshold;
use crate::state::{Endpoint, MeshState, Service, Tally, share};

/// Seconds over which siblings are compared.
const LATELY_S: i64 = 5;
/// Seconds in which a named endpoint must have failed for its trouble to linger.
const LINGER_S: i64 = 20;
/// An endpoint waits so long for its version, from the first sign on, milliseconds.
const WAIT_FOR_VERSION_MS: i64 = 8_000;
/// A witness counts from so many requests on.
const WITNESS_REQUESTS: f64 = 20.0;

pub(super) fn diagnose(
    name: &str,
    anomalies: &[Anomaly],
    mesh: &MeshState,
    policy: &DetectionPolicy,
) -> Vec<Diagnosis> {
    let Some(service) = mesh.services.get(name) else { return Vec::new() };
    let mut by_endpoint: BTreeMap<&str, Vec<Evidence>> = BTreeMap::new();
    for anomaly in anomalies.iter().filter(|a| a.service == name) {
        if let Some(endpoint) = anomaly.endpoint() {
            by_endpoint.entry(endpoint).or_default().push(anomaly.evidence.clone());
        }
    }
    if let Some(bad) = most_are_bad(service, &by_endpoint, mesh.second, policy) {
        return vec![as_a_whole(name, by_endpoint, bad)];
    }
    let known = by_endpoint.into_iter().filter(|(id, evidence)| !waits(service, id, evidence, mesh, policy));
    known.map(|(id, evidence)| one(name, id, evidence, service, policy)).collect()
}

/// An endpoint of a new version is not named while its whole version is about to be.
fn waits(
    service: &Service,
    id: &str,
    evidence: &[Evidence],
    mesh: &MeshState,
    policy: &DetectionPolicy,
) -> bool {
    let now_ms = mesh.second * 1_000;
    let Some(endpoint) = service.endpoints.get(id) else { return false };
    let Some(version) = service.versions.get(&endpoint.version) else { return false };
    let half = threshold(policy.alarms_per_service_week, service.versions.len(), policy.safety_nats) / 2.0;
    let suspected = version.errors.log_e() > half || version.latency.log_e() > half;
    let young = evidence.iter().all(|e| now_ms - e.since_ms < WAIT_FOR_VERSION_MS);
    young && suspected && service.versions.len() > 1 && version::is_new(service, &endpoint.version, now_ms)
}

fn one(
    name: &str,
    id: &str,
    evidence: Vec<Evidence>,
    service: &Service,
    policy: &DetectionPolicy,
) -> Diagnosis {
    let disputed = service.endpoints.get(id).filter(|e| witnesses_disagree(e, &evidence, policy)).is_some();
    let kind = if disputed { CauseKind::Unknown } else { CauseKind::BadEndpoint };
    let sure = of_evidence(&evidence);
    let others = service.endpoints.len().saturating_sub(1);
    let mut alternatives = vec![format!("{name} as a whole: its {others} other endpoints are well")];
    if disputed {
        alternatives.push(format!("endpoint {id}: only some of the proxies that use it see it fail"));
    }
    Diagnosis {
        cause: cause(kind, name, Some(id)),
        symptom: name.to_owned(),
        confidence: if disputed { sure.min(0.5) } else { sure },
        onset_ms: evidence.iter().map(|e| e.since_ms).min().unwrap_or(0),
        evidence,
        alternatives,
        drilled: false,
    }
}

/// Whether what an open incident named still fails half as much above what it was held against, the endpoint
/// above its siblings or the service above its past. Thin evidence comes and goes around an alarm's threshold;
/// one fault stays one incident.
#[must_use]
pub fn lingers(incident: &Incident, mesh: &MeshState) -> bool {
    let Some(service) = mesh.services.get(&incident.cause.service) else { return false };
    let from = mesh.second - LINGER_S + 1;
    let of_whole = |e: &&Evidence| {
        matches!(e.signal, Signal::Errors | Signal::Latency) && e.series == incident.cause.service
    };
    let of_part = |e: &&Evidence| e.signal == Signal::PeerErrors;
    let (named, bad, excess) = match &incident.cause.endpoint {
        Some(id) => {
            let named = incident.evidence.iter().find(of_part);
            let (Some(endpoint), Some(named)) = (service.endpoints.get(id), named) else { return false };
            let own = endpoint.ring.sum(from, mesh.second);
            let rest = service.attempts(from, mesh.second).without(own);
            (named, own.failed, share(own.failed, own.n) - share(rest.failed, rest.n))
        }
        None => {
            let Some(named) = incident.evidence.iter().find(of_whole) else { return false };
            let all = service.ring.sum(from, mesh.second);
            let bad = if named.signal == Signal::Latency { all.slow } else { all.failed };
            (named, bad, share(bad, all.n) - named.baseline)
        }
    };
    bad >= 2 && excess >= (named.observed - named.baseline) / 2.0
}

/// How many endpoints are as bad as half the named ones' excess, if that is half of them all. Of
/// two endpoints, one is not "most".
fn most_are_bad(
    service: &Service,
    named: &BTreeMap<&str, Vec<Evidence>>,
    second: i64,
    policy: &DetectionPolicy,
) -> Option<usize> {
    let lately: Vec<(&String, Tally)> = service
        .endpoints
        .iter()
        .map(|(id, e)| (id, e.ring.sum(second - LATELY_S + 1, second)))
        .filter(|(_, tally)| tally.n > 0)
        .collect();
    let signal = |s: Signal| {
        let all = named.values().flatten().filter(|e| e.signal == s);
        all.map(|e| e.observed).fold(f64::INFINITY, f64::min)
    };
    let errors_from = (signal(Signal::PeerErrors) / 2.0).max(policy.peers.errors.min_excess);
    let slow_from = (signal(Signal::PeerLatency) / 2.0).max(policy.peers.latency.min_excess);
    let bad = lately.iter().filter(|(id, t)| {
        named.contains_key(id.as_str())
            || (t.failed >= 2 && share(t.failed, t.n) >= errors_from)
            || (t.slow >= 4 && share(t.slow, t.n) >= slow_from)
    });
    let bad = bad.count();
    (bad >= 2 && bad * 2 >= lately.len()).then_some(bad)
}

fn as_a_whole(name: &str, by_endpoint: BTreeMap<&str, Vec<Evidence>>, bad: usize) -> Diagnosis {
    let evidence: Vec<Evidence> = by_endpoint.into_values().flatten().collect();
    Diagnosis {
        cause: cause(CauseKind::Service, name, None),
        symptom: name.to_owned(),
        confidence: of_evidence(&evidence),
        onset_ms: evidence.iter().map(|e| e.since_ms).min().unwrap_or(0),
        evidence,
        alternatives: vec![format!("single endpoints of {name}: {bad} of them show the same")],
        drilled: false,
    }
}

/// Whether two proxies that both use the endpoint a lot tell different stories: then the path is
/// sick, or a witness is.
pub(super) fn witnesses_disagree(
    endpoint: &Endpoint,
    evidence: &[Evidence],
    policy: &DetectionPolicy,
) -> bool {
    let Some(errors) = evidence.iter().find(|e| e.signal == Signal::PeerErrors) else { return false };
    let witnesses = endpoint.reporters.values().filter(|(n, _)| *n >= WITNESS_REQUESTS);
    let shares: Vec<f64> = witnesses.map(|(n, failed)| failed / n).collect();
    let (least, most) =
        shares.iter().fold((f64::INFINITY, 0.0f64), |(least, most), s| (least.min(*s), most.max(*s)));
    shares.len() >= 2
        && most >= errors.observed / 2.0
        && least < errors.baseline + policy.peers.errors.min_excess / 4.0
}
