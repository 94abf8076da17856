//! `cors`: of a route, or common in `security`; and `security.response_headers`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What pages of other origins may do (the Fetch standard's CORS protocol). Preflights are answered here and
/// reach no endpoint; what endpoints say of it themselves is replaced.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cors {
    /// Whose pages: `https://app.example`, `https://*.app.example` (what lies below), `null`, or `*` for any.
    /// None: the proxy takes no part in it.
    pub origins: Vec<String>,
    /// Methods beside GET, HEAD and POST, which need no permission.
    pub methods: Vec<String>,
    /// Header fields that pages may send; `*` for any but Authorization, which must be named.
    pub headers: Vec<String>,
    /// Header fields of the answer that pages may read.
    pub expose: Vec<String>,
    /// Whether with cookies and other credentials; not with `*`.
    pub credentials: bool,
    /// How long browsers may remember a preflight's answer. Absent: their own 5 seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age_s: Option<u64>,
}

/// Header fields of responses that tell browsers to be careful; an endpoint that says one itself is believed.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResponseHeaders {
    /// Strict-Transport-Security, over TLS only. Absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hsts: Option<Hsts>,
    /// X-Content-Type-Options: nosniff.
    pub nosniff: bool,
    /// X-Frame-Options: deny or sameorigin. Absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame_options: Option<FrameOptions>,
    /// Referrer-Policy, as it stands here. Absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub referrer_policy: Option<String>,
    /// Content-Security-Policy, as it stands here. Absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_security_policy: Option<String>,
    /// Permissions-Policy, as it stands here. Absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permissions_policy: Option<String>,
}

/// Strict-Transport-Security (RFC 6797).
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Hsts {
    /// For so long browsers come over TLS alone.
    pub max_age_s: u64,
    /// To hosts below this one too.
    pub include_subdomains: bool,
    /// May be built into browsers.
    pub preload: bool,
}

/// Who may show a page in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
// A described variant would turn the schema's plain `enum` into a `oneOf`, and "did you mean" with it.
#[allow(missing_docs)]
pub enum FrameOptions {
    Deny,
    Sameorigin,
}
