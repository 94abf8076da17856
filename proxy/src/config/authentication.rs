//! `security.authentication`: who asks.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who asks. Absent: nobody is asked.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Authentication {
    /// Who vouches for clients, by a name of your own; asked in the order of their names.
    pub providers: BTreeMap<String, CredentialProvider>,
    /// Of these, by name, one must know who asks, on routes that do not say (`authentication`). None: routes
    /// that do not say are open.
    pub required: Vec<String>,
}

/// One who vouches: exactly one of `jwt`, `introspection`, `api_keys` and `mtls`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CredentialProvider {
    /// JSON web tokens that an issuer has signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<Jwt>,
    /// Tokens of which their server is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub introspection: Option<Introspection>,
    /// Certificates of workloads, on listeners with `client_auth`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtls: Option<Mtls>,
    /// Keys that clients were given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_keys: Option<ApiKeys>,
    /// Where the credential stands: `bearer` (the Authorization field), `header:NAME` or `cookie:NAME`. Absent:
    /// bearer for tokens, `header:X-Api-Key` for keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// false: endpoints do not get the credential. true unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forward: Option<bool>,
    /// Header fields in which endpoints are told claims, by claim; `sub` is the name of a key's owner. Whatever
    /// clients send in these fields is taken away, on every route.
    pub claims_to_headers: BTreeMap<String, String>,
}

/// JSON web tokens (RFC 7519) signed with public keys.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Jwt {
    /// `iss` must be exactly this.
    pub issuer: String,
    /// `aud` must name one of these. None: it is not looked at.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// Which may sign: RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA. At least one.
    pub algorithms: Vec<String>,
    /// The file with the keys (JWKS), which is watched. Either this or `jwks_url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_file: Option<String>,
    /// Where the keys (JWKS) are fetched: http:// or https://. Either this or `jwks_file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_url: Option<String>,
    /// Whose certificates are believed of `jwks_url`. Absent: those that the system believes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_ca_path: Option<String>,
    /// How often keys are fetched; a token with a key that is not known has them fetched sooner. 300 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_refresh_s: Option<u64>,
    /// Clocks may differ so much; 60 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_skew_s: Option<u64>,
    /// Longer tokens are refused unread; 8192 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_token_bytes: Option<u64>,
    /// The claim that says who it is; sub unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal_claim: Option<String>,
}

/// Tokens of which the server is asked that has made them (RFC 7662).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Introspection {
    /// Where it is asked: https://, or http:// of this machine.
    pub url: String,
    /// Whose certificates are believed of it. Absent: those that the system believes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_path: Option<String>,
    /// What this proxy is called there. Absent: it does not say who it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The file with this proxy's secret there, which is watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_file: Option<String>,
    /// `iss` must be exactly this. Absent: it is not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// `aud` must name one of these. None: it is not looked at.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// A request waits so long for an answer; 1000 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// What stands is remembered so long, never past its `exp`; for so long a token that was taken back still
    /// passes. 30 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_s: Option<u64>,
    /// The most tokens that are remembered, by their hash; 10000 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cached: Option<u64>,
    /// Longer tokens are refused unasked; 8192 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_token_bytes: Option<u64>,
    /// What says who it is; sub unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal_claim: Option<String>,
}

/// Certificates of workloads, as the listener's `client_auth` believes them.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mtls {
    /// Whose: SPIFFE ids, or with `/*` at the end all below. None: of any that the listener lets in.
    pub allow: Vec<String>,
}

/// Keys that clients were given; only their SHA-256 is kept.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ApiKeys {
    /// Each with its owner.
    pub keys: Vec<ApiKey>,
    /// More of them, a name and a hash a line, in a file that is watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// One key.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// Whose it is.
    pub name: String,
    /// SHA-256 of it, 64 hex digits: `printf %s KEY | sha256sum`.
    pub sha256: String,
}
