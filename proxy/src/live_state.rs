//! `LiveState = derive(Settings, Leases)`: what the proxy does with the next request.
//!
//! Derived afresh from nothing whenever the configuration or the set of leases changes, then swapped
//! in at once. There is no inverse of an action to compute: undo is derivation without it.
//! Absent on purpose: health, breakers' own state, load. Those are weather, not decisions, and
//! live in [`crate::upstream::endpoint_state`].

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;
use protocol::id::ServiceName;

use crate::settings::{Endpoint, Service, Settings};

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
    /// What is refused before an endpoint is chosen.
    pub shed: Shed,
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
