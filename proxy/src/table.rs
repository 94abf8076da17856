//! What a worker reads for each request: the live state joined with each endpoint's weather, behind
//! one atomic pointer.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use protocol::id::ServiceName;

use crate::clock;
use crate::live_state::{LiveEndpoint, LiveService, LiveState};
use crate::security::authentication::Authenticator;
use crate::security::rate_limit::Rates;
use crate::upstream::balancer::Lookups;
use crate::upstream::endpoint_state::{EndpointState, Registry};
use crate::upstream::gate::Gate;
use crate::upstream::sessions::Secret;

/// The live state, ready to be asked.
#[derive(Debug)]
pub struct Table {
    /// The decisions.
    pub live: Arc<LiveState>,
    /// Services with their endpoints' weather.
    pub services: BTreeMap<ServiceName, Arc<ServiceTable>>,
    /// How often clients may ask; absent: as often as they like.
    pub rates: Option<Arc<Rates>>,
    /// Who may be asked who a client is; absent: nobody is asked.
    pub authenticator: Option<Arc<Authenticator>>,
    /// Counts up with every swap, so that a worker knows when its own derived data is stale.
    pub generation: u64,
}

/// One service, ready to be asked.
#[derive(Debug)]
pub struct ServiceTable {
    /// Its decisions.
    pub live: Arc<LiveService>,
    /// Its endpoints, in the order of the configuration.
    pub endpoints: Vec<EndpointHandle>,
    /// Its places; absent: as many as come.
    pub gate: Option<Arc<Gate>>,
    /// Tables for hashing, shared by all workers.
    pub lookups: Lookups,
    /// What sessions' cookies are made with.
    pub secret: Secret,
}

/// One endpoint, ready to be asked.
#[derive(Debug, Clone)]
pub struct EndpointHandle {
    /// Its decisions.
    pub live: LiveEndpoint,
    /// Its weather.
    pub state: Arc<EndpointState>,
}

/// The one pointer that workers load per request and control swaps.
pub type SharedTable = Arc<ArcSwap<Table>>;

impl Table {
    /// Joins decisions and weather. Who comes, or comes back, is told so.
    #[must_use]
    pub fn new(live: Arc<LiveState>, registry: &Registry, generation: u64) -> Self {
        let now_ms = clock::now_ms();
        let join = |(name, service): (&ServiceName, &Arc<LiveService>)| {
            let known = registry.knows(name);
            let limits = service.settings.limits.as_ref();
            let connections = limits.and_then(|limits| limits.max_endpoint_connections);
            let handle = |endpoint: &LiveEndpoint| {
                let state = registry.get(name, &endpoint.settings.id, known, now_ms);
                state.seats.allow(connections, live.settings.server.workers);
                state.set_withdrawn(endpoint.is_withdrawn(), now_ms);
                EndpointHandle { live: endpoint.clone(), state }
            };
            let endpoints = service.endpoints.iter().map(handle).collect();
            let (lookups, secret) = (registry.lookups.clone(), registry.secret.clone());
            let gate = limits.map(|_| registry.gate(name));
            gate.iter().for_each(|gate| gate.follow(limits));
            let service = Arc::clone(service);
            (name.clone(), Arc::new(ServiceTable { live: service, endpoints, gate, lookups, secret }))
        };
        let services = live.services.iter().map(join).collect();
        let rates = registry.rates.rates(&live);
        let authenticator = Authenticator::new(&live.settings.security, &registry.keys);
        Self { live, services, rates, authenticator, generation }
    }
}
