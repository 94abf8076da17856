//! `LiveState = derive(Settings, Leases)`: what the proxy does with the next request.
//!
//! Derived afresh from nothing whenever the configuration or the set of leases changes, then swapped
//! in at once. There is no inverse of an action to compute: undo is derivation without it.
//! Absent on purpose: health, breakers' own state, load. Those are weather, not decisions, and
//! live in [`crate::upstream::endpoint_state`].

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;
use protocol::action::ActionKind;
use protocol::id::ServiceName;
use serde_json::json;

use crate::digest;
use crate::leases::{Lease, Leases};
use crate::settings::{Endpoint, RateRule, Service, Settings};
pub use trial::Trial;
use tuning::Tuning;

pub mod blocks;
mod capacity;
mod trial;
pub mod tuning;
pub mod weights;

/// The decisions in force.
#[derive(Debug, Clone)]
pub struct LiveState {
    /// The configuration it was derived from.
    pub settings: Arc<Settings>,
    /// Services, by name.
    pub services: BTreeMap<ServiceName, Arc<LiveService>>,
    /// Client networks that are refused, aggregated, sorted, without overlap.
    pub blocks: Vec<IpNet>,
    /// SHA-256 over all of the above decisions, hex.
    pub hash: String,
}

/// One service with its leases applied.
#[derive(Debug, Clone)]
pub struct LiveService {
    /// As configured.
    pub settings: Arc<Service>,
    /// In the order of the configuration.
    pub endpoints: Vec<LiveEndpoint>,
    /// What leases tune of it.
    pub tuning: Tuning,
    /// What is refused before an endpoint is chosen.
    pub shed: Shed,
    /// How often leases let clients ask it.
    pub rates: Vec<RateRule>,
    /// Which versions are being tried, or were.
    pub trial: Trial,
}

/// One endpoint with its leases applied.
#[derive(Debug, Clone)]
pub struct LiveEndpoint {
    /// As configured.
    pub settings: Arc<Endpoint>,
    /// Share of traffic now; 0 means none.
    pub weight: u32,
    /// Out by a lease, whatever its weight.
    pub ejected: bool,
    /// A breaker held by a lease.
    pub breaker: HeldBreaker,
}

impl LiveEndpoint {
    /// Whether file and leases leave it no traffic.
    #[must_use]
    pub fn is_withdrawn(&self) -> bool {
        self.ejected || self.weight == 0 || self.breaker == HeldBreaker::Open
    }
}

/// Whether a lease holds a breaker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HeldBreaker {
    /// It runs by itself.
    #[default]
    Free,
    /// Open, whatever it sees.
    Open,
    /// Closed, whatever it sees.
    Closed,
}

/// Load that is refused.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Shed {
    /// Share of the requests, 0 to 0.9.
    pub fraction: f64,
    /// Requests in flight to the service, over all workers.
    pub max_in_flight: Option<u32>,
}

/// What the proxy does under `settings` with `leases`. Total: a lease about what is not there changes
/// nothing. An ejection wins over a weight, a trip over a reset, and of several sheds the strictest.
#[must_use]
pub fn derive(settings: &Arc<Settings>, leases: &Leases) -> LiveState {
    let applied = leases.as_applied();
    let live = |(name, service): (&ServiceName, &Arc<Service>)| {
        let own: Vec<&ActionKind> =
            applied.iter().filter(|lease| lease.request.service == *name).map(|l| &l.request.kind).collect();
        (name.clone(), Arc::new(live_service(service, leases.promotion(name), &own)))
    };
    let services: BTreeMap<_, _> = settings.services.iter().map(live).collect();
    let blocks = blocks::union(applied.iter().flat_map(|lease| blocked(lease)));
    let hash = hash(settings, &services, &blocks);
    LiveState { settings: Arc::clone(settings), services, blocks, hash }
}

fn blocked(lease: &Lease) -> impl Iterator<Item = IpNet> {
    match &lease.request.kind {
        ActionKind::BlockIps { cidrs } => cidrs.as_slice(),
        _ => &[],
    }
    .iter()
    .copied()
}

fn live_service(service: &Arc<Service>, promoted: Option<&str>, kinds: &[&ActionKind]) -> LiveService {
    let weights = weights::weights(service, promoted, kinds);
    let live = |(settings, weight): (&Arc<Endpoint>, u32)| live_endpoint(settings, weight, kinds);
    LiveService {
        settings: Arc::clone(service),
        tuning: Tuning::of(service, kinds),
        endpoints: service.endpoints.iter().zip(weights).map(live).collect(),
        shed: kinds.iter().fold(Shed::default(), |shed, kind| shed.strictest(kind)),
        rates: rates(service, kinds),
        trial: Trial::of(service, promoted, kinds),
    }
}

/// Each limit once: two leases of the same limit are one limit.
fn rates(service: &Service, kinds: &[&ActionKind]) -> Vec<RateRule> {
    let leased = kinds.iter().filter_map(|kind| match kind {
        ActionKind::LimitRate { key, rps, burst } => RateRule::leased(&service.name, key, *rps, *burst),
        _ => None,
    });
    leased.fold(Vec::new(), |mut rates, rate| {
        if !rates.contains(&rate) {
            rates.push(rate);
        }
        rates
    })
}

fn live_endpoint(settings: &Arc<Endpoint>, weight: u32, kinds: &[&ActionKind]) -> LiveEndpoint {
    let mut live =
        LiveEndpoint { settings: Arc::clone(settings), weight, ejected: false, breaker: HeldBreaker::Free };
    for kind in kinds.iter().filter(|kind| kind.endpoint() == Some(&settings.id)) {
        match kind {
            ActionKind::EjectEndpoint { .. } => live.ejected = true,
            ActionKind::TripBreaker { .. } => live.breaker = HeldBreaker::Open,
            ActionKind::ResetBreaker { .. } if live.breaker == HeldBreaker::Free => {
                live.breaker = HeldBreaker::Closed;
            }
            _ => {}
        }
    }
    live
}

impl Shed {
    fn strictest(mut self, kind: &ActionKind) -> Self {
        if let ActionKind::ShedLoad { max_in_flight, fraction } = kind {
            self.fraction = self.fraction.max(fraction.unwrap_or(0.0));
            self.max_in_flight = match (self.max_in_flight, *max_in_flight) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        self
    }
}

fn hash(settings: &Settings, services: &BTreeMap<ServiceName, Arc<LiveService>>, blocks: &[IpNet]) -> String {
    let endpoint = |e: &LiveEndpoint| {
        json!([
            e.settings.id,
            e.weight,
            e.ejected,
            e.breaker == HeldBreaker::Open,
            e.breaker == HeldBreaker::Closed
        ])
    };
    let service = |s: &LiveService| {
        let endpoints: Vec<_> = s.endpoints.iter().map(endpoint).collect();
        let mut said =
            json!({"endpoints": endpoints, "shed": [json!(s.shed.fraction), json!(s.shed.max_in_flight)]});
        // Only what leases have changed: the rest is in the configuration's own hash.
        if s.tuning != Tuning::of(&s.settings, &[]) {
            let retry = s.tuning.retry.as_ref().map(|r| json!([r.budget.ratio, r.max_attempts]));
            let timeout_ms = s.tuning.request_timeout.map(|t| t.as_millis() as u64);
            said["tuning"] = json!([s.tuning.algorithm.name(), timeout_ms, retry]);
        }
        if s.trial.preview.is_some() || s.trial.copies.is_some() {
            said["trial"] = json!([s.trial.preview, s.trial.copies]);
        }
        if !s.rates.is_empty() {
            let mut rates: Vec<String> =
                s.rates.iter().map(|r| format!("{:?} {:?}", r.key, r.gcra)).collect();
            rates.sort_unstable();
            said["rates"] = json!(rates);
        }
        said
    };
    let services: BTreeMap<&str, _> = services.iter().map(|(name, s)| (name.as_str(), service(s))).collect();
    digest::of(&json!({"config": settings.hash, "services": services, "blocks": blocks}))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
