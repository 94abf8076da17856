//! Attributes by OpenTelemetry's semantic conventions for HTTP (the stable names).

use http::{Method, Uri, Version};
use opentelemetry::{KeyValue, Value};

use crate::observability::record::Record;
use crate::telemetry::Outcome;

const KNOWN_METHODS: [Method; 9] = [
    Method::CONNECT,
    Method::DELETE,
    Method::GET,
    Method::HEAD,
    Method::OPTIONS,
    Method::PATCH,
    Method::POST,
    Method::PUT,
    Method::TRACE,
];

/// Attributes being gathered.
#[derive(Debug, Default)]
pub(super) struct Attributes(pub(super) Vec<KeyValue>);

impl Attributes {
    pub(super) fn add(&mut self, key: &'static str, value: impl Into<Value>) {
        self.0.push(KeyValue::new(key, value));
    }

    pub(super) fn text(&mut self, key: &'static str, value: Option<&[u8]>) {
        if let Some(value) = value {
            self.add(key, String::from_utf8_lossy(value).into_owned());
        }
    }

    pub(super) fn number(&mut self, key: &'static str, value: u64) {
        self.add(key, i64::try_from(value).unwrap_or(i64::MAX));
    }

    /// A method that nobody knows is no attribute's value: there would be no end of them.
    pub(super) fn method(&mut self, method: &Method) {
        if KNOWN_METHODS.contains(method) {
            self.add("http.request.method", method.as_str().to_owned());
        } else {
            self.add("http.request.method", "_OTHER");
            self.add("http.request.method_original", method.as_str().to_owned());
        }
    }

    /// `HOST` or `HOST:PORT`.
    pub(super) fn server(&mut self, host: &str) {
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => (name, port.parse::<u16>().ok()),
            _ => (host, None),
        };
        self.add("server.address", name.trim_start_matches('[').trim_end_matches(']').to_owned());
        if let Some(port) = port {
            self.number("server.port", port.into());
        }
    }

    pub(super) fn protocol(&mut self, version: Version) {
        let version = match version {
            Version::HTTP_10 => "1.0",
            Version::HTTP_2 => "2",
            _ => "1.1",
        };
        self.add("network.protocol.version", version);
    }
}

/// The method as part of a span's name.
pub(super) fn method_name(method: &Method) -> &str {
    if KNOWN_METHODS.contains(method) { method.as_str() } else { "HTTP" }
}

/// The query with every value taken out, because it may be a secret.
pub(super) fn query(uri: &Uri) -> Option<String> {
    let redacted = |pair: &str| match pair.split_once('=') {
        Some((key, _)) => format!("{key}=REDACTED"),
        None => pair.to_owned(),
    };
    Some(uri.query()?.split('&').map(redacted).collect::<Vec<_>>().join("&"))
}

/// `error.type` of a request: a status of a failure, or one word.
pub(super) fn error_of(record: &Record) -> Option<String> {
    let status = || record.status.filter(|status| *status >= 500).map(|status| status.to_string());
    record.reason.map(str::to_owned).or_else(status)
}

/// `error.type` of an attempt: for a client 4xx is an error too.
pub(super) fn error_of_attempt(outcome: Option<Outcome>) -> Option<String> {
    match outcome {
        Some(Outcome::Status(status)) => (status >= 400).then(|| status.to_string()),
        Some(Outcome::Timeout) => Some("timeout".to_owned()),
        Some(Outcome::Reset) => Some("reset".to_owned()),
        Some(Outcome::ConnectFailure) => Some("connect_failure".to_owned()),
        None => Some("given_up".to_owned()),
    }
}
