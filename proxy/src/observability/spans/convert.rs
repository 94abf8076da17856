//! From a record to spans: one for the request, one for each attempt at an endpoint.

use std::borrow::Cow;
use std::time::SystemTime;

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::attributes::{Attributes, error_of, error_of_attempt, method_name, query};
use crate::observability::record::{Attempt, Record, ServerSpan};
use crate::telemetry::Outcome;

/// The request's span, then its attempts'; nothing where the request is in no trace.
#[must_use]
pub fn spans_of(record: &Record) -> Vec<SpanData> {
    let Some(span) = record.span else { return Vec::new() };
    let attempts = record.attempts.iter().enumerate();
    let attempts = attempts.map(|(n, attempt)| of_attempt(record, span, n, attempt));
    std::iter::once(of_request(record, span)).chain(attempts).collect()
}

fn of_request(record: &Record, span: ServerSpan) -> SpanData {
    let mut of = Attributes::default();
    of.method(&record.method);
    of.add("url.scheme", record.uri.scheme_str().unwrap_or("http").to_owned());
    of.add("url.path", record.uri.path().to_owned());
    query(&record.uri).into_iter().for_each(|query| of.add("url.query", query));
    if let Some(host) = record.host() {
        of.server(&String::from_utf8_lossy(host));
    }
    of.add("client.address", record.client.to_string());
    of.protocol(record.version);
    of.text("user_agent.original", record.user_agent.as_ref().map(http::HeaderValue::as_bytes));
    record.status.into_iter().for_each(|status| of.number("http.response.status_code", status.into()));
    of.number("http.request.body.size", record.bytes_in);
    of.number("http.response.body.size", record.bytes_out);
    of.text("lightsout.request_id", Some(record.request_id.as_bytes()));
    of.text("lightsout.route", record.route.as_deref().map(str::as_bytes));
    of.text("lightsout.service", record.service.as_ref().map(|label| label.service.as_bytes()));
    let error = error_of(record);
    error.iter().for_each(|error| of.add("error.type", error.clone()));
    let name = match &record.route {
        Some(route) => format!("{} {route}", method_name(&record.method)),
        None => method_name(&record.method).to_owned(),
    };
    let ids = (span.trace, span.span, span.parent);
    let times = (record.at, record.at + record.took);
    let mut data = data(ids, SpanKind::Server, name, times, of.0, error);
    data.parent_span_is_remote = span.parent.is_some();
    data
}

fn of_attempt(record: &Record, span: ServerSpan, n: usize, attempt: &Attempt) -> SpanData {
    let mut of = Attributes::default();
    of.method(&record.method);
    let (endpoint, path) = (attempt.endpoint.endpoint.as_str(), record.uri.path());
    of.server(endpoint);
    let query = query(&record.uri).map(|query| format!("?{query}")).unwrap_or_default();
    of.add("url.full", format!("http://{endpoint}{path}{query}"));
    if let Some(Outcome::Status(status)) = attempt.outcome {
        of.number("http.response.status_code", status.into());
    }
    if n > 0 {
        of.number("http.request.resend_count", n as u64);
    }
    of.text("lightsout.service", Some(attempt.endpoint.service.as_bytes()));
    of.text("lightsout.version", Some(attempt.endpoint.version.as_bytes()).filter(|v| !v.is_empty()));
    let error = error_of_attempt(attempt.outcome);
    error.iter().for_each(|error| of.add("error.type", error.clone()));
    // The last attempt's response is passed on to the end of the request's.
    let last = n + 1 == record.attempts.len() && matches!(attempt.outcome, Some(Outcome::Status(_)));
    let end = attempt.answered.filter(|_| !last).unwrap_or(record.took);
    let ids = (span.trace, attempt.span, Some(span.span));
    let times = (record.at + attempt.began, record.at + end.max(attempt.began));
    data(ids, SpanKind::Client, method_name(&record.method).to_owned(), times, of.0, error)
}

fn data(
    (trace, span, parent): (u128, u64, Option<u64>),
    span_kind: SpanKind,
    name: String,
    (start_time, end_time): (SystemTime, SystemTime),
    attributes: Vec<KeyValue>,
    error: Option<String>,
) -> SpanData {
    let id = |id: u64| SpanId::from(id);
    SpanData {
        span_context: SpanContext::new(
            TraceId::from(trace),
            id(span),
            TraceFlags::SAMPLED,
            false,
            TraceState::default(),
        ),
        parent_span_id: parent.map_or(SpanId::INVALID, id),
        parent_span_is_remote: false,
        span_kind,
        name: Cow::Owned(name),
        start_time,
        end_time,
        attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: error.map_or(Status::Unset, Status::error),
        instrumentation_scope: scope(),
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("sidecar-proxy").with_version(env!("CARGO_PKG_VERSION")).build()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::telemetry::cells::EndpointLabel;
    use http::{HeaderValue, Request};
    use std::sync::Arc;
    use std::time::Duration;

    fn record(status: u16) -> Record {
        let request = Request::builder().uri("/pay?card=4711&x").header("host", "shop:8000");
        let parts = request.body(()).unwrap().into_parts().0;
        let mut record = Record::of(&parts, [192, 0, 2, 1].into(), &HeaderValue::from_static("i"));
        record.span = Some(ServerSpan { trace: 7, span: 8, parent: Some(9), sampled: true });
        record.status = Some(status);
        record.took = Duration::from_millis(30);
        record.route = Some(Arc::from("checkout"));
        let endpoint =
            EndpointLabel { service: "cart".into(), version: "".into(), endpoint: "10.0.0.1:80".into() };
        let endpoint = Arc::new(endpoint);
        let attempt = |span, outcome| Attempt {
            endpoint: Arc::clone(&endpoint),
            span,
            began: Duration::from_millis(1),
            answered: Some(Duration::from_millis(10)),
            outcome: Some(outcome),
        };
        record.attempts.push(attempt(20, Outcome::Timeout));
        record.attempts.push(attempt(21, Outcome::Status(status)));
        record
    }

    fn value(span: &SpanData, key: &str) -> Option<String> {
        span.attributes.iter().find(|pair| pair.key.as_str() == key).map(|pair| pair.value.to_string())
    }

    #[test]
    fn a_request_is_a_span_and_its_attempts_are_its_children() {
        let spans = spans_of(&record(200));
        let [server, first, second] = spans.as_slice() else { unreachable!("{spans:?}") };
        assert_eq!((server.name.as_ref(), &server.status), ("GET checkout", &Status::Unset));
        assert!(server.parent_span_id == SpanId::from(9) && server.parent_span_is_remote);
        for (attempt, id) in [(first, 20), (second, 21)] {
            assert_eq!(attempt.parent_span_id, server.span_context.span_id());
            assert_eq!(attempt.span_context.span_id(), SpanId::from(id));
            assert_eq!(attempt.span_context.trace_id(), server.span_context.trace_id());
        }
        assert_eq!(value(first, "error.type").as_deref(), Some("timeout"));
        assert_eq!(value(second, "http.request.resend_count").as_deref(), Some("1"));
        assert_eq!(second.end_time, server.end_time);
    }

    #[test]
    fn a_failure_is_an_error_and_what_the_client_did_wrong_is_none_of_the_servers() {
        let failed = spans_of(&record(503));
        assert_eq!(failed[0].status, Status::error("503"));
        let refused = spans_of(&record(404));
        assert_eq!((&refused[0].status, &refused[2].status), (&Status::Unset, &Status::error("404")));
    }

    #[test]
    fn secrets_in_a_query_are_not_told() {
        let spans = spans_of(&record(200));
        assert_eq!(value(&spans[0], "url.query").as_deref(), Some("card=REDACTED&x"));
        assert!(!format!("{spans:?}").contains("4711"));
        assert_eq!(value(&spans[0], "server.port").as_deref(), Some("8000"));
    }
}
