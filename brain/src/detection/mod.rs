//! Detect: the picture of the mesh becomes anomalies, each with its evidence. Says what is odd,
//! never who is to blame.

mod botnet;
mod clients;
mod errors;
mod latency;
mod own_past;
mod part;
mod peers;
mod rate;
mod vitals;

use std::cmp::Ordering::Equal;
use std::collections::BTreeMap;

pub use botnet::Portrait;
pub use clients::Abuse;
pub(crate) use clients::deviance;
pub use rate::Surge;

use crate::domain::{Evidence, Signal};
use crate::policies::DetectionPolicy;
use crate::state::evidence::threshold;
use crate::state::{MeshState, Service, Tail};

/// Something is odd.
#[derive(Debug, Clone, PartialEq)]
pub struct Anomaly {
    /// Where.
    pub service: String,
    /// Which part of it.
    pub of: Of,
    /// Whether most requests fail: nobody needs a baseline for that.
    pub gross: bool,
    /// The numbers.
    pub evidence: Evidence,
}

/// Which part of a service is odd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Of {
    /// All of it, against its own past.
    Whole,
    /// One endpoint, against its siblings.
    Endpoint(String),
    /// One version, against the others.
    Version(String),
}

impl Anomaly {
    /// Whether the service as a whole is odd.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.of == Of::Whole
    }

    /// The endpoint that is odd.
    #[must_use]
    pub fn endpoint(&self) -> Option<&str> {
        match &self.of {
            Of::Endpoint(id) => Some(id),
            _ => None,
        }
    }
}

/// What one look at the mesh found.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// By service, endpoints first.
    pub anomalies: Vec<Anomaly>,
    /// Services in which an endpoint or a version is half way to an alarm.
    pub suspicious: Vec<String>,
    /// Services that are asked much more than usual.
    pub surges: BTreeMap<String, Surge>,
    /// Services whose surge some clients may turn out to explain.
    pub maybe_abused: Vec<String>,
    /// Clients that are not like the others.
    pub abuse: Vec<Abuse>,
    /// Services that left their pattern, where nothing else is odd.
    pub departures: Vec<Anomaly>,
}

impl Findings {
    /// Whether no single number is odd.
    fn is_quiet(&self) -> bool {
        let Self { anomalies, suspicious, surges, maybe_abused, abuse, .. } = self;
        anomalies.is_empty()
            && suspicious.is_empty()
            && surges.is_empty()
            && maybe_abused.is_empty()
            && abuse.is_empty()
    }
}

/// Looks at everything that is new; `troubled` services do not teach their baselines.
pub fn detect(
    mesh: &mut MeshState,
    now_ms: i64,
    policy: &DetectionPolicy,
    troubled: &dyn Fn(&str) -> bool,
) -> Findings {
    let second = mesh.second;
    let mut found = Findings::default();
    for (name, service) in &mut mesh.services {
        peers::step(service, second, policy, !troubled(name));
        let before = found.anomalies.len();
        found.anomalies.extend(peers::anomalies(name, service, second, policy));
        if peers::suspects(service, policy) {
            found.suspicious.push(name.clone());
        }
        let needed = threshold(policy.alarms_per_service_week, 3, policy.safety_nats);
        let min_learned_s = policy.service.min_learned_s;
        let surge = rate::detect(service, second - 1, needed, min_learned_s);
        found.surges.extend(surge.map(|surge| (name.clone(), surge)));
        found.anomalies.extend(against_its_past(name, service, second, needed, policy));
        let new = found.anomalies.get(before..).unwrap_or_default();
        if !new.is_empty() || troubled(name) {
            service.frozen_until_ms = now_ms + 5_000;
            let since = new.iter().map(|a| a.evidence.since_ms.div_euclid(1_000)).min();
            service.trouble_second = service.trouble_second.or(since);
        } else {
            service.trouble_second = None;
        }
    }
    found.maybe_abused = clients::suspected(mesh, policy);
    found.abuse = clients::detect(mesh, policy, troubled);
    if !found.is_quiet() {
        mesh.odd_second = second;
    }
    found.departures = vitals::step(mesh, now_ms, troubled, policy);
    found
}

/// Failures and slowness of the whole, where there is evidence enough.
fn against_its_past(
    name: &str,
    service: &mut Service,
    second: i64,
    needed: f64,
    policy: &DetectionPolicy,
) -> Vec<Anomaly> {
    // The newest second may still be filling: the one before is judged too, whichever shows more.
    let strongest = |detect: &dyn Fn(i64) -> Option<Anomaly>| {
        let either = [second, second - 1].into_iter().filter_map(detect);
        either.max_by(|a, b| {
            (a.gross, a.evidence.log_e).partial_cmp(&(b.gross, b.evidence.log_e)).unwrap_or(Equal)
        })
    };
    let failures = strongest(&|s| errors::detect(name, service, s, &policy.service));
    let slowness = strongest(&|s| latency::detect(name, service, s, &policy.service));
    let budget = policy.alarms_per_service_week;
    let tails = &mut service.tails;
    let both = [(failures, &mut tails.errors), (slowness, &mut tails.latency)];
    both.into_iter().filter_map(|(anomaly, tail)| enough(anomaly, tail, second, needed, budget)).collect()
}

/// The anomaly, if it stands out of what quiet times bring about too.
fn enough(
    anomaly: Option<Anomaly>,
    tail: &mut Tail,
    second: i64,
    needed: f64,
    budget: f64,
) -> Option<Anomaly> {
    let log_e = anomaly.as_ref().map_or(0.0, |a| a.evidence.log_e);
    let asked = if log_e >= needed { tail.threshold(budget, needed) } else { needed };
    let alarm = anomaly.as_ref().is_some_and(|a| a.gross || log_e >= asked);
    tail.watch(second, log_e, alarm);
    anomaly.filter(|_| alarm)
}

fn service_anomaly(
    name: &str,
    signal: Signal,
    found: own_past::Finding,
    gross: bool,
    second: i64,
) -> Anomaly {
    Anomaly {
        service: name.to_owned(),
        of: Of::Whole,
        gross,
        evidence: Evidence {
            signal,
            series: name.to_owned(),
            observed: found.observed,
            baseline: found.baseline,
            requests: found.n,
            window_s: u32::try_from(found.window_s).unwrap_or(1),
            since_ms: (second - found.window_s + 1) * 1_000,
            log_e: found.log_e,
        },
    }
}
