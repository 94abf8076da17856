//! One version of a service: after a deploy the version wins over the endpoint.

use std::collections::BTreeMap;

use super::{Diagnosis, cause, of_evidence};
use crate::detection::{Anomaly, Of};
use crate::domain::{Cause, CauseKind, Evidence, Signal};
use crate::state::{MeshState, Service, Tally, Version, share};

/// A version is new for so long, milliseconds.
const NEW_MS: i64 = 3_600_000;
/// What has been there so soon after its service was first seen did not come with a deploy.
const FROM_THE_START_MS: i64 = 60_000;
/// Trouble of the whole that begins so soon after everything changed is the change's.
const AFTER_DEPLOY_MS: i64 = 600_000;
/// Seconds over which a version's endpoints are looked at.
const LATELY_S: i64 = 5;

/// The version that is worse than the others, if it is that and not one endpoint of it.
pub(super) fn diagnose(
    name: &str,
    anomalies: &[Anomaly],
    mesh: &MeshState,
    now_ms: i64,
) -> Option<Diagnosis> {
    let service = mesh.services.get(name)?;
    let mut by_version: BTreeMap<&str, Vec<Evidence>> = BTreeMap::new();
    for anomaly in anomalies.iter().filter(|a| a.service == name) {
        if let Of::Version(label) = &anomaly.of {
            by_version.entry(label).or_default().push(anomaly.evidence.clone());
        }
    }
    let (label, evidence) =
        by_version.into_iter().max_by(|a, b| of_evidence(&a.1).total_cmp(&of_evidence(&b.1)))?;
    let (sick, all) = sick_endpoints(service, label, &evidence, mesh.second);
    let alone = all == 1 && is_new(service, label, now_ms);
    if !alone && (all < 2 || sick * 2 <= all) {
        return None;
    }
    Some(Diagnosis {
        confidence: of_evidence(&evidence),
        onset_ms: evidence.iter().map(|e| e.since_ms).min().unwrap_or(0),
        evidence,
        alternatives: vec![
            format!("single endpoints: {sick} of {all} that run {label} show it"),
            format!("{name} as a whole: the other versions are well"),
        ],
        ..blank(name, label)
    })
}

/// Trouble of the whole service, when the whole service has just become another version.
pub(super) fn everything_changed(name: &str, onset_ms: i64, mesh: &MeshState) -> Option<Cause> {
    let service = mesh.services.get(name)?;
    let from = mesh.second - LATELY_S + 1;
    let mut running = service.endpoints.values().filter(|e| e.ring.sum(from, mesh.second).n > 0);
    let label = running.next()?.version.clone();
    let one = running.all(|e| e.version == label);
    let since = service.versions.get(&label)?.first_ms;
    let soon = (since - 5_000..since + AFTER_DEPLOY_MS).contains(&onset_ms);
    (one && soon && is_new(service, &label, onset_ms)).then(|| blank(name, &label).cause)
}

/// Whether a version that has come within `young_ms` runs beside others and fails more than they do: by how
/// much is for its evidence to say, which may take some seconds more than the whole service's.
pub(super) fn may_explain(name: &str, mesh: &MeshState, now_ms: i64, young_ms: i64) -> bool {
    let Some(service) = mesh.services.get(name) else { return false };
    let from = mesh.second - LATELY_S + 1;
    let all = service.attempts(from, mesh.second);
    let worse = |label: &String| {
        let mut own = Tally::default();
        service.of_version(label).for_each(|(_, e)| own.add(e.ring.sum(from, mesh.second)));
        let rest = all.without(own);
        let fails = share(own.failed, own.n) > 2.0 * share(rest.failed, rest.n);
        let slow = share(own.slow, own.n) > 2.0 * share(rest.slow, rest.n);
        own.n > 0 && rest.n > 0 && (fails || slow)
    };
    let young = |version: &Version| now_ms - version.first_ms < young_ms;
    let mut versions = service.versions.iter();
    versions.any(|(label, version)| young(version) && is_new(service, label, now_ms) && worse(label))
}

fn blank(name: &str, label: &str) -> Diagnosis {
    Diagnosis {
        cause: Cause { version: Some(label.to_owned()), ..cause(CauseKind::BadVersion, name, None) },
        symptom: name.to_owned(),
        confidence: 0.0,
        onset_ms: 0,
        evidence: Vec::new(),
        alternatives: Vec::new(),
        drilled: false,
    }
}

/// Whether `label` came with a deploy, lately.
pub(super) fn is_new(service: &Service, label: &str, now_ms: i64) -> bool {
    let since = service.versions.get(label).map(|version| version.first_ms);
    since.is_some_and(|ms| ms > service.first_ms + FROM_THE_START_MS && now_ms - ms < NEW_MS)
}

/// Of the version's endpoints with traffic, those that show half of what the version shows.
fn sick_endpoints(service: &Service, label: &str, evidence: &[Evidence], second: i64) -> (usize, usize) {
    let tallies = service.of_version(label).map(|(_, e)| e.ring.sum(second - LATELY_S + 1, second));
    let serving: Vec<Tally> = tallies.filter(|tally| tally.n > 0).collect();
    let shows = |tally: &Tally| {
        evidence.iter().any(|e| {
            let bad = if e.signal == Signal::PeerErrors { tally.failed } else { tally.slow };
            share(bad, tally.n) >= (e.observed + e.baseline) / 2.0
        })
    };
    (serving.iter().filter(|tally| shows(tally)).count(), serving.len())
}
