//! `routes`: which request goes where, with the semantics of the Kubernetes Gateway API.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::route_match::{GrpcRule, MatchRule, PathRule, ValueRule};

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
    /// Several alternatives, of which one is enough: instead of the keys above, hosts apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<MatchRule>,
    /// Where it goes; at least one target.
    pub split: Vec<Split>,
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
