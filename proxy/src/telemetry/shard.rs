//! One worker's counters, read by anyone: the promised metrics' source.
//!
//! Only its own worker writes a shard, so a count is a relaxed load and store without a locked
//! instruction, and no cache line is fought over. Reading one is a [`ShardSnapshot`], and snapshots
//! of all workers add up.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::id::{EndpointId, ServiceName};

mod backend;
mod by_route;
mod count;

pub use backend::{BackendCounters, BackendSnapshot, OpenConnection};
pub use by_route::{CLASSES, RouteCounters, RouteSnapshot};
use count::{Count, Tally, Times};
pub use count::{RESPONSE_TIME_BOUNDS_S, TimesSnapshot};

/// See the module.
#[derive(Debug, Default)]
pub struct Shard {
    successful: Count,
    failed: Count,
    response_time: Times,
    refused: Tally<48>,
    faults: Tally<4>,
    mirrored: Tally<8>,
    retries: Tally<8>,
    hedges: Tally<4>,
    handshakes: Tally<2>,
    handshake_failures: Tally<16>,
    refused_connections: Tally<4>,
    opened_connections: Count,
    closed_connections: Count,
    bytes_sent: Count,
    bytes_received: Count,
    /// When its worker last had time for anything.
    moved_ms: AtomicU64,
    /// Locked when a worker meets a new table and when a scrape reads, never per request.
    backends: Mutex<BTreeMap<(ServiceName, EndpointId), Arc<BackendCounters>>>,
    /// Likewise.
    routes: Mutex<BTreeMap<RouteKey, Arc<RouteCounters>>>,
}

/// A service and the route by which it is reached.
pub type RouteKey = (ServiceName, Arc<str>);

impl Shard {
    /// A request was answered, by an endpoint or by the proxy itself. 5xx and no answer are failures.
    pub fn request(&self, failed: bool, took: Duration) {
        if failed {
            self.failed.add(1)
        } else {
            self.successful.add(1)
        }
        self.response_time.add(took);
    }

    /// A request was refused here for `reason`, a word of the program.
    pub fn refused(&self, reason: &'static str) {
        self.refused.add(reason);
    }

    /// A fault of this kind, a word of the program, was injected.
    pub fn fault(&self, kind: &'static str) {
        self.faults.add(kind);
    }

    /// A copy of a request ended so, a word of the program.
    pub fn mirrored(&self, result: &'static str) {
        self.mirrored.add(result);
    }

    /// A request that failed was, or was not, sent again: why, a word of the program.
    pub fn retry(&self, decision: &'static str) {
        self.retries.add(decision);
    }

    /// A second attempt beside a late one ended so, a word of the program.
    pub fn hedge(&self, result: &'static str) {
        self.hedges.add(result);
    }

    /// A client connection was accepted.
    pub fn connection_opened(&self) {
        self.opened_connections.add(1);
    }

    /// Client connections were closed at once for `reason`, a word of the program.
    pub fn connections_refused(&self, reason: &'static str, count: u64) {
        (0..count).for_each(|_| self.refused_connections.add(reason));
    }

    /// A client connection ended.
    pub fn connection_closed(&self) {
        self.closed_connections.add(1);
    }

    /// A client's TLS handshake ended.
    pub fn handshake(&self, succeeded: bool) {
        self.handshakes.add(if succeeded { "done" } else { "failed" });
    }

    /// A client's TLS handshake failed for `reason`, a word of the program.
    pub fn handshake_failed(&self, reason: &'static str) {
        self.handshake_failures.add(reason);
    }

    /// The worker has time for its upkeep.
    pub fn moves(&self, now_ms: u64) {
        self.moved_ms.store(now_ms, Ordering::Relaxed);
    }

    /// When it last had, by [`crate::clock`].
    #[must_use]
    pub fn moved_ms(&self) -> u64 {
        self.moved_ms.load(Ordering::Relaxed)
    }

    /// Body bytes from and to clients.
    pub fn bytes(&self, received: u64, sent: u64) {
        self.bytes_received.add(received);
        self.bytes_sent.add(sent);
    }

    /// The counters of one endpoint, made at first sight.
    #[must_use]
    pub fn backend(&self, service: &ServiceName, endpoint: &EndpointId) -> Arc<BackendCounters> {
        let mut backends = self.backends.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(backends.entry((service.clone(), endpoint.clone())).or_default())
    }

    /// Forgets the endpoints that `keep` does not name, so that reloads do not grow it.
    pub fn retain_backends(&self, keep: impl Fn(&ServiceName, &EndpointId) -> bool) {
        let mut backends = self.backends.lock().unwrap_or_else(PoisonError::into_inner);
        backends.retain(|(service, endpoint), _| keep(service, endpoint));
    }

    /// The counters of one route to one service, made at first sight.
    #[must_use]
    pub fn route(&self, service: &ServiceName, route: &Arc<str>) -> Arc<RouteCounters> {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(routes.entry((service.clone(), Arc::clone(route))).or_default())
    }

    /// Forgets the routes that `keep` does not name, so that reloads do not grow it.
    pub fn retain_routes(&self, keep: impl Fn(&ServiceName, &str) -> bool) {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        routes.retain(|(service, route), _| keep(service, route));
    }

    /// The counts as they are now. May be called from any thread, at any time.
    #[must_use]
    pub fn snapshot(&self) -> ShardSnapshot {
        let (successful, failed) = (self.successful.get(), self.failed.get());
        let closed = self.closed_connections.get();
        let total_connections = self.opened_connections.get();
        let backends = self.backends.lock().unwrap_or_else(PoisonError::into_inner);
        let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        ShardSnapshot {
            requests: successful + failed,
            successful,
            failed,
            refused: self.refused.read().collect(),
            faults: self.faults.read().collect(),
            mirrored: self.mirrored.read().collect(),
            retries: self.retries.read().collect(),
            hedges: self.hedges.read().collect(),
            handshakes: self.handshakes.read().collect(),
            handshake_failures: self.handshake_failures.read().collect(),
            refused_connections: self.refused_connections.read().collect(),
            response_time: self.response_time.snapshot(),
            active_connections: total_connections.saturating_sub(closed),
            total_connections,
            bytes_sent: self.bytes_sent.get(),
            bytes_received: self.bytes_received.get(),
            backends: backends.iter().map(|(key, counters)| (key.clone(), counters.snapshot())).collect(),
            routes: routes.iter().map(|(key, counters)| (key.clone(), counters.snapshot())).collect(),
        }
    }
}

/// A shard's counts, or the sum of several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShardSnapshot {
    /// `proxy_requests_total`.
    pub requests: u64,
    /// `proxy_requests_successful_total`: answered below 500.
    pub successful: u64,
    /// `proxy_requests_failed_total`: answered 5xx, also by the proxy itself.
    pub failed: u64,
    /// `proxy_response_time_histogram`.
    pub response_time: TimesSnapshot,
    /// Refused here, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// `proxy_faults_injected_total`, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// `proxy_mirrored_requests_total`, by result.
    pub mirrored: BTreeMap<&'static str, u64>,
    /// `proxy_retry_decisions_total`, by decision.
    pub retries: BTreeMap<&'static str, u64>,
    /// `proxy_hedges_total`, by result.
    pub hedges: BTreeMap<&'static str, u64>,
    /// `proxy_tls_handshakes_total`, by result.
    pub handshakes: BTreeMap<&'static str, u64>,
    /// `proxy_tls_handshake_failures_total`, by reason.
    pub handshake_failures: BTreeMap<&'static str, u64>,
    /// `proxy_connections_refused_total`, by reason.
    pub refused_connections: BTreeMap<&'static str, u64>,
    /// `proxy_active_connections`.
    pub active_connections: u64,
    /// `proxy_total_connections`.
    pub total_connections: u64,
    /// `proxy_bytes_sent_total`: response body bytes.
    pub bytes_sent: u64,
    /// `proxy_bytes_received_total`: request body bytes.
    pub bytes_received: u64,
    /// By service and endpoint.
    pub backends: BTreeMap<(ServiceName, EndpointId), BackendSnapshot>,
    /// By service and route.
    pub routes: BTreeMap<RouteKey, RouteSnapshot>,
}

impl ShardSnapshot {
    /// Adds another worker's counts.
    pub fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.successful += other.successful;
        self.failed += other.failed;
        self.response_time.merge(&other.response_time);
        self.active_connections += other.active_connections;
        self.total_connections += other.total_connections;
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        other.refused.iter().for_each(|(reason, n)| *self.refused.entry(reason).or_default() += n);
        other.faults.iter().for_each(|(kind, n)| *self.faults.entry(kind).or_default() += n);
        other.mirrored.iter().for_each(|(result, n)| *self.mirrored.entry(result).or_default() += n);
        other.retries.iter().for_each(|(decision, n)| *self.retries.entry(decision).or_default() += n);
        other.hedges.iter().for_each(|(result, n)| *self.hedges.entry(result).or_default() += n);
        let refused = &mut self.refused_connections;
        other.refused_connections.iter().for_each(|(reason, n)| *refused.entry(reason).or_default() += n);
        other.handshakes.iter().for_each(|(result, n)| *self.handshakes.entry(result).or_default() += n);
        let failures = other.handshake_failures.iter();
        failures.for_each(|(reason, n)| *self.handshake_failures.entry(reason).or_default() += n);
        for (key, theirs) in &other.backends {
            self.backends.entry(key.clone()).or_default().merge(theirs);
        }
        for (key, theirs) in &other.routes {
            self.routes.entry(key.clone()).or_default().merge(theirs);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_of_workers_add_up() {
        let (one, two) = (Shard::default(), Shard::default());
        let (service, endpoint) = (ServiceName::new("cart").unwrap(), EndpointId::new("a:1").unwrap());
        for shard in [&one, &two] {
            shard.request(false, Duration::from_micros(700));
            shard.request(true, Duration::from_secs(60));
            shard.connection_opened();
            let backend = shard.backend(&service, &endpoint);
            backend.request(true);
            backend.attempt(crate::telemetry::Outcome::Timeout, Duration::from_secs(1));
            drop(backend.connection());
            shard.refused("shed");
            let route = shard.route(&service, &Arc::from("all"));
            route.answered(204, Duration::from_millis(2));
            route.abandoned();
        }
        two.connection_closed();
        let mut sum = one.snapshot();
        sum.merge(&two.snapshot());
        assert_eq!((sum.requests, sum.successful, sum.failed), (4, 2, 2));
        assert_eq!((sum.response_time.buckets[1], sum.response_time.count()), (2, 4));
        assert_eq!((sum.active_connections, sum.total_connections), (1, 2));
        let backend = &sum.backends[&(service.clone(), endpoint)];
        assert_eq!((backend.connections, backend.opened), (0, 2));
        assert_eq!((backend.requests, backend.failures, backend.errors["timeout"]), (2, 2, 2));
        let route = &sum.routes[&(service, Arc::from("all"))];
        assert_eq!(route.classes, [2, 0, 2, 0, 0, 0]);
        assert_eq!(sum.refused["shed"], 2);
    }
}
