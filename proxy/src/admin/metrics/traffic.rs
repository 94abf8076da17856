//! What went through the workers, by route and endpoint.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use prometheus::proto::MetricFamily;
use protocol::snapshot::Health;

use super::family::{Family, counter, gauge};
use crate::admin::status::breaker;
use crate::middleware::grpc_status::CODES;
use crate::table::Table;
use crate::telemetry::shard::{CLASSES, ShardSnapshot};

/// Words that are there from the start, so that a rate sees the first of each.
const REASONS: &[&str] = &["blocked", "no_endpoint", "no_route", "overload", "shed"];
const FAULTS: &[&str] = &["abort", "delay", "reset"];
const MIRRORED: &[&str] = &["answered", "failed"];
const RETRIES: &[&str] = &["retried", "no_budget"];
const HEDGES: &[&str] = &["won", "lost"];
const HANDSHAKES: &[&str] = &["done", "failed"];
const HANDSHAKE_FAILURES: &[&str] = &["handshake", "timeout"];

/// The proxy as a whole: the promised names first.
pub(super) fn in_all(traffic: &ShardSnapshot) -> Vec<MetricFamily> {
    let t = traffic;
    let mut times = Family::histogram(
        "proxy_response_time_histogram",
        "Time from a request's head to its response's head, in seconds.",
    );
    times.times(&[], &t.response_time);
    let mut conventional =
        Family::histogram("proxy_response_time_seconds", "The same as proxy_response_time_histogram.");
    conventional.times(&[], &t.response_time);
    let refused =
        ("proxy_requests_refused_total", "Client requests that the proxy answered itself.", "reason");
    let faults = ("proxy_faults_injected_total", "Faults injected on purpose, by kind.", "kind");
    let mirrored = (
        "proxy_mirrored_requests_total",
        "Copies of requests, by result; they count as requests nowhere else.",
        "result",
    );
    let retries = (
        "proxy_retry_decisions_total",
        "Failed attempts that were, or were not, tried again: why.",
        "decision",
    );
    let hedges =
        ("proxy_hedges_total", "Second attempts beside a late one, by how the race ended.", "result");
    let handshakes = ("proxy_tls_handshakes_total", "TLS handshakes with clients, by result.", "result");
    let failures =
        ("proxy_tls_handshake_failures_total", "TLS handshakes with clients that failed, by why.", "reason");
    vec![
        counter("proxy_requests_total", "Client requests that ended.", t.requests),
        counter("proxy_requests_successful_total", "Client requests that did not fail.", t.successful),
        counter("proxy_requests_failed_total", "Client requests answered 5xx, or not at all.", t.failed),
        counter("proxy_total_connections", "Client connections since the start.", t.total_connections),
        counter("proxy_bytes_sent_total", "Body bytes sent to clients.", t.bytes_sent),
        counter("proxy_bytes_received_total", "Body bytes received from clients.", t.bytes_received),
        gauge("proxy_active_connections", "Client connections open now.", t.active_connections as f64),
        counter("proxy_connections_total", "The same as proxy_total_connections.", t.total_connections),
        times.done(),
        conventional.done(),
        by_word(refused, REASONS, &t.refused),
        by_word(faults, FAULTS, &t.faults),
        by_word(mirrored, MIRRORED, &t.mirrored),
        by_word(retries, RETRIES, &t.retries),
        by_word(hedges, HEDGES, &t.hedges),
        by_word(handshakes, HANDSHAKES, &t.handshakes),
        by_word(failures, HANDSHAKE_FAILURES, &t.handshake_failures),
    ]
}

/// A counter by one label: its name, its help, its label's name.
fn by_word(
    (name, help, label): (&str, &str, &str),
    expected: &[&'static str],
    counts: &BTreeMap<&'static str, u64>,
) -> MetricFamily {
    let mut family = Family::counter(name, help);
    let mut all: BTreeMap<&str, u64> = expected.iter().map(|word| (*word, 0)).collect();
    counts.iter().for_each(|(word, n)| *all.entry(word).or_default() += n);
    all.iter().for_each(|(word, n)| family.add(&[(label, word)], *n as f64));
    family.done()
}

/// By service and route; every class is there from the start, so that a rate sees the first failure.
pub(super) fn by_route(traffic: &ShardSnapshot) -> Vec<MetricFamily> {
    let mut requests = Family::counter(
        "proxy_service_requests_total",
        "Client requests by service, route and status class; none: the client went away unanswered.",
    );
    let mut times = Family::histogram(
        "proxy_service_response_time_seconds",
        "Time from a request's head to its response's head, by service and route.",
    );
    let mut upstream = Family::histogram(
        "proxy_service_upstream_time_seconds",
        "Time from a request's head to an endpoint's answer, for each attempt answered.",
    );
    let mut calls = Family::counter(
        "proxy_service_grpc_calls_total",
        "gRPC calls that endpoints ended, by service, route and code.",
    );
    for ((service, route), counts) in &traffic.routes {
        let names = [("service", service.as_str()), ("route", route.as_ref())];
        for (class, n) in CLASSES.iter().zip(counts.classes) {
            requests.add(&[names[0], names[1], ("class", class)], n as f64);
        }
        // A route that has seen one code may see any; others carry no calls.
        let called = counts.calls.iter().any(|n| *n > 0);
        for (code, n) in CODES.iter().zip(counts.calls).filter(|_| called) {
            calls.add(&[names[0], names[1], ("code", code)], n as f64);
        }
        times.times(&names, &counts.times);
        upstream.times(&names, &counts.upstream);
    }
    vec![requests.done(), times.done(), upstream.done(), calls.done()]
}

/// By service and endpoint of the table in force.
pub(super) fn by_endpoint(traffic: &ShardSnapshot, table: &Table) -> Vec<MetricFamily> {
    let mut of = Endpoints::default();
    let endpoints = table.services.iter().flat_map(|(s, t)| t.endpoints.iter().map(move |e| (s, e)));
    for (service, handle) in endpoints {
        let key = (service.clone(), handle.live.settings.id.clone());
        let backend = traffic.backends.get(&key).cloned().unwrap_or_default();
        let labels = [("service", key.0.as_str()), ("endpoint", key.1.as_str())];
        of.breaker.add(&labels, f64::from(breaker(handle).code()));
        of.health.add(&labels, if handle.state.health() == Health::Unhealthy { 0.0 } else { 1.0 });
        let outlier = &handle.state.outlier;
        of.ejected.add(&labels, f64::from(u8::from(outlier.is_ejected())));
        of.ejections.add(&labels, outlier.ejections.load(Ordering::Relaxed) as f64);
        of.weight.add(&labels, if handle.live.ejected { 0.0 } else { f64::from(handle.live.weight) });
        of.in_flight.add(&labels, f64::from(handle.state.in_flight.load(Ordering::Relaxed)));
        of.connections.add(&labels, backend.connections as f64);
        of.opened.add(&labels, backend.opened as f64);
        of.requests.add(&labels, backend.requests as f64);
        of.failures.add(&labels, backend.failures as f64);
        of.retried.add(&labels, backend.retried as f64);
        of.times.sum(&labels, backend.answers, backend.answers_us);
        for kind in ["connect", "reset", "timeout"] {
            let n = backend.errors.get(kind).copied().unwrap_or(0);
            of.errors.add(&[labels[0], labels[1], ("kind", kind)], n as f64);
        }
    }
    of.done()
}

/// One family each.
struct Endpoints {
    breaker: Family,
    health: Family,
    weight: Family,
    ejected: Family,
    ejections: Family,
    in_flight: Family,
    connections: Family,
    opened: Family,
    requests: Family,
    failures: Family,
    retried: Family,
    times: Family,
    errors: Family,
}

impl Default for Endpoints {
    fn default() -> Self {
        Self {
            breaker: Family::gauge("proxy_circuit_breaker_state", "0 closed, 1 open, 2 half-open."),
            health: Family::gauge("proxy_backend_healthy", "0 where active checks fail, else 1."),
            ejected: Family::gauge("proxy_outlier_ejected", "1 where an endpoint is out as an outlier."),
            ejections: Family::counter(
                "proxy_outlier_ejections_total",
                "Ejections of an endpoint as an outlier.",
            ),
            weight: Family::gauge(
                "proxy_backend_weight",
                "Weight in force, leases considered; 0 takes no traffic.",
            ),
            in_flight: Family::gauge(
                "proxy_backend_in_flight_requests",
                "Requests on their way to an endpoint now.",
            ),
            connections: Family::gauge("proxy_backend_connections", "Connections open to an endpoint."),
            opened: Family::counter(
                "proxy_backend_connections_opened_total",
                "Connections opened to an endpoint.",
            ),
            requests: Family::counter("proxy_backend_requests_total", "Requests sent to an endpoint."),
            failures: Family::counter("proxy_backend_failures_total", "Requests that failed at an endpoint."),
            retried: Family::counter(
                "proxy_backend_retried_total",
                "Attempts at an endpoint that another took the place of.",
            ),
            times: Family::summary(
                "proxy_backend_response_time_seconds",
                "Time to an endpoint's response head, of attempts answered.",
            ),
            errors: Family::counter(
                "proxy_backend_errors_total",
                "Attempts that an endpoint did not answer, by kind.",
            ),
        }
    }
}

impl Endpoints {
    fn done(self) -> Vec<MetricFamily> {
        let all = [
            self.breaker,
            self.health,
            self.weight,
            self.ejected,
            self.ejections,
            self.in_flight,
            self.connections,
            self.opened,
            self.requests,
            self.failures,
            self.retried,
            self.times,
            self.errors,
        ];
        all.into_iter().map(Family::done).collect()
    }
}
