//! Diagnose: anomalies become culprits. One version, when most endpoints that run it are worse than the
//! others; one endpoint, when it is worse than its siblings and most of them are well; some clients, when
//! the trouble goes away with them; otherwise the deepest service that is unwell, of itself or of its
//! load; something that several services share and no proxy sees, when they fall sick together; `unknown`
//! when witnesses disagree.

mod book;
mod call_graph;
mod confidence;
mod dependency;
mod drill;
mod endpoint;
mod load;
mod origin;
mod retries;
mod unexplained;
mod version;
mod witnesses;

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

/// And so many while its load has just risen: what comes of a crowd and what of a few clients shows in seconds.
const HOLDS_FOR_A_SURGE: i64 = 4;
/// The load, over the usual, that is a rise.
const SURGE: f64 = 1.5;
/// How young a version is whose trouble is told apart from its service's before the service is named, and how
/// many holds that may take.
const YOUNG_MS: i64 = 600_000;
const HOLDS_FOR_A_VERSION: i64 = 8;

/// How sure a diagnosis is at most that another witness contradicts.
const DISPUTED: f64 = 0.5;

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
        found.anomalies.iter().filter(|a| !a.is_whole()).map(|a| &a.service).collect();
    for (abuse, covered) in load::abusers(found, &graph, known) {
        diagnoses.push(abuse);
        culprits.extend(covered);
    }
    for service in sick {
        let named = match version::diagnose(service, &found.anomalies, mesh, now_ms) {
            Some(version) => vec![version],
            None => endpoint::diagnose(service, &found.anomalies, mesh, policy),
        };
        culprits.extend(named.iter().map(|d| d.cause.service.clone()));
        diagnoses.extend(named);
    }
    let named: Vec<Cause> = diagnoses.iter().map(|d| d.cause.clone()).collect();
    let of_services = deepest_services(found, mesh, &graph, waiting, &culprits, known, now_ms, policy);
    diagnoses.extend(of_services.into_iter().filter(|d| !named.contains(&d.cause)));
    let named = diagnoses.iter().map(|d| d.cause.service.clone()).collect();
    diagnoses.extend(unexplained::diagnose(&found.departures, &named));
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
        found.anomalies.iter().filter(|a| a.is_whole()).map(|a| &a.service).collect();
    waiting.retain(|service, _| unwell.contains(service));
    let mut diagnoses = Vec::new();
    for service in &unwell {
        let since = *waiting.entry((*service).clone()).or_insert(now_ms);
        let below = graph.below(service);
        let explained = below.iter().any(|s| culprits.contains(s) || unwell.contains(s))
            && !origin::fails_of_itself(service, &found.anomalies, mesh, graph);
        let own_endpoint = match known.get(*service) {
            Some(as_a_whole) => !as_a_whole,
            None => culprits.contains(*service),
        };
        let suspected = found.suspicious.iter().any(|s| s == *service || below.contains(s))
            || found.maybe_abused.iter().any(|s| s == *service);
        let drilled = drill::one_part(service, &found.anomalies, mesh, policy);
        let holds = match drilled {
            Some(Drilled::Perhaps) => HOLDS_FOR_ONE,
            _ if version::may_explain(service, mesh, now_ms, YOUNG_MS) => HOLDS_FOR_A_VERSION,
            _ if suspected => LONGEST_HOLDS,
            _ if load::rises(service, mesh, SURGE) => HOLDS_FOR_A_SURGE,
            _ => 1,
        };
        if explained || now_ms - since < policy.service.hold_ms * holds {
            continue;
        }
        match drilled {
            Some(Drilled::Named(diagnosis)) => diagnoses.push(contested(diagnosis, mesh, policy)),
            _ if own_endpoint => {}
            _ => {
                let whole = whole_service(service, &found.anomalies, &below);
                diagnoses.push(contested(load::name_it(whole, found, mesh), mesh, policy));
            }
        }
    }
    diagnoses
}

/// What witnesses contradict is `unknown`; attempts made again stand beside the rest of the evidence.
fn contested(mut diagnosis: Diagnosis, mesh: &MeshState, policy: &DetectionPolicy) -> Diagnosis {
    let Some(service) = mesh.services.get(&diagnosis.cause.service) else { return diagnosis };
    let of_endpoint = diagnosis.cause.endpoint.as_ref().and_then(|id| service.endpoints.get(id));
    let disputed = match of_endpoint {
        Some(endpoint) => endpoint::witnesses_disagree(endpoint, &diagnosis.evidence, policy),
        None => witnesses::disagree(service, &diagnosis.evidence, mesh.second, policy),
    };
    if disputed {
        diagnosis.cause.kind = CauseKind::Unknown;
        diagnosis.cause.version = None;
        diagnosis.confidence = diagnosis.confidence.min(DISPUTED);
        diagnosis.alternatives.push("the path of some proxies: others that use it see it well".to_owned());
    }
    diagnosis.evidence.extend(retries::evidence(&diagnosis.cause.service, service, mesh.second));
    diagnosis
}

fn whole_service(service: &str, anomalies: &[Anomaly], below: &BTreeSet<String>) -> Diagnosis {
    let own: Vec<&Anomaly> = anomalies.iter().filter(|a| a.service == service && a.is_whole()).collect();
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
    let of_shares = evidence.iter().filter(|e| e.signal.is_share());
    let each = of_shares.map(|e| confidence(e.log_e, e.observed - e.baseline));
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
    let who = match (&cause.kind, &cause.endpoint, &cause.version) {
        (CauseKind::BadEndpoint, Some(endpoint), _) => format!("endpoint {endpoint} of {}", cause.service),
        (CauseKind::BadVersion, _, Some(version)) => format!("version {version} of {}", cause.service),
        (CauseKind::AbusiveClients, ..) => return of_clients(cause, evidence),
        (CauseKind::Overload, ..) => format!("{}, under {} its usual load,", cause.service, times(evidence)),
        (CauseKind::Dependency, ..) => {
            format!("something beyond {}", dependency::services(evidence).join(" and "))
        }
        (CauseKind::Unknown, ..) => format!("something about {}", cause.service),
        _ => format!("{} as a whole", cause.service),
    };
    if let [e] = evidence
        && e.signal == Signal::Vitals
    {
        return unexplained::summary(e);
    }
    let of_shares = evidence.iter().filter(|e| e.signal.is_share());
    let Some(e) = of_shares.max_by(|a, b| a.log_e.total_cmp(&b.log_e)) else { return who };
    let (does, against) = match e.signal {
        Signal::PeerErrors => ("fails", "at its siblings"),
        Signal::PeerLatency => ("is slow on", "at its siblings"),
        Signal::Latency => ("is slow on", "usually"),
        _ => ("fails", "usually"),
    };
    format!(
        "{who} {does} {:.1} % of its requests, {:.1} % {against} ({} requests in {} s){}",
        e.observed * 100.0,
        e.baseline * 100.0,
        e.requests,
        e.window_s,
        of_retries(evidence)
    )
}

fn of_retries(evidence: &[Evidence]) -> String {
    let storm = evidence.iter().find(|e| e.signal == Signal::Retries);
    storm.map_or_else(String::new, |e| format!("; retries make it {:.1} attempts a request", e.observed))
}

fn times(evidence: &[Evidence]) -> String {
    let rate = evidence.iter().find(|e| e.signal == Signal::Rate);
    rate.map_or_else(String::new, |e| format!("{:.1} times", e.observed / e.baseline.max(0.1)))
}

fn of_clients(cause: &Cause, evidence: &[Evidence]) -> String {
    let (n, service) = (cause.ips.len(), &cause.service);
    let clients = if n == 1 { "1 client asks".to_owned() } else { format!("{n} clients ask") };
    let Some(e) = evidence.first() else { return format!("{clients} too much of {service}") };
    let (rate, usual) = (e.observed, e.baseline);
    format!(
        "{clients} {service} {rate:.0} times a second together, where the busiest usually asks {usual:.1} times"
    )
}
