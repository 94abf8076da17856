//! A culprit outside the mesh's sight: services that do not call each other fall sick together, each of
//! them alike in all its endpoints, under its usual load, and answering. What they share is to blame, and no
//! proxy reports it. One such service alone cannot be told from one that is sick itself (`service`).

use super::{CallGraph, Case, Diagnosis};
use crate::domain::{CauseKind, Evidence, Signal};
use crate::state::{MeshState, Service, Tally, share};

/// Troubles that began so far apart are two, seconds.
const TOGETHER_S: i64 = 5;
/// An incident so old is not joined by another's trouble, milliseconds.
const YOUNG_MS: i64 = 60_000;
/// Requests from which on an endpoint's share says something.
const REQUESTS: u64 = 10;
/// Two faults can fall together by chance.
const SURE: f64 = 0.8;

/// The diagnosis, or, where its trouble is that of an open incident elsewhere, what both have in common.
pub(super) fn shared(open: &[Case], diagnosis: Diagnosis, mesh: &MeshState, now_ms: i64) -> Diagnosis {
    if diagnosis.cause.kind != CauseKind::Service || diagnosis.drilled {
        return diagnosis;
    }
    let name = &diagnosis.cause.service;
    let known = |case: &&Case| case.incident.cause.kind == CauseKind::Dependency && is_told_of(case, name);
    let about = |case: &&Case| case.incident.cause.service == *name;
    let joins = |case: &&Case| is_same(case, &diagnosis, mesh, now_ms);
    let case = match open.iter().find(known) {
        Some(case) => Some(case),
        // It has an entry of its own.
        None if open.iter().any(|case| about(&case)) => None,
        None => open.iter().find(joins),
    };
    match case {
        Some(case) => joined(case, diagnosis),
        None => diagnosis,
    }
}

/// The services that an incident's evidence is about.
pub(super) fn services(evidence: &[Evidence]) -> Vec<&str> {
    let mut names: Vec<&str> = evidence.iter().map(|e| e.series.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn is_told_of(case: &Case, name: &str) -> bool {
    case.incident.evidence.iter().any(|e| e.series == name)
}

fn is_same(case: &Case, diagnosis: &Diagnosis, mesh: &MeshState, now_ms: i64) -> bool {
    let incident = &case.incident;
    let (one, other) = (&incident.cause.service, &diagnosis.cause.service);
    let kind = matches!(incident.cause.kind, CauseKind::Service | CauseKind::Dependency);
    if !kind || now_ms - incident.opened_ms > YOUNG_MS {
        return false;
    }
    let graph = CallGraph::of(mesh, now_ms);
    if graph.below(one).contains(other) || graph.below(other).contains(one) {
        return false;
    }
    let began = |name: &str, evidence: &[Evidence]| {
        let service = mesh.services.get(name)?;
        let told = evidence.iter().filter(|e| e.series == name);
        let strongest = told.max_by(|a, b| a.log_e.total_cmp(&b.log_e))?;
        let began = began_s(service, strongest, mesh.second)?;
        is_uniform(service, strongest, began, mesh.second).then_some(began)
    };
    let (first, second) = (began(one, &incident.evidence), began(other, &diagnosis.evidence));
    first.zip(second).is_some_and(|(a, b)| (a - b).abs() <= TOGETHER_S)
}

fn bad(tally: Tally, signal: Signal) -> u64 {
    if signal == Signal::Latency { tally.slow } else { tally.failed }
}

/// The first second of the last minute that shows half of it.
fn began_s(service: &Service, e: &Evidence, second: i64) -> Option<i64> {
    let level = (e.observed + e.baseline) / 2.0;
    let shows = |s: &i64| {
        let tally = service.ring.at(*s);
        tally.n > 0 && share(bad(tally, e.signal), tally.n) >= level
    };
    (second - 60..=second).find(shows)
}

/// Whether it answers, and every endpoint with enough traffic has shown half of it from the beginning.
fn is_uniform(service: &Service, e: &Evidence, from: i64, second: i64) -> bool {
    let all = service.ring.sum(from, second);
    let answers = service.broken.sum(from, second).failed * 2 <= all.failed || e.signal == Signal::Latency;
    let level = e.baseline + (e.observed - e.baseline) / 2.0;
    let tallies = service.endpoints.values().map(|endpoint| endpoint.ring.sum(from, second));
    let mut busy = tallies.filter(|tally| tally.n >= REQUESTS);
    answers && busy.all(|tally| share(bad(tally, e.signal), tally.n) >= level || e.signal == Signal::Latency)
}

fn joined(case: &Case, diagnosis: Diagnosis) -> Diagnosis {
    let name = diagnosis.cause.service.clone();
    let mut cause = case.incident.cause.clone();
    cause.kind = CauseKind::Dependency;
    let mut evidence = diagnosis.evidence;
    evidence.extend(case.incident.evidence.iter().filter(|e| e.series != name).cloned());
    evidence.sort_by(|a, b| a.series.cmp(&b.series));
    let names = services(&evidence).join(" and ");
    let confidence = diagnosis.confidence.min(case.incident.confidence).min(SURE);
    let alternatives =
        vec![format!("{names}, each of itself: they fell sick together, and neither calls the other")];
    Diagnosis {
        cause,
        symptom: case.incident.service.clone(),
        confidence,
        evidence,
        alternatives,
        ..diagnosis
    }
}
