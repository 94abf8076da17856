//! The weather at one endpoint: health, breaker, load. Shared by all workers, atomics only, and
//! carried over when the configuration or the leases change.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use protocol::id::{EndpointId, ServiceName};
use protocol::snapshot::Health;

use super::balancer::Lookups;
use super::breaker::Breaker;
use super::ewma::Ewma;
use super::gate::Gate;
use super::outlier::Tally;
use super::seats::Seats;
use super::sessions::Secret;
use super::weather;
use crate::security::authentication::KeyStores;
use crate::security::rate_limit::Memory;

/// What is known of one endpoint right now.
#[derive(Debug, Default)]
pub struct EndpointState {
    /// What active checks say.
    health: AtomicU8,
    /// Requests on their way, over all workers.
    pub in_flight: AtomicU32,
    /// The breaker.
    pub breaker: Breaker,
    /// How long it lets one wait; kept where an algorithm asks for it.
    pub latency: Ewma,
    /// Connections to it, over all workers.
    pub seats: Arc<Seats>,
    /// What is counted of it as an outlier, and whether it is out as one.
    pub outlier: Tally,
    /// Since when it is (again) there, ms; 0: always.
    since_ms: AtomicU64,
    /// Whether decisions have it out.
    withdrawn: AtomicBool,
}

impl EndpointState {
    /// One that has come at `now_ms`, beside others.
    #[must_use]
    pub fn new_at(now_ms: u64) -> Self {
        Self { since_ms: AtomicU64::new(now_ms), ..Self::default() }
    }

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
    pub fn set_health(&self, health: Health, now_ms: u64) {
        let code = match health {
            Health::Unknown => 0,
            Health::Healthy => 1,
            Health::Unhealthy => 2,
        };
        if self.health.swap(code, Ordering::Relaxed) == 2 && code != 2 {
            self.returned(now_ms);
        }
        weather::changed();
    }

    /// Whether file and leases have it out, as of now.
    pub fn set_withdrawn(&self, withdrawn: bool, now_ms: u64) {
        if self.withdrawn.swap(withdrawn, Ordering::Relaxed) && !withdrawn {
            self.returned(now_ms);
        }
    }

    /// It was out, and is back: a slow start begins.
    pub fn returned(&self, now_ms: u64) {
        self.since_ms.store(now_ms, Ordering::Relaxed);
        weather::changed();
    }

    /// Since when it is there, ms; 0: always.
    #[must_use]
    pub fn since_ms(&self) -> u64 {
        self.since_ms.load(Ordering::Relaxed)
    }
}

/// All endpoints' weather, by service and endpoint. Locked only when a table is built (start,
/// reload, lease change), never per request.
#[derive(Debug, Clone)]
pub struct Registry {
    states: Arc<Mutex<States>>,
    gates: Arc<Mutex<HashMap<ServiceName, Arc<Gate>>>>,
    /// Clients' buckets.
    pub rates: Memory,
    /// Keys of those who vouch for clients.
    pub keys: KeyStores,
    /// What sessions' cookies are made with.
    pub secret: Secret,
    /// Tables for hashing, shared by whoever wants the same.
    pub lookups: Lookups,
}

type States = HashMap<ServiceName, HashMap<EndpointId, Arc<EndpointState>>>;

impl Registry {
    /// Empty.
    #[must_use]
    pub fn new(secret: Secret) -> Self {
        Self {
            states: Arc::default(),
            gates: Arc::default(),
            rates: Memory::default(),
            keys: KeyStores::default(),
            secret,
            lookups: Lookups::default(),
        }
    }

    /// The state of one endpoint, fresh if it was never seen. One that comes to a service which has
    /// endpoints `before` this table starts slowly; a service's first endpoints do not.
    #[must_use]
    pub fn get(
        &self,
        service: &ServiceName,
        endpoint: &EndpointId,
        before: bool,
        now_ms: u64,
    ) -> Arc<EndpointState> {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let states = states.entry(service.clone()).or_default();
        let fresh = || Arc::new(EndpointState::new_at(if before { now_ms } else { 0 }));
        Arc::clone(states.entry(endpoint.clone()).or_insert_with(fresh))
    }

    /// The gate of a service, fresh if it was never wanted.
    #[must_use]
    pub fn gate(&self, service: &ServiceName) -> Arc<Gate> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(gates.entry(service.clone()).or_default())
    }

    /// Whether any endpoint of the service was seen.
    #[must_use]
    pub fn knows(&self, service: &ServiceName) -> bool {
        self.states.lock().unwrap_or_else(PoisonError::into_inner).contains_key(service)
    }

    /// Forgets the endpoints that `keep` does not name, so that reloads do not grow it.
    pub fn retain(&self, keep: impl Fn(&ServiceName, &EndpointId) -> bool) {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        states.retain(|service, endpoints| {
            endpoints.retain(|endpoint, _| keep(service, endpoint));
            !endpoints.is_empty()
        });
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        gates.retain(|service, _| states.contains_key(service));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn names(endpoint: &str) -> (ServiceName, EndpointId) {
        (ServiceName::new("cart").unwrap(), EndpointId::new(endpoint).unwrap())
    }

    #[test]
    fn who_comes_to_others_or_back_starts_afresh_and_who_was_first_does_not() {
        let registry = Registry::new(Secret::new([0; 32]));
        let ((cart, first), (_, second)) = (names("h:1"), names("h:2"));
        let first = registry.get(&cart, &first, registry.knows(&cart), 5);
        let second = registry.get(&cart, &second, registry.knows(&cart), 7);
        assert_eq!((first.since_ms(), second.since_ms()), (0, 7));
        first.set_health(Health::Unhealthy, 8);
        first.set_health(Health::Healthy, 9);
        assert_eq!(first.since_ms(), 9);
        second.set_withdrawn(true, 10);
        assert_eq!(second.since_ms(), 7);
        second.set_withdrawn(false, 11);
        assert_eq!(second.since_ms(), 11);
    }

    #[test]
    fn the_weather_of_an_endpoint_that_stays_is_kept_and_of_one_that_goes_forgotten() {
        let registry = Registry::new(Secret::new([0; 32]));
        let ((cart, stays), (_, goes)) = (names("h:1"), names("h:2"));
        let before = registry.get(&cart, &stays, false, 1);
        let gone = registry.get(&cart, &goes, false, 1);
        registry.retain(|_, endpoint| *endpoint == stays);
        assert!(Arc::ptr_eq(&before, &registry.get(&cart, &stays, true, 2)));
        assert!(!Arc::ptr_eq(&gone, &registry.get(&cart, &goes, true, 2)));
    }
}
