//! What a whole service suffers from: too much load, some clients' doing, a deploy, or itself.

use std::collections::{BTreeMap, BTreeSet};

use super::{CallGraph, Diagnosis, cause, confidence, version};
use crate::detection::{Abuse, Findings, Portrait};
use crate::domain::{Cause, CauseKind, Evidence, Signal};
use crate::state::{MeshState, share};

/// A surge that begins so much later than the trouble is its consequence (clients that try again).
const LATER_MS: i64 = 3_000;

/// Clients whose doing explains it: where something suffers, or they only scan. It takes time to know many small
/// ones, and by then what was `known` before may be answered and hurt no more.
pub(super) fn abusers(
    found: &Findings,
    graph: &CallGraph,
    known: &BTreeMap<String, bool>,
) -> Vec<(Diagnosis, BTreeSet<String>)> {
    let suffers = |services: &BTreeSet<String>| found.anomalies.iter().any(|a| services.contains(&a.service));
    let mut diagnoses = Vec::new();
    for abuse in &found.abuse {
        let mut covered = graph.below(&abuse.service);
        covered.insert(abuse.service.clone());
        let answered = abuse.together && known.contains_key(&abuse.service);
        let explains = abuse.explained > 0.0 && (suffers(&covered) || answered);
        if explains || abuse.scanning {
            // Scanners that nobody suffers from explain no one else's trouble.
            let covered = if explains { covered } else { BTreeSet::new() };
            diagnoses.push((of_clients(abuse), covered));
        }
    }
    diagnoses
}

fn of_clients(abuse: &Abuse) -> Diagnosis {
    let ips = abuse.ips.iter().map(ToString::to_string).collect();
    let scanning = if abuse.scanning { ", and ask mostly for what is not there" } else { "" };
    Diagnosis {
        cause: Cause { ips, ..cause(CauseKind::AbusiveClients, &abuse.service, None) },
        symptom: abuse.service.clone(),
        confidence: confidence(abuse.log_e, if abuse.scanning { 0.1 } else { abuse.explained }),
        onset_ms: abuse.since_ms,
        evidence: of_abuse(abuse),
        alternatives: vec![format!(
            "a crowd: {:.0} % of the excess goes away with these clients{scanning}",
            abuse.explained * 100.0
        )],
        drilled: false,
    }
}

/// What the named ask, and what clients as a whole do beside it.
fn of_abuse(abuse: &Abuse) -> Vec<Evidence> {
    let of = |signal, part: &str, (observed, baseline), log_e| Evidence {
        signal,
        series: format!("{}/{part}", abuse.service),
        observed,
        baseline,
        requests: (abuse.rate * 5.0) as u64,
        window_s: 5,
        since_ms: abuse.since_ms,
        log_e,
    };
    let Portrait { strangers, top, pace, elsewhere } = abuse.portrait;
    vec![
        of(Signal::ClientRate, "clients", (abuse.rate, abuse.usual), abuse.log_e),
        of(Signal::NewClients, "clients", strangers, 0.0),
        of(Signal::TopClients, "clients", top, 0.0),
        of(Signal::ClientPace, "clients", pace, 0.0),
        of(Signal::RouteMix, "routes", (elsewhere, 0.0), 0.0),
    ]
}

/// Names what a whole service suffers from, better than "itself", where the numbers allow it.
pub(super) fn name_it(mut diagnosis: Diagnosis, found: &Findings, mesh: &MeshState) -> Diagnosis {
    let name = diagnosis.cause.service.clone();
    if let Some(cause) = version::everything_changed(&name, diagnosis.onset_ms, mesh) {
        diagnosis.alternatives.push(format!("{name} as a whole: it was well before this version"));
        diagnosis.cause = cause;
        return diagnosis;
    }
    let Some(surge) = found.surges.get(&name) else { return diagnosis };
    let ratio = surge.rate / surge.usual.max(0.1);
    if surge.since_ms > showed_ms(&diagnosis, mesh) + LATER_MS {
        diagnosis.alternatives.push(format!("overload: the load rose {ratio:.1}-fold only afterwards"));
        return diagnosis;
    }
    diagnosis.alternatives.push(format!("{name} by itself: its load rose {ratio:.1}-fold before"));
    diagnosis.cause = cause(CauseKind::Overload, &name, None);
    diagnosis.onset_ms = diagnosis.onset_ms.min(surge.since_ms);
    diagnosis.evidence.push(Evidence {
        signal: Signal::Rate,
        series: name,
        observed: surge.rate,
        baseline: surge.usual,
        requests: surge.requests,
        window_s: 5,
        since_ms: surge.since_ms,
        log_e: surge.log_e,
    });
    diagnosis
}

/// Whether the last two seconds asked so many times the usual of the service, or of the edge before it.
pub(super) fn rises(name: &str, mesh: &MeshState, times: f64) -> bool {
    let Some(service) = mesh.services.get(name) else { return false };
    let (usual, _) = service.baseline.pace_at(mesh.second);
    let now = service.ring.sum(mesh.second - 1, mesh.second).n as f64 / 2.0;
    usual > 0.0 && now >= times * usual
}

/// When the trouble showed first: evidence is summed over a window, and it began somewhere within.
fn showed_ms(diagnosis: &Diagnosis, mesh: &MeshState) -> i64 {
    let Some(service) = mesh.services.get(&diagnosis.cause.service) else { return diagnosis.onset_ms };
    let first = |e: &Evidence| {
        let from = e.since_ms.div_euclid(1_000);
        let shows = |second: &i64| {
            let tally = service.ring.at(*second);
            let bad = if e.signal == Signal::Latency { tally.slow } else { tally.failed };
            tally.n > 0 && share(bad, tally.n) >= (e.observed + e.baseline) / 2.0
        };
        (from..=mesh.second).find(shows)
    };
    diagnosis.evidence.iter().filter_map(first).min().map_or(diagnosis.onset_ms, |second| second * 1_000)
}
