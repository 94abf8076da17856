//! What a line may say.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;

use crate::observability::record::{Attempt, Record};

/// One thing a line may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// When the request's head was read, RFC 3339.
    Time,
    /// `X-Request-ID`.
    RequestId,
    /// The trace.
    TraceId,
    /// The proxy's own span.
    SpanId,
    /// Who asked: the peer, or whom a trusted peer names.
    Client,
    /// The workload that asked, by its certificate.
    Principal,
    /// What was asked.
    Method,
    /// Of whom.
    Host,
    /// Of what, without the query.
    Path,
    /// The query.
    Query,
    /// In which protocol.
    Protocol,
    /// The response's status.
    Status,
    /// One word for what went wrong.
    Reason,
    /// Request body bytes.
    BytesIn,
    /// Response body bytes.
    BytesOut,
    /// Until the response's last byte.
    DurationMs,
    /// The last attempt, until its response's head or failure.
    UpstreamMs,
    /// The route's name.
    Route,
    /// The service.
    Service,
    /// The endpoint's version.
    Version,
    /// The endpoint asked last.
    Endpoint,
    /// How often endpoints were asked.
    Attempts,
    /// What the client calls itself.
    UserAgent,
    /// Who asked, by the credential that was shown.
    User,
    /// What was decided of whether that is allowed, and by which rule.
    Decision,
}

/// What a field holds in one record.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Any bytes.
    Text(Cow<'a, [u8]>),
    /// A number.
    Number(u64),
    /// A time, to be written in milliseconds.
    Time(Duration),
    /// Nothing.
    Absent,
}

impl Field {
    /// All of them, in their usual order.
    pub const ALL: [Self; 25] = [
        Self::Time,
        Self::RequestId,
        Self::TraceId,
        Self::SpanId,
        Self::Client,
        Self::Principal,
        Self::Method,
        Self::Host,
        Self::Path,
        Self::Query,
        Self::Protocol,
        Self::Status,
        Self::Reason,
        Self::BytesIn,
        Self::BytesOut,
        Self::DurationMs,
        Self::UpstreamMs,
        Self::Route,
        Self::Service,
        Self::Version,
        Self::Endpoint,
        Self::Attempts,
        Self::UserAgent,
        Self::User,
        Self::Decision,
    ];

    /// As the configuration and the JSON format call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::RequestId => "request_id",
            Self::TraceId => "trace_id",
            Self::SpanId => "span_id",
            Self::Client => "client",
            Self::Principal => "principal",
            Self::Method => "method",
            Self::Host => "host",
            Self::Path => "path",
            Self::Query => "query",
            Self::Protocol => "protocol",
            Self::Status => "status",
            Self::Reason => "reason",
            Self::BytesIn => "bytes_in",
            Self::BytesOut => "bytes_out",
            Self::DurationMs => "duration_ms",
            Self::UpstreamMs => "upstream_ms",
            Self::Route => "route",
            Self::Service => "service",
            Self::Version => "version",
            Self::Endpoint => "endpoint",
            Self::Attempts => "attempts",
            Self::UserAgent => "user_agent",
            Self::User => "user",
            Self::Decision => "decision",
        }
    }

    /// The field of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }

    /// What it holds in `record`.
    #[must_use]
    pub fn of(self, record: &Record) -> Value<'_> {
        let last = record.attempts.last();
        match self {
            Self::Time => text(moment(record).into_bytes()),
            Self::RequestId => bytes(Some(record.request_id.as_bytes())),
            Self::TraceId => record.span.map_or(Value::Absent, |span| id(format!("{:032x}", span.trace))),
            Self::SpanId => record.span.map_or(Value::Absent, |span| id(format!("{:016x}", span.span))),
            Self::Client => id(record.client.to_string()),
            Self::Principal => bytes(record.principal.as_ref().map(|peer| peer.id.as_str().as_bytes())),
            Self::Method => bytes(Some(record.method.as_str().as_bytes())),
            Self::Host => bytes(record.host()),
            Self::Path => bytes(Some(record.uri.path().as_bytes())),
            Self::Query => bytes(record.uri.query().map(str::as_bytes)),
            Self::Protocol => id(format!("{:?}", record.version)),
            Self::Status => record.status.map_or(Value::Absent, |status| Value::Number(status.into())),
            Self::Reason => bytes(record.reason.map(str::as_bytes)),
            Self::BytesIn => Value::Number(record.bytes_in),
            Self::BytesOut => Value::Number(record.bytes_out),
            Self::DurationMs => Value::Time(record.took),
            Self::UpstreamMs => last.and_then(upstream).map_or(Value::Absent, Value::Time),
            Self::Route => bytes(record.route.as_deref().map(str::as_bytes)),
            Self::Service => bytes(record.service.as_ref().map(|label| label.service.as_bytes())),
            Self::Version => bytes(last.map(|attempt| attempt.endpoint.version.as_bytes())),
            Self::Endpoint => bytes(last.map(|attempt| attempt.endpoint.endpoint.as_bytes())),
            Self::Attempts => Value::Number(record.attempts_made.into()),
            Self::UserAgent => bytes(record.user_agent.as_ref().map(http::HeaderValue::as_bytes)),
            Self::User => bytes(record.user.as_deref().map(str::as_bytes)),
            Self::Decision => bytes(record.decision.as_deref().map(str::as_bytes)),
        }
    }
}

fn bytes(value: Option<&[u8]>) -> Value<'_> {
    value.map_or(Value::Absent, |value| Value::Text(Cow::Borrowed(value)))
}

fn text(value: Vec<u8>) -> Value<'static> {
    Value::Text(Cow::Owned(value))
}

fn id(value: String) -> Value<'static> {
    text(value.into_bytes())
}

fn upstream(attempt: &Attempt) -> Option<Duration> {
    attempt.answered.map(|at| at.saturating_sub(attempt.began))
}

/// To the microsecond, in UTC.
fn moment(record: &Record) -> String {
    let at = Timestamp::try_from(record.at).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{at:.6}")
}
