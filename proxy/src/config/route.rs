//! `routes`: which request goes where, with the semantics of the Kubernetes Gateway API.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// Headers that must be there with exactly this value.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Query parameters that must be there with exactly this value.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// Where it goes; at least one target.
    pub split: Vec<Split>,
}

/// What a path must be: one of the two.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PathRule {
    /// Exactly this.
    pub exact: Option<String>,
    /// This, or this followed by `/…`.
    pub prefix: Option<String>,
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
    /// Share relative to the others; 0 means none.
    #[serde(default = "default_weight")]
    pub weight: u32,
}

fn default_weight() -> u32 {
    1
}
