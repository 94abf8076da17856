//! Clients that do what the population does not: asking many times as often as the busiest usually
//! does, or asking, again and again, for what is not there.
//!
//! A crowd is no attack: what is said of addresses is said only when the excess of all requests goes
//! away with them (80 %), and each of them is significant alone, or all of them are one (`botnet.rs`).
//! Whether anyone suffers is not asked here but in the diagnosis.

use std::net::IpAddr;

use super::botnet::{self, Portrait};
use crate::policies::DetectionPolicy;
use crate::state::clients::{Edge, RATE_S, Seen};
use crate::state::evidence::threshold;
use crate::state::{MeshState, share};

/// So many times the usual busiest is still usual: people come in offices.
const USUAL_FACTOR: f64 = 3.0;
/// Below so many requests a second nobody is named.
const MIN_RPS: f64 = 5.0;
/// All requests over the usual, from where on there is an excess at all.
pub(super) const SURGE: f64 = 1.3;
/// Of the excess, so much must go away with the named.
pub(super) const EXPLAINED: f64 = 0.8;
/// A scanner: so many requests a second, so many of them for nothing, for so long.
const SCAN_RPS: f64 = 10.0;
const SCAN_SHARE: f64 = 0.8;
const SCAN_S: i64 = 10;
/// Addresses a window names at most.
const LISTED: f64 = 32.0;

/// On so little evidence a client is suspected: enough to wait for more before a crowd is blamed.
const SUSPECTED: f64 = 2.0;

/// Some clients are not like the others.
#[derive(Debug, Clone, PartialEq)]
pub struct Abuse {
    /// What they ask.
    pub service: String,
    /// Who, in order.
    pub ips: Vec<IpAddr>,
    /// Requests a second, of all of them together.
    pub rate: f64,
    /// Of the usual busiest client.
    pub usual: f64,
    /// Share of the excess that goes away with them; 0 where there is none.
    pub explained: f64,
    /// Whether they mostly ask for what is not there.
    pub scanning: bool,
    /// Whether each of them is too small to be told by itself.
    pub together: bool,
    /// Since when.
    pub since_ms: i64,
    /// Evidence against chance of the least of them, or of all together; natural logarithm.
    pub log_e: f64,
    /// What the clients as a whole do by now.
    pub portrait: Portrait,
}

struct Suspect {
    ip: IpAddr,
    rate: f64,
    log_e: f64,
    since: i64,
    scanning: bool,
}

/// Services asked by clients that may turn out to explain their surge, but have been seen too shortly.
pub(super) fn suspected(mesh: &MeshState, policy: &DetectionPolicy) -> Vec<String> {
    let second = mesh.second - 1;
    let known = mesh.edges.values().filter(|edge| edge.learned_s >= policy.service.min_learned_s);
    let surging = known.filter(|edge| edge.total_rate(second) >= SURGE * edge.usual_total);
    let explained = surging.filter(|edge| {
        let suspects = edge.seen.iter().filter_map(|(ip, seen)| suspect(*ip, seen, edge, second));
        let busy = suspects.filter(|s| s.log_e + LISTED.ln() >= SUSPECTED);
        let theirs: f64 = busy.map(|s| s.rate - edge.usual_busiest).sum();
        theirs >= EXPLAINED / 2.0 * (edge.total_rate(second) - edge.usual_total)
    });
    explained.filter_map(Edge::entry).map(str::to_owned).collect()
}

/// Looks at every edge; `quiet` ones teach what is usual.
pub(super) fn detect(
    mesh: &mut MeshState,
    policy: &DetectionPolicy,
    troubled: &dyn Fn(&str) -> bool,
) -> Vec<Abuse> {
    let second = mesh.second - 1;
    let mut found = Vec::new();
    for edge in mesh.edges.values_mut() {
        let Some(service) = edge.entry().map(str::to_owned) else { continue };
        let known = edge.learned_s >= policy.service.min_learned_s;
        let judge = |judge: fn(&Edge, &str, i64, &DetectionPolicy) -> Option<Abuse>| {
            known.then(|| judge(edge, &service, second, policy)).flatten()
        };
        let abuse = judge(of_edge).or_else(|| judge(botnet::of_edge));
        if abuse.is_none() && !troubled(&service) {
            edge.learn(second);
        }
        found.extend(abuse);
    }
    found
}

fn of_edge(edge: &Edge, service: &str, second: i64, policy: &DetectionPolicy) -> Option<Abuse> {
    let needed = threshold(policy.alarms_per_service_week, LISTED as usize, policy.safety_nats);
    let suspects = edge.seen.iter().filter_map(|(ip, seen)| suspect(*ip, seen, edge, second));
    let suspects: Vec<Suspect> = suspects.filter(|s| s.log_e >= needed).collect();
    let sum = |of: &dyn Fn(&Suspect) -> f64| suspects.iter().map(of).sum::<f64>();
    let total = edge.total_rate(second);
    let excess = total - edge.usual_total;
    let explained =
        if total >= SURGE * edge.usual_total { sum(&|s| s.rate - edge.usual_busiest) / excess } else { 0.0 };
    let explains = explained >= EXPLAINED;
    let named: Vec<&Suspect> = suspects.iter().filter(|s| explains || s.scanning).collect();
    let least = named.iter().map(|s| s.log_e).fold(f64::INFINITY, f64::min);
    Some(Abuse {
        service: service.to_owned(),
        since_ms: named.iter().map(|s| s.since).min()? * 1_000,
        ips: named.iter().map(|s| s.ip).collect(),
        rate: named.iter().map(|s| s.rate).sum(),
        usual: edge.usual_busiest,
        explained: if explains { explained.min(1.0) } else { 0.0 },
        scanning: named.iter().all(|s| s.scanning),
        together: false,
        log_e: least,
        portrait: Portrait::of(edge, second),
    })
}

fn suspect(ip: IpAddr, seen: &Seen, edge: &Edge, second: i64) -> Option<Suspect> {
    let (n, _) = seen.sum(second - RATE_S + 1, second);
    let rate = n as f64 / RATE_S as f64;
    if rate < MIN_RPS {
        return None;
    }
    let (of_scan, refused) = seen.sum(second - SCAN_S + 1, second);
    let since = seen.since(second);
    let scanning = rate >= SCAN_RPS && share(refused, of_scan) >= SCAN_SHARE && second - since + 1 >= SCAN_S;
    let expected = (USUAL_FACTOR * edge.usual_busiest).max(1.0) * RATE_S as f64;
    let log_e = deviance(n as f64, expected) - LISTED.ln();
    Some(Suspect { ip, rate, log_e, since, scanning })
}

/// Half the Poisson deviance of `n` against `expected`.
pub(crate) fn deviance(n: f64, expected: f64) -> f64 {
    if n <= expected { 0.0 } else { n * (n / expected).ln() - (n - expected) }
}
