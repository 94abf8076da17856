//! What a request must be for a route to take it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One alternative: everything it names must hold. Nothing named: every request.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MatchRule {
    /// The path, without the query. Absent: any.
    pub path: PathRule,
    /// Methods. None: any.
    pub methods: Vec<String>,
    /// Headers, by name. Of a repeated header all values count, joined by `, `.
    pub headers: BTreeMap<String, ValueRule>,
    /// Query parameters, by name. Of a repeated parameter the first counts.
    pub query: BTreeMap<String, ValueRule>,
    /// Cookies, by name. Of a repeated cookie the first counts.
    pub cookies: BTreeMap<String, ValueRule>,
    /// A gRPC call: instead of the path and the methods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc: Option<GrpcRule>,
    /// Who asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceRule>,
}

/// Who asks, by the identity that the client's certificate gives it (`server.tls.client_auth`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceRule {
    /// SPIFFE ids, or all under a path (`spiffe://mesh.local/shop/*`): one of them must be the client's.
    pub principals: Vec<String>,
}

/// What a path must be: at most one of the three.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PathRule {
    /// Exactly this.
    pub exact: Option<String>,
    /// This, or this followed by `/…`.
    pub prefix: Option<String>,
    /// All of it matches this regular expression. Goes after exact paths and before prefixes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
}

/// What a header, query parameter or cookie must be: a text is the exact value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ValueRule {
    /// Exactly this.
    Exact(String),
    /// One of several tests.
    Test(ValueTest),
}

/// A test of a value: exactly one of the three.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ValueTest {
    /// Exactly this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
    /// All of it matches this regular expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
    /// It is there (true), or it is not (false), whatever its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub present: Option<bool>,
}

/// A gRPC call: POST of `application/grpc` to `/SERVICE/METHOD`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrpcRule {
    /// The full name of the service, as in `shop.v1.Cart`.
    pub service: String,
    /// The method. Absent: any of the service's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
}
