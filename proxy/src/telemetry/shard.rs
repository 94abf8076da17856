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

/// Upper bounds of the response time histogram, seconds; one more bucket holds what is beyond.
pub const RESPONSE_TIME_BOUNDS_S: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const BUCKETS: usize = RESPONSE_TIME_BOUNDS_S.len() + 1;

/// See the module.
#[derive(Debug, Default)]
pub struct Shard {
    successful: Count,
    failed: Count,
    response_time: [Count; BUCKETS],
    response_time_us: Count,
    opened_connections: Count,
    closed_connections: Count,
    bytes_sent: Count,
    bytes_received: Count,
    /// Locked when a worker meets a new table and when a scrape reads, never per request.
    backends: Mutex<BTreeMap<(ServiceName, EndpointId), Arc<BackendCounters>>>,
}

/// A counter with one writer.
#[derive(Debug, Default)]
struct Count(AtomicU64);

impl Count {
    fn add(&self, n: u64) {
        self.0.store(self.get().wrapping_add(n), Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One worker's counters of one endpoint.
#[derive(Debug, Default)]
pub struct BackendCounters {
    opened: Count,
    closed: Count,
    requests: Count,
    failures: Count,
}

/// Counts a connection to an endpoint as open until it is dropped.
#[derive(Debug)]
pub struct OpenConnection(Arc<BackendCounters>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.closed.add(1);
    }
}

impl BackendCounters {
    /// A connection to the endpoint was opened. Called by the shard's own worker only.
    pub fn connection(self: &Arc<Self>) -> OpenConnection {
        self.opened.add(1);
        OpenConnection(Arc::clone(self))
    }

    /// A request to the endpoint ended. Called by the shard's own worker only.
    pub fn request(&self, failed: bool) {
        self.requests.add(1);
        self.failures.add(u64::from(failed));
    }
}

impl Shard {
    /// A request was answered, by an endpoint or by the proxy itself. 5xx and no answer are failures.
    pub fn request(&self, failed: bool, took: Duration) {
        if failed {
            self.failed.add(1)
        } else {
            self.successful.add(1)
        }
        let seconds = took.as_secs_f64();
        let bucket = RESPONSE_TIME_BOUNDS_S.iter().position(|bound| seconds <= *bound);
        if let Some(count) = self.response_time.get(bucket.unwrap_or(BUCKETS - 1)) {
            count.add(1);
        }
        self.response_time_us.add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// A client connection was accepted.
    pub fn connection_opened(&self) {
        self.opened_connections.add(1);
    }

    /// A client connection ended.
    pub fn connection_closed(&self) {
        self.closed_connections.add(1);
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

    /// The counts as they are now. May be called from any thread, at any time.
    #[must_use]
    pub fn snapshot(&self) -> ShardSnapshot {
        let (successful, failed) = (self.successful.get(), self.failed.get());
        let closed = self.closed_connections.get();
        let total_connections = self.opened_connections.get();
        let backends = self.backends.lock().unwrap_or_else(PoisonError::into_inner);
        ShardSnapshot {
            requests: successful + failed,
            successful,
            failed,
            response_time: std::array::from_fn(|i| self.response_time.get(i).map_or(0, Count::get)),
            response_time_sum_us: self.response_time_us.get(),
            active_connections: total_connections.saturating_sub(closed),
            total_connections,
            bytes_sent: self.bytes_sent.get(),
            bytes_received: self.bytes_received.get(),
            backends: backends.iter().map(|(key, counters)| (key.clone(), counters.snapshot())).collect(),
        }
    }
}

impl BackendCounters {
    fn snapshot(&self) -> BackendSnapshot {
        let closed = self.closed.get();
        BackendSnapshot {
            connections: self.opened.get().saturating_sub(closed),
            requests: self.requests.get(),
            failures: self.failures.get(),
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
    /// `proxy_response_time_histogram`, one count a bucket of [`RESPONSE_TIME_BOUNDS_S`] (not cumulative).
    pub response_time: [u64; BUCKETS],
    /// Sum of the response times, microseconds.
    pub response_time_sum_us: u64,
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
}

/// One endpoint's counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BackendSnapshot {
    /// `proxy_backend_connections`: open now.
    pub connections: u64,
    /// `proxy_backend_requests_total`.
    pub requests: u64,
    /// `proxy_backend_failures_total`.
    pub failures: u64,
}

impl ShardSnapshot {
    /// Adds another worker's counts.
    pub fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.successful += other.successful;
        self.failed += other.failed;
        for (mine, theirs) in self.response_time.iter_mut().zip(&other.response_time) {
            *mine += theirs;
        }
        self.response_time_sum_us = self.response_time_sum_us.wrapping_add(other.response_time_sum_us);
        self.active_connections += other.active_connections;
        self.total_connections += other.total_connections;
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        for (key, theirs) in &other.backends {
            let mine = self.backends.entry(key.clone()).or_default();
            mine.connections += theirs.connections;
            mine.requests += theirs.requests;
            mine.failures += theirs.failures;
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
            drop(backend.connection());
        }
        two.connection_closed();
        let mut sum = one.snapshot();
        sum.merge(&two.snapshot());
        assert_eq!((sum.requests, sum.successful, sum.failed), (4, 2, 2));
        assert_eq!((sum.response_time[1], sum.response_time[BUCKETS - 1]), (2, 2));
        assert_eq!((sum.active_connections, sum.total_connections), (1, 2));
        let backend = sum.backends[&(service, endpoint)];
        assert_eq!(backend, BackendSnapshot { connections: 0, requests: 2, failures: 2 });
    }
}
