//! What is spoken to a service's endpoints.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::server::TlsVersion;

/// The HTTP version of the way to an endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
// A described variant would turn the schema's plain `enum` into a `oneOf`, and "did you mean" with it.
#[allow(missing_docs)]
pub enum ProtocolName {
    #[default]
    Http1,
    Http2,
    Auto,
}

/// HTTP/2 connections to endpoints.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UpstreamHttp2 {
    /// Requests at once on one connection, or fewer if the endpoint says so.
    pub max_concurrent_streams: u32,
    /// Bytes of a response that may wait for a client that does not read, 65535 to 16777216. A connection's
    /// window is as large as all its streams' together, so that no slow client holds up another.
    pub stream_window_bytes: u32,
    /// A PING is sent so often while requests are under way; who does not answer within the same time is cut
    /// off. 0: never.
    pub keepalive_interval_ms: u64,
}

impl Default for UpstreamHttp2 {
    fn default() -> Self {
        Self { max_concurrent_streams: 100, stream_window_bytes: 262_144, keepalive_interval_ms: 30_000 }
    }
}

/// TLS to endpoints.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UpstreamTls {
    /// File with the certificates that are trusted, PEM. Absent: those of the system.
    pub ca_path: Option<String>,
    /// File with certificates that were revoked (CRLs), PEM or one in DER; it is watched. Of authorities without a list
    /// in it nothing is known to be revoked. Absent: nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crl_path: Option<String>,
    /// The name that is asked for and that the certificate must be for. Absent: each endpoint's address.
    pub server_name: Option<String>,
    /// The workload that must answer, by the SPIFFE id in its certificate, or all under a path
    /// (`spiffe://mesh.local/payments/*`). Then host names in certificates do not count, and `ca_path` is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spiffe_id: Option<String>,
    /// File with the certificate chain that is shown to endpoints that ask for one, PEM. Absent: none is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// File with its private key, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Whether certificates are looked at. Without that, anyone on the way may answer in the endpoint's name.
    pub verify: bool,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
}

impl Default for UpstreamTls {
    fn default() -> Self {
        Self {
            ca_path: None,
            crl_path: None,
            server_name: None,
            spiffe_id: None,
            certificate: None,
            key: None,
            verify: true,
            min_version: TlsVersion::default(),
        }
    }
}
