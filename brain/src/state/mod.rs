//! Observe: windows become a picture of the mesh. Bounded in series, deterministic, without a clock.
//!
//! Three kinds of silence are kept apart (`silence.rs`), and none is a fault.

mod baseline;
mod buckets;
pub mod clients;
mod endpoint;
pub mod evidence;
mod level;
mod memory;
mod mix;
mod pattern;
mod quarantine;
mod rate;
#[cfg(test)]
pub(crate) mod sample;
mod season;
mod series;
mod service;
mod silence;
mod tail;
mod throng;
pub mod vitals;
mod witness;

use std::collections::{BTreeMap, VecDeque};

use protocol::snapshot::ProxyStatus;
use protocol::telemetry::Window;
use sha2::{Digest, Sha256};

pub use baseline::Baseline;
pub use endpoint::Endpoint;
pub use level::Level;
pub use memory::Memory;
pub use pattern::{Departure, Pattern};
pub use quarantine::{Quarantine, Reason};
pub use rate::Rate;
pub use season::Season;
pub use series::{RING_S, Ring, Sketch, Tally, share};
pub use service::{Moment, Service, Tails, Version};
pub use silence::Hearing;
pub use tail::Tail;
pub use throng::{Manners, Stranger, Throng};
pub use witness::Witness;

use crate::policies::DetectionPolicy;

/// Windows remembered by name, so that an incident can say what it was judged from.
const MAX_TRACE: usize = 4_096;
/// How long a contradiction keeps a service in doubt.
const DOUBT_MS: i64 = 10_000;
/// A proxy not heard of for so long is forgotten.
const FORGET_MS: i64 = 3_600_000;
const MAX_PROXIES: usize = 4_096;

/// What is known of one proxy.
#[derive(Debug, Clone, Default)]
pub struct Reporter {
    /// End of its newest window.
    pub last_window_ms: i64,
    /// Windows of it that were not taken.
    pub refused: u64,
    lives: quarantine::Lives,
}

/// The mesh, as the windows show it.
#[derive(Debug, Default)]
pub struct MeshState {
    /// By name.
    pub services: BTreeMap<String, Service>,
    /// By id.
    pub proxies: BTreeMap<String, Reporter>,
    /// The clients, by the proxy that tells of them.
    pub edges: BTreeMap<String, clients::Edge>,
    /// Windows that cannot be true, by reason.
    pub quarantine: Quarantine,
    /// Cells beyond the bound on series.
    pub overflowed: u64,
    /// The newest second seen.
    pub second: i64,
    /// The newest second in which anything was odd that one number shows.
    pub odd_second: i64,
    series: usize,
    recalled: Memory,
    /// Of a life longer ago, by service.
    seasons: BTreeMap<String, Season>,
    trace: VecDeque<(i64, String)>,
}

impl MeshState {
    /// Takes one window in, unless its proxy's own status says that it does not serve what it tells of.
    pub fn admit(
        &mut self,
        window: &Window,
        status: Option<&ProxyStatus>,
        now_ms: i64,
        policy: &DetectionPolicy,
    ) {
        if status.is_some_and(|status| quarantine::is_foreign(window, status)) {
            self.set_aside(window, Reason::Foreign);
        } else {
            self.observe(window, now_ms, policy);
        }
    }

    /// Takes one window in, or sets it aside whole when it cannot be true.
    pub fn observe(&mut self, window: &Window, now_ms: i64, policy: &DetectionPolicy) {
        let at = moment(window);
        if !self.proxies.contains_key(&window.proxy) && self.proxies.len() >= MAX_PROXIES {
            self.overflowed += 1;
            return;
        }
        // One clock that is far ahead must not make all others look late.
        if let Some(reason) = quarantine::contradiction(window, now_ms) {
            self.set_aside(window, reason);
            return;
        }
        let proxy = self.proxies.entry(window.proxy.clone()).or_default();
        if proxy.lives.are_too_many(window) {
            self.set_aside(window, Reason::Lives);
            return;
        }
        proxy.last_window_ms = proxy.last_window_ms.max(at.end_ms);
        self.second = self.second.max(at.second);
        self.remember(window, at.end_ms);
        if window.clients_other.is_some() || !window.clients.is_empty() {
            if !self.edges.contains_key(&window.proxy) {
                let edge = self.new_edge(&window.proxy);
                self.edges.insert(window.proxy.clone(), edge);
            }
            self.edges.entry(window.proxy.clone()).or_default().observe(window, at.second);
        }
        for cell in &window.cells {
            self.observe_cell(cell, &window.proxy, at, policy);
        }
    }

    fn observe_cell(
        &mut self,
        cell: &protocol::telemetry::Cell,
        proxy: &str,
        at: Moment,
        policy: &DetectionPolicy,
    ) {
        let warmup_ms = i64::from(policy.warmup_s) * 1_000;
        if let Some(service) = self.services.get_mut(&cell.service)
            && service.endpoints.contains_key(&cell.endpoint)
        {
            service.observe(cell, proxy, at, warmup_ms);
            return;
        }
        if self.series >= policy.max_series {
            self.overflowed += 1;
            return;
        }
        self.series += 1;
        if !self.services.contains_key(&cell.service) {
            let service = self.new_service(&cell.service, policy);
            self.services.insert(cell.service.clone(), service);
        }
        if let Some(service) = self.services.get_mut(&cell.service) {
            service.observe(cell, proxy, at, warmup_ms);
        }
    }

    fn set_aside(&mut self, window: &Window, reason: Reason) {
        self.quarantine.count(reason);
        if self.proxies.len() < MAX_PROXIES || self.proxies.contains_key(&window.proxy) {
            self.proxies.entry(window.proxy.clone()).or_default().refused += 1;
        }
        // A proxy that tells of what is not its own does not make others doubtful.
        if reason.is_timely() && reason != Reason::Foreign {
            self.doubt(window, window.end_ms());
        }
    }

    fn doubt(&mut self, window: &Window, end_ms: i64) {
        for cell in &window.cells {
            if let Some(service) = self.services.get_mut(&cell.service) {
                service.doubted_until_ms = service.doubted_until_ms.max(end_ms + DOUBT_MS);
            }
        }
    }

    fn remember(&mut self, window: &Window, end_ms: i64) {
        let (mut requests, mut failed) = (0u64, 0u64);
        for cell in &window.cells {
            requests = requests.saturating_add(cell.requests);
            failed = failed.saturating_add(cell.failures());
        }
        let name = format!("{}/{}/{} {requests} {failed}", window.proxy, window.boot, window.seq);
        self.trace.push_back((end_ms, name));
        let old = |front: Option<&(i64, String)>| front.is_some_and(|(ms, _)| ms + RING_S * 1_000 < end_ms);
        while self.trace.len() > MAX_TRACE || old(self.trace.front()) {
            self.trace.pop_front();
        }
    }

    /// SHA-256 over the windows since `since_ms`, by name and sums: which they were can be proven later.
    #[must_use]
    pub fn windows_digest(&self, since_ms: i64) -> String {
        let mut digest = Sha256::new();
        for (_, name) in self.trace.iter().filter(|(end_ms, _)| *end_ms > since_ms) {
            digest.update(name.as_bytes());
            digest.update(b"\n");
        }
        hex::encode(digest.finalize())
    }

    /// Milliseconds since the newest window that tells of `service`; `None`: none ever did.
    #[must_use]
    pub fn telemetry_age_ms(&self, service: &str, now_ms: i64) -> Option<i64> {
        let newest = self.services.get(service)?.reporters.values().max()?;
        Some((now_ms - newest).max(0))
    }

    /// Of the requests at the edge, the share that clients in `nets` made in the last seconds.
    #[must_use]
    pub fn clients_share(&self, nets: &[ipnet::IpNet]) -> f64 {
        let (rate, total) = self.clients_rps(nets);
        if total > 0.0 { (rate / total).min(1.0) } else { 0.0 }
    }

    /// Requests a second served to clients in `nets`, and to all, at the edge in the last seconds.
    #[must_use]
    pub fn clients_rps(&self, nets: &[ipnet::IpNet]) -> (f64, f64) {
        let second = self.second - 1;
        let of = |edge: &clients::Edge| (edge.rate_of(nets, second), edge.total_rate(second));
        self.edges.values().map(of).fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// Requests a second at the edge in the last seconds, and usually (0 before it is known).
    #[must_use]
    pub fn edge_rps(&self) -> (f64, f64) {
        let second = self.second - 1;
        self.edges.values().fold((0.0, 0.0), |sum, e| (sum.0 + e.total_rate(second), sum.1 + e.usual_total))
    }

    /// Requests a second that clients make beyond `rps` each, in the last seconds.
    #[must_use]
    pub fn clients_above(&self, rps: f64) -> f64 {
        let second = self.second - 1;
        self.edges.values().map(|edge| edge.rate_above(rps, second)).sum()
    }

    /// Learns from what is quiet, resets what counts as slow, and forgets who is gone.
    pub fn settle(&mut self, now_ms: i64, policy: &DetectionPolicy) {
        let second = self.second;
        for service in self.services.values_mut() {
            service.learn(second);
            service.set_peer_slow_index(second, &policy.peers);
        }
        self.forget(now_ms);
    }

    fn forget(&mut self, now_ms: i64) {
        let recent = |ms: i64| ms + FORGET_MS > now_ms;
        self.proxies.retain(|_, proxy| recent(proxy.last_window_ms));
        let proxies = &self.proxies;
        self.edges.retain(|proxy, _| proxies.contains_key(proxy));
        for service in self.services.values_mut() {
            service.endpoints.retain(|_, endpoint| recent(endpoint.traffic_ms));
            let endpoints = &service.endpoints;
            service.versions.retain(|version, _| endpoints.values().any(|e| e.version == *version));
            service.callers.retain(|_, ms| recent(*ms));
            service.reporters.retain(|_, ms| recent(*ms));
            service.witnesses.retain(|_, witness| recent(witness.end_ms));
            let callers = &service.callers;
            service.edges.retain(|caller, _| caller.is_empty() || callers.contains_key(caller));
        }
        self.services.retain(|_, service| !service.endpoints.is_empty());
        self.series = self.services.values().map(|s| s.endpoints.len()).sum();
    }
}

fn moment(window: &Window) -> Moment {
    let end_ms = window.end_ms();
    let middle = window.start_ms.saturating_add(i64::from(window.duration_ms) / 2);
    Moment { start_ms: window.start_ms, end_ms, second: middle.div_euclid(1_000) }
}

#[cfg(test)]
mod exceedance_tests;
