//! `GET /metrics`: the promised names, collected at the moment of asking from what the workers count
//! for themselves, so that nothing is locked per request. Labels are services and endpoints of the
//! configuration, never a path or a client.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Registry, TextEncoder};

use super::Shared;
use super::answer::Refused;
use super::status::breaker;
use crate::table::Table;
use crate::telemetry::shard::{RESPONSE_TIME_BOUNDS_S, ShardSnapshot};

/// What has been counted since the start.
#[derive(Debug, Clone, Default)]
pub struct Readings {
    /// By all workers, added up.
    pub traffic: ShardSnapshot,
    /// Telemetry windows that found no room.
    pub windows_dropped: u64,
}

pub(super) async fn metrics(State(admin): State<Shared>) -> Response {
    let view = admin.control.view();
    let mut families = families(&(admin.readings)(), &view.table, view.leases.len());
    let help = "Actions and other writes on the admin listener that were refused.";
    families.push(counter("proxy_actions_refused_total", help, admin.refusals.count()));
    match exposition(families) {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(why) => Refused::new(StatusCode::SERVICE_UNAVAILABLE, why.to_string()).into_response(),
    }
}

/// One scrape's worth of readings.
struct Scrape(Vec<MetricFamily>);

impl Collector for Scrape {
    /// None: the registry then does not check for duplicates, of which a single collector has none.
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.0.clone()
    }
}

fn exposition(families: Vec<MetricFamily>) -> prometheus::Result<String> {
    let registry = Registry::new();
    registry.register(Box::new(Scrape(families)))?;
    TextEncoder::new().encode_to_string(&registry.gather())
}

fn families(readings: &Readings, table: &Table, leases: usize) -> Vec<MetricFamily> {
    let r = &readings.traffic;
    let mut families = vec![
        counter("proxy_requests_total", "Client requests that ended.", r.requests),
        counter("proxy_requests_successful_total", "Client requests that did not fail.", r.successful),
        counter("proxy_requests_failed_total", "Client requests answered 5xx, or not at all.", r.failed),
        counter("proxy_total_connections", "Client connections since the start.", r.total_connections),
        counter("proxy_bytes_sent_total", "Body bytes sent to clients.", r.bytes_sent),
        counter("proxy_bytes_received_total", "Body bytes received from clients.", r.bytes_received),
        counter(
            "proxy_telemetry_windows_dropped_total",
            "Telemetry windows dropped because the brain did not take them.",
            readings.windows_dropped,
        ),
        single_gauge("proxy_active_connections", "Client connections open now.", r.active_connections),
        single_gauge("proxy_active_leases", "Leased actions in force.", leases as u64),
        histogram(r),
    ];
    families.extend(by_endpoint(&readings.traffic, table));
    families
}

fn by_endpoint(traffic: &ShardSnapshot, table: &Table) -> Vec<MetricFamily> {
    let (mut states, mut connections) = (Vec::new(), Vec::new());
    let (mut requests, mut failures) = (Vec::new(), Vec::new());
    for (service, handle) in table.services.iter().flat_map(|(s, t)| t.endpoints.iter().map(move |e| (s, e)))
    {
        let key = (service.clone(), handle.live.settings.id.clone());
        let backend = traffic.backends.get(&key).copied().unwrap_or_default();
        let labels = || vec![label("service", key.0.as_str()), label("endpoint", key.1.as_str())];
        states.push(gauge(labels(), u64::from(breaker(handle).code())));
        connections.push(gauge(labels(), backend.connections));
        requests.push(count(labels(), backend.requests));
        failures.push(count(labels(), backend.failures));
    }
    use MetricType::{COUNTER, GAUGE};
    vec![
        family("proxy_circuit_breaker_state", "0 closed, 1 open, 2 half-open.", GAUGE, states),
        family("proxy_backend_connections", "Connections open to an endpoint.", GAUGE, connections),
        family("proxy_backend_requests_total", "Requests sent to an endpoint.", COUNTER, requests),
        family("proxy_backend_failures_total", "Requests that failed at an endpoint.", COUNTER, failures),
    ]
}

fn histogram(traffic: &ShardSnapshot) -> MetricFamily {
    let mut so_far = 0;
    let bucket = |(bound, n): (f64, &u64)| {
        so_far += n;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound);
        bucket.set_cumulative_count(so_far);
        bucket
    };
    let buckets: Vec<Bucket> =
        RESPONSE_TIME_BOUNDS_S.into_iter().zip(&traffic.response_time).map(bucket).collect();
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets);
    histogram.set_sample_count(traffic.response_time.iter().sum());
    histogram.set_sample_sum(traffic.response_time_sum_us as f64 / 1e6);
    let mut metric = Metric::default();
    metric.set_histogram(histogram);
    let help = "Seconds from a request's head to its response's head.";
    family("proxy_response_time_histogram", help, MetricType::HISTOGRAM, vec![metric])
}

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn counter(name: &str, help: &str, value: u64) -> MetricFamily {
    family(name, help, MetricType::COUNTER, vec![count(Vec::new(), value)])
}

fn single_gauge(name: &str, help: &str, value: u64) -> MetricFamily {
    family(name, help, MetricType::GAUGE, vec![gauge(Vec::new(), value)])
}

fn count(labels: Vec<LabelPair>, value: u64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(value as f64);
    let mut metric = Metric::from_label(labels);
    metric.set_counter(counter);
    metric
}

fn gauge(labels: Vec<LabelPair>, value: u64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value as f64);
    let mut metric = Metric::from_label(labels);
    metric.set_gauge(gauge);
    metric
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value.to_owned());
    label
}
