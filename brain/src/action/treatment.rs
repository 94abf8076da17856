//! From a proposal to an operation: what of the service is treated, and by what it will be judged.

use std::collections::BTreeSet;

use ipnet::IpNet;
use protocol::action::ActionKind;

use super::operation::{Operation, Stage};
use crate::domain::{Cause, CauseKind, Evidence, Incident, Proposal, Signal};
use crate::state::{MeshState, Service, Tally, share};
use crate::verification::{Part, Yardstick, bad};

/// Seconds over which the load before is taken.
const LATELY_S: i64 = 5;
/// Seconds over which the bad share before is taken, and the requests it should hold.
const FRESH_S: i64 = 3;
const ENOUGH_REQUESTS: u64 = 50;

/// A remedy that is about to begin, without an id yet.
#[must_use]
pub fn begin(
    proposal: &Proposal,
    cause: Option<Cause>,
    by: &str,
    mesh: &MeshState,
    now_ms: i64,
) -> Operation {
    let service = mesh.services.get(&proposal.action.service);
    let part = part_of(&proposal.action.kind, cause.as_ref());
    let (yard, slow_index) = yardstick(proposal, &part, service, mesh);
    Operation {
        id: String::new(),
        proposal: proposal.id.clone(),
        incident: proposal.incident.clone(),
        action: proposal.action.clone(),
        confidence: proposal.confidence,
        reason: proposal.speakers.last().map(|s| s.says.clone()).unwrap_or_default(),
        issued_by: by.to_owned(),
        current: String::new(),
        stage: Stage::Applying,
        cause,
        part,
        yard,
        slow_index,
        waves: Vec::new(),
        treated: BTreeSet::new(),
        started_ms: now_ms,
        failed_probes: 0,
    }
}

/// What of its service an action is about.
fn part_of(kind: &ActionKind, cause: Option<&Cause>) -> Part {
    if let Some(endpoint) = kind.endpoint() {
        return Part::Endpoint(endpoint.to_string());
    }
    match (kind, cause.filter(|c| c.kind == CauseKind::BadVersion).and_then(|c| c.version.clone())) {
        (ActionKind::RollbackCanary { version }, _) => Part::Version(version.clone()),
        (ActionKind::SetWeights { .. }, Some(version)) => Part::Version(version),
        (ActionKind::BlockIps { cidrs }, _) => Part::Clients(cidrs.clone()),
        (ActionKind::LimitRate { .. }, _) => cause
            .map_or(Part::Whole, |cause| Part::Clients(cause.ips.iter().filter_map(|ip| net(ip)).collect())),
        _ => Part::Whole,
    }
}

fn net(text: &str) -> Option<IpNet> {
    let address = text.parse::<std::net::IpAddr>().map(|ip| IpNet::from(ip.to_canonical()));
    address.ok().or_else(|| text.parse().ok())
}

/// Whether the incident is about clients that the operation does not refuse yet.
#[must_use]
pub fn leaves_some_out(operation: &Operation, incident: &Incident) -> bool {
    let (Part::Clients(nets), Stage::Holding { .. }) = (&operation.part, &operation.stage) else {
        return false;
    };
    let refused = |ip: &String| net(ip).is_some_and(|ip| nets.iter().any(|net| net.contains(&ip)));
    let blocks = matches!(operation.action.kind, ActionKind::BlockIps { .. });
    blocks && !incident.cause.ips.iter().all(refused)
}

fn yardstick(
    proposal: &Proposal,
    part: &Part,
    service: Option<&Service>,
    mesh: &MeshState,
) -> (Yardstick, i32) {
    let of_shares = proposal.evidence.iter().filter(|e| e.signal.is_share());
    let strongest = of_shares.max_by(|a, b| a.log_e.total_cmp(&b.log_e));
    let since = proposal.evidence.iter().map(|e| e.since_ms.div_euclid(1_000)).min().unwrap_or(mesh.second);
    let measured = match (strongest, service) {
        (Some(evidence), service) => by_evidence(evidence, service, mesh.second),
        (None, Some(service)) => by_own_past(service, since, mesh.second),
        (None, None) => Measured { signal: Signal::Errors, before: 0.0, n: 0, expected: 0.0 },
    };
    let slow_index = service.map_or(i32::MAX, |s| match measured.signal {
        Signal::PeerErrors | Signal::PeerLatency => s.peer_slow_index,
        _ => s.baseline.slow_index(),
    });
    let nets: &[IpNet] = if let Part::Clients(nets) = part { nets } else { &[] };
    let usual = proposal.evidence.iter().find(|e| e.signal == Signal::ClientRate).map_or(0.0, |e| e.baseline);
    let yard = Yardstick {
        signal: measured.signal,
        before: measured.before,
        before_n: measured.n,
        expected: measured.expected,
        goodput_rps: service.map_or(0.0, |s| goodput(s, measured.signal, mesh.second)),
        clients_rps: mesh.clients_rps(nets).0,
        usual_clients_rps: usual * nets.len() as f64,
    };
    (yard, slow_index)
}

/// The bad share before, and the one to be expected.
struct Measured {
    signal: Signal,
    before: f64,
    n: u64,
    expected: f64,
}

/// The bad share as it is now: what led here began in the middle of what the evidence saw.
fn by_evidence(evidence: &Evidence, service: Option<&Service>, second: i64) -> Measured {
    let signal = evidence.signal;
    let since = evidence.since_ms.div_euclid(1_000);
    let seen = service.map(|s| match signal {
        Signal::PeerErrors | Signal::PeerLatency => s.attempts(since, second),
        _ => lately(s, since, second),
    });
    let seen = seen.filter(|seen| seen.n > 0);
    let (before, n) = seen
        .map_or((evidence.observed, evidence.requests), |seen| (share(bad(seen, signal), seen.n), seen.n));
    Measured { signal, before, n, expected: evidence.baseline }
}

/// The last whole seconds, as many as hold enough requests, but none before `since`.
fn lately(service: &Service, since: i64, second: i64) -> Tally {
    let last = second - 1;
    let mut from = last - FRESH_S + 1;
    while service.ring.sum(from, last).n < ENOUGH_REQUESTS && from > since {
        from -= 1;
    }
    service.ring.sum(from, last)
}

/// Where the evidence is not about shares: failures or slowness, whichever exceeds its own past more.
fn by_own_past(service: &Service, since: i64, second: i64) -> Measured {
    let seen = lately(service, since, second);
    let of = |signal, expected: f64| Measured {
        signal,
        before: share(bad(seen, signal), seen.n),
        n: seen.n,
        expected,
    };
    let errors = of(Signal::Errors, service.baseline.errors.share());
    let slow = of(Signal::Latency, service.baseline.slow.share());
    if slow.before - slow.expected > errors.before - errors.expected { slow } else { errors }
}

fn goodput(service: &Service, signal: Signal, second: i64) -> f64 {
    let sum = service.ring.sum(second - LATELY_S, second - 1);
    sum.n.saturating_sub(bad(sum, signal)) as f64 / LATELY_S as f64
}
