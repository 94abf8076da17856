//! The weather at one endpoint: health, breaker, load. Shared by all workers, atomics only, and
//! carried over when the configuration or the leases change.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use protocol::id::{EndpointId, ServiceName};
use protocol::snapshot::Health;

use super::breaker::Breaker;

/// What is known of one endpoint right now.
#[derive(Debug, Default)]
pub struct EndpointState {
    /// What active checks say.
    health: AtomicU8,
    /// Requests on their way, over all workers.
    pub in_flight: AtomicU32,
    /// The breaker.
    pub breaker: Breaker,
}

impl EndpointState {
    /// What active checks say.
    #[must_use]
    pub fn health(&self) -> Health {
        match self.health.load(Ordering::Relaxed) {
            1 => Health::Healthy,
            2 => Health::Unhealthy,
            _ => Health::Unknown,
        }
    }

    /// The active check's word.
    pub fn set_health(&self, health: Health) {
        let code = match health {
            Health::Unknown => 0,
            Health::Healthy => 1,
            Health::Unhealthy => 2,
        };
        self.health.store(code, Ordering::Relaxed);
    }
}

/// All endpoints' weather, by service and endpoint. Locked only when a table is built (start,
/// reload, lease change), never per request.
#[derive(Debug, Default, Clone)]
pub struct Registry(Arc<Mutex<States>>);

type States = HashMap<(ServiceName, EndpointId), Arc<EndpointState>>;

impl Registry {
    /// The state of one endpoint, fresh if it was never seen.
    #[must_use]
    pub fn get(&self, service: &ServiceName, endpoint: &EndpointId) -> Arc<EndpointState> {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(states.entry((service.clone(), endpoint.clone())).or_default())
    }

    /// Forgets the endpoints that `keep` does not name, so that reloads do not grow it.
    pub fn retain(&self, keep: impl Fn(&ServiceName, &EndpointId) -> bool) {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        states.retain(|(service, endpoint), _| keep(service, endpoint));
    }
}
