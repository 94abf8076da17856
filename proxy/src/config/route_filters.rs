//! What a route does to the requests it takes, beside forwarding them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::route_match::ValueRule;

/// What the endpoint is asked for instead.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rewrite {
    /// This path instead of the whole path.
    pub path: Option<String>,
    /// This path instead of the prefix that the route matched.
    pub prefix: Option<String>,
    /// This host instead of the client's.
    pub host: Option<String>,
}

/// The client is sent elsewhere; what is not given stays as it is. The query is kept.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Redirect {
    /// Absent: the request's. Given, the port is the scheme's own unless it is given too.
    pub scheme: Option<SchemeName>,
    /// A host without port.
    pub host: Option<String>,
    /// A port.
    pub port: Option<u16>,
    /// This path instead of the whole path.
    pub path: Option<String>,
    /// This path instead of the prefix that the route matched.
    pub prefix: Option<String>,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

impl Default for Redirect {
    fn default() -> Self {
        Self { scheme: None, host: None, port: None, path: None, prefix: None, status: 302 }
    }
}

/// Schemes to be redirected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum SchemeName {
    Http,
    Https,
}

/// A response of the proxy's own.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Respond {
    /// 200 to 599.
    pub status: u16,
    /// The body, at most 65536 bytes.
    #[serde(default)]
    pub body: String,
    /// The body's type.
    #[serde(default = "plain_text")]
    pub content_type: String,
}

fn plain_text() -> String {
    "text/plain; charset=utf-8".to_owned()
}

/// Changes of header fields: first removed, then set, then added. Each name stands in one of the three.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HeaderEdits {
    /// Instead of what is there.
    pub set: BTreeMap<String, String>,
    /// Beside what is there.
    pub add: BTreeMap<String, String>,
    /// Taken away.
    pub remove: Vec<String>,
}

/// Copies of requests, sent beside; nobody waits for their answers.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// The service.
    pub service: String,
    /// Only its endpoints of this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Only its endpoints with all of these labels in their `metadata`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Share of the requests that are copied, 0 to 100.
    #[serde(default = "all")]
    pub percent: f64,
    /// Requests with a longer body are not copied.
    #[serde(default = "mirrored_body")]
    pub max_body_bytes: u32,
    /// Copies on their way at once, per worker; more are not sent.
    #[serde(default = "mirrored_at_once")]
    pub max_in_flight: u32,
}

fn all() -> f64 {
    100.0
}

fn mirrored_body() -> u32 {
    65_536
}

fn mirrored_at_once() -> u32 {
    64
}

/// The same client always gets the same share of the split.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cohort {
    /// By what a client is known: header:NAME, cookie:NAME, query:NAME or ip. Requests without it are
    /// split by turns.
    pub key: String,
    /// A header that may name the version to be served by. Absent: clients cannot choose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin_header: Option<String>,
}

/// Faults for game days: what the proxy does to requests on purpose.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Fault {
    /// Requests wait before they are forwarded.
    pub delay: Option<FaultDelay>,
    /// Requests are not forwarded.
    pub abort: Option<FaultAbort>,
    /// Only requests with these headers are touched. None: all of the route's.
    pub only_with: BTreeMap<String, ValueRule>,
}

/// Requests wait.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultDelay {
    /// For so long, 1 to 60000.
    pub ms: u64,
    /// Share of the requests, 0 to 100.
    pub percent: f64,
}

/// Requests fail: with a status, or with a connection that breaks off.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultAbort {
    /// The response's, 400 to 599.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Instead of a status: HTTP/1 connections are closed, HTTP/2 streams reset, without an answer.
    #[serde(default)]
    pub reset: bool,
    /// Share of the requests, 0 to 100.
    pub percent: f64,
}
