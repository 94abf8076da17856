//! `security.authorization`: whether who asks may do what is asked.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether who asks may do what is asked. Absent: everything is allowed. Once it is there, nothing is that no
/// rule allows; with several ways to decide, all must allow it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Authorization {
    /// `shadow`: the same is decided, counted and logged, and nobody is refused.
    pub mode: AuthorizationMode,
    /// A rule that denies wins over all that allow, whatever their order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<AuthorizationRule>>,
    /// Policies in Cedar's language. Absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cedar: Option<CedarPolicies>,
    /// Policies in Rego, the language of Open Policy Agent. Absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rego: Option<RegoPolicies>,
    /// An authorizer elsewhere, asked about what the others allow. Absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalAuthorizer>,
}

/// Whether decisions hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
// A described variant would turn the schema's plain `enum` into a `oneOf`, and "did you mean" with it.
#[allow(missing_docs)]
pub enum AuthorizationMode {
    #[default]
    Enforce,
    Shadow,
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum AuthorizationEffect {
    Allow,
    Deny,
}

/// One rule: everything that it says must hold, of a list one entry; what it does not say may be anything.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthorizationRule {
    /// Its name in logs. Absent: `rule-N`, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// allow or deny.
    pub effect: AuthorizationEffect,
    /// Who asks: `PROVIDER:ID`, `PROVIDER:*`, or `*` for whoever is known. None: anyone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub principals: Vec<String>,
    /// What a token says of who asks: the claim is, or holds, one of these texts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<String, Vec<String>>,
    /// From which networks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
    /// Methods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Paths: `/a`, or `/a/*` for /a and all below it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Routes, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<String>,
    /// Services: a rule that allows must name all that the route may lead to, one that denies any of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
}

/// Policies in Cedar's language, checked against the schema when they are read.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CedarPolicies {
    /// A file, or a folder of which every `*.cedar` is read; watched.
    pub policies: String,
}

/// Policies in Rego (in builds with the feature `rego`).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegoPolicies {
    /// A file, or a folder of which every `*.rego` is read; watched.
    pub policies: String,
    /// The rule that must be true: `data.PACKAGE.RULE`.
    pub rule: String,
}

/// An authorizer elsewhere. It gets a request's head, and its body where `request_body` says so.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExternalAuthorizer {
    /// Where it is: http:// or https://. Over HTTP the request's target is appended to its path.
    pub url: String,
    /// http: 2xx allows, 3xx and 4xx is what the client is answered. grpc: Envoy's ext_authz v3. http unless given.
    #[serde(default)]
    pub protocol: ExternalProtocol,
    /// Whose certificates are believed of it. Absent: those that the system believes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_path: Option<String>,
    /// A request waits so long for it; 200 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// deny or allow: what becomes of requests that it cannot be asked about. deny unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<AuthorizationEffect>,
    /// The header fields that it gets. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_headers: Option<Vec<String>>,
    /// How much of the request's body it gets, which is kept until it has answered. Absent: none of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_body: Option<AuthorizerBody>,
    /// The header fields that it may add to requests; what clients say in them is taken away.
    #[serde(default)]
    pub endpoint_headers: Vec<String>,
    /// The header fields of a denial that clients get. Absent: content-type, location, www-authenticate,
    /// retry-after, set-cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_headers: Option<Vec<String>>,
}

/// How much of a request's body an authorizer gets, as `with_request_body` of Envoy's ext_authz has it: the field
/// `x-envoy-auth-partial-body` says whether that is not all. Requests wait for it: not for calls that stream.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthorizerBody {
    /// At most so much, 1 to 10485760.
    pub max_bytes: u64,
    /// true: of a longer body it gets the beginning. Otherwise a longer one is refused with 413.
    #[serde(default)]
    pub allow_partial: bool,
    /// Over gRPC, true: in `raw_body`, as it is. Otherwise in `body`, as UTF-8.
    #[serde(default)]
    pub as_bytes: bool,
}

/// What is spoken with an authorizer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum ExternalProtocol {
    #[default]
    Http,
    Grpc,
}
