//! One endpoint against its siblings, one version against the others, for failures and for slow responses:
//! shared noise cancels.

use std::collections::BTreeMap;

use super::part::{Finding, Part, Tail};
use super::{Anomaly, Of};
use crate::domain::{Evidence, Signal};
use crate::policies::{DetectionPolicy, Floor};
use crate::state::evidence::{Cusum, Dispersion, Step, threshold};
use crate::state::{Service, Tails, Tally};

/// Of the threshold, what one second may bring: so many seconds are needed at least.
fn cap(threshold: f64, floor: &Floor, endpoints: usize) -> f64 {
    // Of two, it takes a second more to tell who is the sick one.
    let seconds = f64::from(floor.min_seconds) + if endpoints == 2 { 1.0 } else { 0.0 };
    (threshold / seconds * 1.25).max(threshold * 0.15)
}

/// Feeds what is fresh into every endpoint's evidence.
pub(super) fn step(service: &mut Service, second: i64, policy: &DetectionPolicy, quiet: bool) {
    let mut all = Tally::default();
    service.endpoints.values().for_each(|e| all.add(e.fresh));
    if all.n == 0 {
        return;
    }
    let endpoints = service.endpoints.values().filter(|e| e.fresh.n > 0).count();
    step_versions(service, second, policy, all);
    let threshold = threshold(policy.alarms_per_service_week, service.endpoints.len(), policy.safety_nats);
    let peers = &policy.peers;
    for endpoint in service.endpoints.values_mut() {
        let fresh = std::mem::take(&mut endpoint.fresh);
        if fresh.n == 0 || endpoints < 2 {
            continue;
        }
        let (errors, slow) = steps(fresh, all);
        let null = peers.null_odds_ratio;
        let error_cap = cap(threshold, &peers.errors, endpoints);
        endpoint.errors.step(second, errors, null, service.error_dispersion.factor(), error_cap);
        let slow_cap = cap(threshold, &peers.latency, endpoints);
        endpoint.latency.step(second, slow, null, service.slow_dispersion.factor(), slow_cap);
        if quiet && !endpoint.errors.exceeds(threshold / 2.0) {
            service.error_dispersion.learn(errors);
        }
        if quiet && !endpoint.latency.exceeds(threshold / 2.0) {
            service.slow_dispersion.learn(slow);
        }
    }
}

fn steps(fresh: Tally, all: Tally) -> (Step, Step) {
    let errors = Step { part: fresh.failed, n: fresh.n, all_part: all.failed, all_n: all.n };
    (errors, Step { part: fresh.slow, all_part: all.slow, ..errors })
}

/// The same for versions, while there are several: what their endpoints did since the last look.
fn step_versions(service: &mut Service, second: i64, policy: &DetectionPolicy, all: Tally) {
    let mut fresh: BTreeMap<&str, Tally> = BTreeMap::new();
    for endpoint in service.endpoints.values().filter(|e| e.fresh.n > 0) {
        fresh.entry(&endpoint.version).or_default().add(endpoint.fresh);
    }
    let several = fresh.len();
    if several < 2 {
        return;
    }
    let threshold = threshold(policy.alarms_per_service_week, several, policy.safety_nats);
    let peers = &policy.peers;
    let factors = [service.error_dispersion, service.slow_dispersion].map(Dispersion::factor);
    for (label, fresh) in fresh {
        let Some(version) = service.versions.get_mut(label) else { continue };
        let (errors, slow) = steps(fresh, all);
        let null = peers.null_odds_ratio;
        version.errors.step(second, errors, null, factors[0], cap(threshold, &peers.errors, several));
        version.latency.step(second, slow, null, factors[1], cap(threshold, &peers.latency, several));
    }
}

/// Whether any endpoint or version is on its way to an alarm: a symptom elsewhere should wait for it.
pub(super) fn suspects(service: &Service, policy: &DetectionPolicy) -> bool {
    let threshold = threshold(policy.alarms_per_service_week, service.endpoints.len(), policy.safety_nats);
    let half = threshold / 2.0;
    let versions = service.versions.values().filter(|_| service.versions.len() > 1);
    service.endpoints.values().any(|e| e.errors.exceeds(half) || e.latency.exceeds(half))
        || versions.into_iter().any(|v| v.errors.exceeds(half) || v.latency.exceeds(half))
}

/// The endpoints and versions that are worse than their siblings now.
pub(super) fn anomalies(
    name: &str,
    service: &mut Service,
    second: i64,
    policy: &DetectionPolicy,
) -> Vec<Anomaly> {
    let mut looked =
        Looked { of: name, second, policy, found: Vec::new(), over: Vec::new(), peaks: [0.0; 2] };
    let needed = |parts: usize| threshold(policy.alarms_per_service_week, parts, policy.safety_nats);
    let of_endpoints = needed(service.endpoints.len());
    let stands_out = |errors: &Cusum, latency: &Cusum, needed: f64| {
        // Below half of what is needed nothing is of interest, not even to the tail.
        errors.exceeds(needed / 2.0) || latency.exceeds(needed / 2.0)
    };
    for (id, endpoint) in &service.endpoints {
        if !stands_out(&endpoint.errors, &endpoint.latency, of_endpoints) {
            continue;
        }
        let (part, of) = (Part::endpoint(service, endpoint), Of::Endpoint(id.clone()));
        looked.at(&part, of, of_endpoints, &service.tails);
    }
    let of_versions = needed(service.versions.len());
    for (label, version) in service.versions.iter().filter(|_| service.versions.len() > 1) {
        if !stands_out(&version.errors, &version.latency, of_versions) {
            continue;
        }
        let (part, of) = (Part::version(service, label, version), Of::Version(label.clone()));
        looked.at(&part, of, of_versions, &service.tails);
    }
    let Looked { found, over, peaks, .. } = looked;
    for (of, signal) in over {
        forget(service, &of, signal);
    }
    let alarm = |signal| found.iter().any(|a: &Anomaly| a.evidence.signal == signal);
    let (errors, latency) = (alarm(Signal::PeerErrors), alarm(Signal::PeerLatency));
    service.tails.peer_errors.watch(second, peaks[0], errors);
    service.tails.peer_latency.watch(second, peaks[1], latency);
    found
}

/// One look at all parts of a service.
struct Looked<'a> {
    of: &'a str,
    second: i64,
    policy: &'a DetectionPolicy,
    found: Vec<Anomaly>,
    over: Vec<(Of, Signal)>,
    /// The greatest evidence that passed the floors, of failures and of slowness.
    peaks: [f64; 2],
}

impl Looked<'_> {
    fn at(&mut self, part: &Part<'_>, of: Of, needed: f64, tails: &Tails) {
        let both = [(Signal::PeerErrors, &tails.peer_errors), (Signal::PeerLatency, &tails.peer_latency)];
        for ((signal, tail), n) in both.into_iter().zip(0..) {
            let log_e = part.evidence(signal).log_e();
            if log_e <= needed / 2.0 {
                continue;
            }
            match part.judge(signal, self.second, self.policy) {
                Finding::Sick(tail_of_it) => {
                    self.peaks[n] = self.peaks[n].max(log_e);
                    let budget = self.policy.alarms_per_service_week;
                    if log_e >= needed && log_e >= tail.threshold(budget, needed) {
                        self.found.push(anomaly(self.of, of.clone(), signal, log_e, tail_of_it, self.second));
                    }
                }
                Finding::Over if log_e >= needed => self.over.push((of.clone(), signal)),
                Finding::Over | Finding::NotEnough => {}
            }
        }
    }
}

fn forget(service: &mut Service, of: &Of, signal: Signal) {
    let (errors, latency) = match of {
        Of::Endpoint(id) => match service.endpoints.get_mut(id) {
            Some(endpoint) => (&mut endpoint.errors, &mut endpoint.latency),
            None => return,
        },
        Of::Version(label) => match service.versions.get_mut(label) {
            Some(version) => (&mut version.errors, &mut version.latency),
            None => return,
        },
        Of::Whole => return,
    };
    *(if signal == Signal::PeerErrors { errors } else { latency }) = Cusum::default();
}

fn anomaly(service: &str, of: Of, signal: Signal, log_e: f64, tail: Tail, second: i64) -> Anomaly {
    let series = match &of {
        Of::Endpoint(part) | Of::Version(part) => format!("{service}/{part}"),
        Of::Whole => service.to_owned(),
    };
    Anomaly {
        service: service.to_owned(),
        of,
        gross: false,
        evidence: Evidence {
            signal,
            series,
            observed: tail.own,
            baseline: tail.siblings,
            requests: tail.n,
            window_s: u32::try_from(second - tail.from + 1).unwrap_or(1),
            since_ms: tail.from * 1_000,
            log_e,
        },
    }
}
