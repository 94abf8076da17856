//! `routes`: which request goes where, with the semantics of the Kubernetes Gateway API.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cors::Cors;
use super::limits::Priority;
use super::route_filters::{Cohort, Fault, HeaderEdits, Mirror, Redirect, Respond, Rewrite};
use super::route_match::{GrpcRule, MatchRule, PathRule, SourceRule, ValueRule};

/// One route. Precedence: host, exact path, longest prefix, method, headers, query, then file order.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Its name: a label in metrics and telemetry. Absent: `route-N`, counted from 1.
    #[serde(default)]
    pub name: Option<String>,
    /// Hosts without port; `*.example.com` takes every host below example.com. None: any host.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// The path. Absent: any.
    #[serde(default)]
    pub path: PathRule,
    /// Methods. None: any.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Headers that must be there: exactly this value, or another test of it.
    #[serde(default)]
    pub headers: BTreeMap<String, ValueRule>,
    /// Query parameters that must be there: exactly this value, or another test of it.
    #[serde(default)]
    pub query: BTreeMap<String, ValueRule>,
    /// Cookies that must be there: exactly this value, or another test of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cookies: BTreeMap<String, ValueRule>,
    /// A gRPC call: instead of the path and the methods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc: Option<GrpcRule>,
    /// Who asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceRule>,
    /// Several alternatives, of which one is enough: instead of the keys above, hosts apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<MatchRule>,
    /// Where it goes; at least one target, unless the route answers itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub split: Vec<Split>,
    /// Instead of a split: the client is sent elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<Redirect>,
    /// Instead of a split: a response of the proxy's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub respond: Option<Respond>,
    /// Protocols that a connection may go on in (`Upgrade`), once an endpoint agrees. Others are not asked for.
    #[serde(default = "websocket")]
    pub upgrades: Vec<String>,
    /// What the endpoint is asked for instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<Rewrite>,
    /// Changes of the request's header fields, before an endpoint sees them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_headers: Option<HeaderEdits>,
    /// Changes of the response's header fields, before the client sees them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_headers: Option<HeaderEdits>,
    /// Copies of its requests, sent beside. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Mirror>,
    /// The same client always gets the same share of the split. Absent: by turns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cohort: Option<Cohort>,
    /// From the request's head to the response's head, of requests by this route. Absent: the service's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_timeout_ms: Option<u64>,
    /// For one attempt of several. Absent: the service's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_try_timeout_ms: Option<u64>,
    /// false: its requests are never sent again, whatever the service's `retry` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<bool>,
    /// Who goes first when there is not enough for all; normal unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// What pages of other origins may do. Absent: as `security.cors` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
    /// Of these providers of `security.authentication`, by name, one must know who asks; `[]`: nobody is asked.
    /// Absent: as `security.authentication.required` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Vec<String>>,
    /// Faults for game days. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

fn websocket() -> Vec<String> {
    vec!["websocket".to_owned()]
}

impl Route {
    /// What the route itself says of the requests it takes.
    #[must_use]
    pub fn own_match(&self) -> MatchRule {
        MatchRule {
            path: self.path.clone(),
            methods: self.methods.clone(),
            headers: self.headers.clone(),
            query: self.query.clone(),
            cookies: self.cookies.clone(),
            grpc: self.grpc.clone(),
            source: self.source.clone(),
        }
    }
}

/// One share of a split.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// The service.
    pub service: String,
    /// Only its endpoints of this version.
    #[serde(default)]
    pub version: Option<String>,
    /// Only its endpoints with all of these labels in their `metadata`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Share relative to the others; 0 means none.
    #[serde(default = "default_weight")]
    pub weight: u32,
}

fn default_weight() -> u32 {
    1
}
