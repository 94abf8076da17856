//! Diagnose: anomalies become culprits. One endpoint, when it is worse than its siblings and most of
//! them are well; otherwise the deepest service that is unwell; `unknown` when witnesses disagree.

mod book;
mod call_graph;
mod confidence;
mod drill;
mod endpoint;

use std::collections::{BTreeMap, BTreeSet};

pub use book::{Book, Case};
pub use call_graph::CallGraph;
pub use confidence::confidence;
use drill::Drilled;
pub use endpoint::lingers;

use crate::detection::{Anomaly, Findings};
use crate::domain::{Cause, CauseKind, Evidence, Signal};
use crate::policies::DetectionPolicy;
use crate::state::MeshState;

/// A symptom waits so many holds at most for an endpoint that is under suspicion.
const LONGEST_HOLDS: i64 = 5;
/// And so many while one endpoint explains it, on too few failures to say so.
const HOLDS_FOR_ONE: i64 = 20;

/// A culprit.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnosis {
    /// Who, and what sort of trouble.
    pub cause: Cause,
    /// Where it shows.
    pub symptom: String,
    /// Probability that it is so.
    pub confidence: f64,
    /// Since when.
    pub onset_ms: i64,
    /// Why we think so.
    pub evidence: Vec<Evidence>,
    /// Who else it could have been, and why not.
    pub alternatives: Vec<String>,
    /// Whether the whole service's alarm led here, rather than the endpoint's own.
    pub drilled: bool,
}

/// Symptoms that wait for a deeper culprit: since when.
pub type Waiting = BTreeMap<String, i64>;

/// Names the culprits. `known` are the services that already have an open incident, and whether it is
/// about them as a whole.
pub fn diagnose(
    found: &Findings,
    mesh: &MeshState,
    waiting: &mut Waiting,
    known: &BTreeMap<String, bool>,
    now_ms: i64,
    policy: &DetectionPolicy,
) -> Vec<Diagnosis> {
    let graph = CallGraph::of(mesh, now_ms);
    let mut diagnoses = Vec::new();
    let mut culprits: BTreeSet<String> = known.keys().cloned().collect();
    let sick: BTreeSet<&String> =
        found.anomalies.iter().filter(|a| a.endpoint.is_some()).map(|a| &a.service).collect();
    for service in sick {
        let named = endpoint::diagnose(service, &found.anomalies, mesh, policy);
        culprits.extend(named.iter().map(|d| d.cause.service.clone()));
        diagnoses.extend(named);
    }
    let named: Vec<Cause> = diagnoses.iter().map(|d| d.cause.clone()).collect();
    let of_services = deepest_services(found, mesh, &graph, waiting, &culprits, known, now_ms, policy);
    diagnoses.extend(of_services.into_iter().filter(|d| !named.contains(&d.cause)));
    let anomalous: BTreeSet<&str> = found.anomalies.iter().map(|a| a.service.as_str()).collect();
    for diagnosis in &mut diagnoses {
        diagnosis.symptom = highest_symptom(&diagnosis.cause.service, &anomalous, &graph);
    }
    diagnoses
}

/// The services that are unwell of themselves: nothing below them is, and they have waited long
/// enough for something below to show.
#[allow(clippy::too_many_arguments)]
fn deepest_services(
    found: &Findings,
    mesh: &MeshState,
    graph: &CallGraph,
    waiting: &mut Waiting,
    culprits: &BTreeSet<String>,
    known: &BTreeMap<String, bool>,
    now_ms: i64,
    policy: &DetectionPolicy,
) -> Vec<Diagnosis> {
    let unwell: BTreeSet<&String> =
        found.anomalies.iter().filter(|a| a.endpoint.is_none()).map(|a| &a.service).collect();
    waiting.retain(|service, _| unwell.contains(service));
    let mut diagnoses = Vec::new();
    for service in &unwell {
        let since = *waiting.entry((*service).clone()).or_insert(now_ms);
        let below = graph.below(service);
        let explained = below.iter().any(|s| culprits.contains(s) || unwell.contains(s));
        let own_endpoint = match known.get(*service) {
            Some(as_a_whole) => !as_a_whole,
            None => culprits.contains(*service),
        };
        let suspected = found.suspicious.iter().any(|s| s == *service || below.contains(s));
        let drilled = drill::one_endpoint(service, &found.anomalies, mesh, policy);
        let holds = match drilled {
            Some(Drilled::Perhaps) => HOLDS_FOR_ONE,
            _ if suspected => LONGEST_HOLDS,
            _ => 1,
        };
        if explained || now_ms - since < policy.service.hold_ms * holds {
            continue;
        }
        match drilled {
            Some(Drilled::Named(diagnosis)) => diagnoses.push(diagnosis),
            _ if own_endpoint => {}
            _ => diagnoses.push(whole_service(service, &found.anomalies, &below)),
        }
    }
    diagnoses
}

fn whole_service(service: &str, anomalies: &[Anomaly], below: &BTreeSet<String>) -> Diagnosis {
    let own: Vec<&Anomaly> =
        anomalies.iter().filter(|a| a.service == service && a.endpoint.is_none()).collect();
    let evidence: Vec<Evidence> = own.iter().map(|a| a.evidence.clone()).collect();
    let alternatives = below.iter().map(|s| format!("{s}: called by {service}, but itself well")).collect();
    Diagnosis {
        cause: cause(CauseKind::Service, service, None),
        symptom: service.to_owned(),
        confidence: of_evidence(&evidence),
        onset_ms: evidence.iter().map(|e| e.since_ms).min().unwrap_or(0),
        evidence,
        alternatives,
        drilled: false,
    }
}

/// The strongest piece of evidence speaks; the others do not add up, for they saw the same requests.
fn of_evidence(evidence: &[Evidence]) -> f64 {
    let each = evidence.iter().map(|e| confidence(e.log_e, e.observed - e.baseline));
    each.fold(0.0, f64::max)
}

fn cause(kind: CauseKind, service: &str, endpoint: Option<&str>) -> Cause {
    let endpoint = endpoint.map(str::to_owned);
    Cause { kind, service: service.to_owned(), endpoint, version: None, ips: Vec::new() }
}

/// The highest caller that shows the trouble too, or the culprit itself.
fn highest_symptom(culprit: &str, anomalous: &BTreeSet<&str>, graph: &CallGraph) -> String {
    let callers = anomalous.iter().filter(|s| graph.below(s).contains(culprit));
    let highest = callers.max_by_key(|s| (graph.below(s).len(), std::cmp::Reverse(**s)));
    highest.map_or(culprit, |s| *s).to_owned()
}

/// One sentence of numbers and checked names.
#[must_use]
pub fn summary(cause: &Cause, evidence: &[Evidence]) -> String {
    let strongest = evidence.iter().max_by(|a, b| a.log_e.total_cmp(&b.log_e));
    let who = match (&cause.kind, &cause.endpoint) {
        (CauseKind::BadEndpoint, Some(endpoint)) => format!("endpoint {endpoint} of {}", cause.service),
        (CauseKind::Unknown, _) => format!("something about {}", cause.service),
        _ => format!("{} as a whole", cause.service),
    };
    let Some(e) = strongest else { return who };
    let (does, against) = match e.signal {
        Signal::Errors => ("fails", "usually"),
        Signal::Latency => ("is slow on", "usually"),
        Signal::PeerErrors => ("fails", "at its siblings"),
        Signal::PeerLatency => ("is slow on", "at its siblings"),
    };
    format!(
        "{who} {does} {:.1} % of its requests, {:.1} % {against} ({} requests in {} s)",
        e.observed * 100.0,
        e.baseline * 100.0,
        e.requests,
        e.window_s
    )
}
