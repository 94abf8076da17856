//! One endpoint against its siblings, for failures and for slow responses: shared noise cancels.

use super::Anomaly;
use crate::domain::{Evidence, Signal};
use crate::policies::{DetectionPolicy, Floor};
use crate::state::evidence::{Cusum, Step, threshold};
use crate::state::{Endpoint, Service, Tally, share};

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
    let threshold = threshold(policy.alarms_per_service_week, service.endpoints.len(), policy.safety_nats);
    let peers = &policy.peers;
    for endpoint in service.endpoints.values_mut() {
        let fresh = std::mem::take(&mut endpoint.fresh);
        if fresh.n == 0 || endpoints < 2 {
            continue;
        }
        let errors = Step { part: fresh.failed, n: fresh.n, all_part: all.failed, all_n: all.n };
        let slow = Step { part: fresh.slow, all_part: all.slow, ..errors };
        let null = peers.null_odds_ratio;
        let error_cap = cap(threshold, &peers.errors, endpoints);
        endpoint.errors.step(second, errors, null, service.error_dispersion.factor(), error_cap);
        let slow_cap = cap(threshold, &peers.latency, endpoints);
        endpoint.latency.step(second, slow, null, service.slow_dispersion.factor(), slow_cap);
        if quiet && endpoint.errors.log_e() < threshold / 2.0 {
            service.error_dispersion.learn(errors);
        }
        if quiet && endpoint.latency.log_e() < threshold / 2.0 {
            service.slow_dispersion.learn(slow);
        }
    }
}

/// Whether any endpoint is on its way to an alarm: a symptom elsewhere should wait for it.
pub(super) fn suspects(service: &Service, policy: &DetectionPolicy) -> bool {
    let threshold = threshold(policy.alarms_per_service_week, service.endpoints.len(), policy.safety_nats);
    let half = threshold / 2.0;
    service.endpoints.values().any(|e| e.errors.log_e() > half || e.latency.log_e() > half)
}

/// The endpoints that are worse than their siblings now.
pub(super) fn anomalies(
    name: &str,
    service: &mut Service,
    second: i64,
    policy: &DetectionPolicy,
) -> Vec<Anomaly> {
    let needed = threshold(policy.alarms_per_service_week, service.endpoints.len(), policy.safety_nats);
    let mut found = Vec::new();
    let mut over = Vec::new();
    for (id, endpoint) in &service.endpoints {
        for signal in [Signal::PeerErrors, Signal::PeerLatency] {
            let cusum = evidence_of(endpoint, signal);
            if cusum.log_e() < needed {
                continue;
            }
            match judge(service, endpoint, signal, second, policy) {
                Finding::Sick(tail) => found.push(anomaly(name, id, signal, cusum.log_e(), tail, second)),
                Finding::NotEnough => {}
                Finding::Over => over.push((id.clone(), signal)),
            }
        }
    }
    for (id, signal) in over {
        if let Some(endpoint) = service.endpoints.get_mut(&id) {
            match signal {
                Signal::PeerErrors => endpoint.errors = Cusum::default(),
                _ => endpoint.latency = Cusum::default(),
            }
        }
    }
    found
}

fn evidence_of(endpoint: &Endpoint, signal: Signal) -> &Cusum {
    if signal == Signal::PeerErrors { &endpoint.errors } else { &endpoint.latency }
}

fn part(tally: Tally, signal: Signal) -> u64 {
    if signal == Signal::PeerErrors { tally.failed } else { tally.slow }
}

enum Finding {
    Sick(Tail),
    NotEnough,
    /// It was, and is no longer.
    Over,
}

/// The seconds since the change, and what they show.
#[derive(Debug, Clone, Copy)]
struct Tail {
    from: i64,
    own: f64,
    n: u64,
    count: u64,
    siblings: f64,
    bad_seconds: u32,
}

fn judge(
    service: &Service,
    endpoint: &Endpoint,
    signal: Signal,
    second: i64,
    policy: &DetectionPolicy,
) -> Finding {
    let floor = if signal == Signal::PeerErrors { &policy.peers.errors } else { &policy.peers.latency };
    if !still_there(service, endpoint, signal, second, floor) {
        let quiet = endpoint.ring.sum(second - 9, second);
        return if quiet.n > 0 && part(quiet, signal) == 0 { Finding::Over } else { Finding::NotEnough };
    }
    let Some(tail) = tail(service, endpoint, signal, second, floor) else { return Finding::NotEnough };
    let odds = |p: f64| p.min(0.999) / (1.0 - p.min(0.999));
    let two = u32::from(service.endpoints.len() == 2);
    let enough = tail.count >= floor.min_count
        && tail.bad_seconds >= floor.min_seconds + two
        && tail.own - tail.siblings >= floor.min_excess
        && odds(tail.own) >= policy.peers.min_odds_ratio * odds(tail.siblings);
    if enough { Finding::Sick(tail) } else { Finding::NotEnough }
}

/// Whether the last seconds (as many as hold ten requests) still show half the excess.
fn still_there(service: &Service, endpoint: &Endpoint, signal: Signal, second: i64, floor: &Floor) -> bool {
    let mut from = second - 2;
    while endpoint.ring.sum(from, second).n < 10 && second - from < 30 {
        from -= 1;
    }
    let own = endpoint.ring.sum(from, second);
    let others = service.attempts(from, second).without(own);
    let excess = share(part(own, signal), own.n) - share(part(others, signal), others.n);
    own.n > 0 && excess >= floor.min_excess / 2.0
}

/// The change-point: of all beginnings within the present run the one from which on the excess over
/// the siblings' share plus the floor is greatest.
fn tail(service: &Service, endpoint: &Endpoint, signal: Signal, second: i64, floor: &Floor) -> Option<Tail> {
    let graced = endpoint.graced_until_ms.div_euclid(1_000);
    let first = evidence_of(endpoint, signal).onset_second()?.max(second - 60).max(graced);
    let (mut own, mut others) = (Tally::default(), Tally::default());
    let (mut score, mut bad_seconds) = (0.0, 0);
    let mut best: Option<(f64, Tail)> = None;
    for from in (first..=second).rev() {
        let mine = endpoint.ring.at(from);
        if mine.n == 0 {
            continue;
        }
        let rest = service.attempts(from, from).without(mine);
        own.add(mine);
        others.add(rest);
        let excess = share(part(mine, signal), mine.n) - share(part(rest, signal), rest.n) - floor.min_excess;
        score += excess * mine.n as f64;
        bad_seconds += u32::from(excess > 0.0);
        if best.is_none_or(|(top, _)| score > top) {
            let tail = Tail {
                from,
                own: share(part(own, signal), own.n),
                n: own.n,
                count: part(own, signal),
                siblings: share(part(others, signal), others.n),
                bad_seconds,
            };
            best = Some((score, tail));
        }
    }
    best.map(|(_, tail)| tail)
}

fn anomaly(service: &str, endpoint: &str, signal: Signal, log_e: f64, tail: Tail, second: i64) -> Anomaly {
    Anomaly {
        service: service.to_owned(),
        endpoint: Some(endpoint.to_owned()),
        gross: false,
        evidence: Evidence {
            signal,
            series: format!("{service}/{endpoint}"),
            observed: tail.own,
            baseline: tail.siblings,
            requests: tail.n,
            window_s: u32::try_from(second - tail.from + 1).unwrap_or(1),
            since_ms: tail.from * 1_000,
            log_e,
        },
    }
}
