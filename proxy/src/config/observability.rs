//! `observability`: the access log, and traces.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is told of each request.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Observability {
    /// One line a request, after it ended.
    pub access_log: AccessLog,
    /// Traces. Absent: fields of traces pass through as they come, and no spans are made.
    pub tracing: Option<Tracing>,
}

/// One line a request, after it ended.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AccessLog {
    /// Whether one is written.
    pub enabled: bool,
    /// json: an object a line; text: by `template`.
    pub format: LogFormat,
    /// `stdout`, `stderr` or a file, which is opened again on SIGHUP and when it was moved away.
    pub path: String,
    /// Share of requests that are written, 0 to 1; those that failed always are, see `errors`.
    pub sample: f64,
    /// Whether requests that were answered 5xx, refused here or broken off are written whatever `sample` says.
    pub errors: bool,
    /// Of the text format: field names in braces. Quotes around one keep its blanks.
    pub template: Option<String>,
    /// Of the JSON format: which fields, in this order. Absent: all.
    pub fields: Option<Vec<String>>,
    /// Fields whose value is replaced by `[redacted]`.
    pub redact: Vec<String>,
    /// Lines that may wait to be written, 1 to 1048576; what is beyond is dropped and counted.
    pub queue: u32,
}

impl Default for AccessLog {
    fn default() -> Self {
        Self {
            enabled: false,
            format: LogFormat::Json,
            path: "stdout".to_owned(),
            sample: 1.0,
            errors: true,
            template: None,
            fields: None,
            redact: Vec::new(),
            queue: 8_192,
        }
    }
}

/// How a line of the access log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
// A described variant would turn the schema's plain `enum` into a `oneOf`, and "did you mean" with it.
#[allow(missing_docs)]
pub enum LogFormat {
    Json,
    Text,
}

/// Traces: which trace a request belongs to, and spans of what was done for it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tracing {
    /// `http://HOST:PORT` of a collector that takes OTLP by gRPC. Absent: traces are begun and passed on, but
    /// no spans are sent.
    pub endpoint: Option<String>,
    /// Share of the traces begun here that are recorded, 0 to 1; a caller's decision is kept.
    pub sample: f64,
    /// `service.name` of the spans.
    pub service_name: String,
    /// For the collector to take a batch.
    pub timeout_ms: u64,
    /// How traces are read, the first that is well-formed, and said on, in all of them.
    pub propagation: Vec<PropagationFormat>,
    /// Requests whose spans may wait to be sent, 1 to 1048576; what is beyond is dropped and counted.
    pub queue: u32,
}

impl Default for Tracing {
    fn default() -> Self {
        Self {
            endpoint: None,
            sample: 0.01,
            service_name: "sidecar-proxy".to_owned(),
            timeout_ms: 5_000,
            propagation: vec![PropagationFormat::W3c],
            queue: 4_096,
        }
    }
}

/// How a place in a trace is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
// A described variant would turn the schema's plain `enum` into a `oneOf`, and "did you mean" with it.
#[allow(missing_docs)]
pub enum PropagationFormat {
    W3c,
    B3,
    B3multi,
}
