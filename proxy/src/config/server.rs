//! `server` and `admin`: the two listeners.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The main listener.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// The IP address to listen on.
    pub bind_address: String,
    /// The port; 0 takes a free one.
    pub port: u16,
    /// Client connections at once; more are closed at once.
    pub max_connections: u32,
    /// Worker threads. Absent: one per core.
    pub workers: Option<u32>,
    /// To reach an endpoint. Absent: 5000, or the request timeout if that is shorter.
    pub connection_timeout_ms: Option<u64>,
    /// From the request's head to the response's head.
    pub request_timeout_ms: u64,
    /// A connection without a request.
    pub idle_timeout_ms: u64,
    /// To read a request's head.
    pub header_timeout_ms: u64,
    /// The largest request head that is read, 8192 to 1048576 bytes.
    pub max_header_bytes: u32,
    /// Listeners stay open so long after a drain began. Absent: 5000, or the drain timeout if shorter.
    pub drain_ms: Option<u64>,
    /// The process ends so long after a drain began, whatever is still open.
    pub drain_timeout_ms: u64,
    /// Networks or addresses whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<String>,
    /// Idle upstream connections kept per endpoint and worker.
    pub max_idle_per_endpoint: u32,
    /// Not carried out by this build; its files are looked for all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            bind_address: "0.0.0.0".to_owned(),
            port: 8000,
            max_connections: 10_000,
            workers: None,
            connection_timeout_ms: None,
            request_timeout_ms: 30_000,
            idle_timeout_ms: 60_000,
            header_timeout_ms: 10_000,
            max_header_bytes: 65_536,
            drain_ms: None,
            drain_timeout_ms: 30_000,
            trusted_proxies: Vec::new(),
            max_idle_per_endpoint: 64,
            tls: None,
        }
    }
}

/// The main listener's certificate.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// File with the certificate chain, PEM.
    pub certificate: String,
    /// File with the private key, PEM.
    pub key: String,
}

/// The admin listener.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// The IP address to listen on.
    pub bind_address: String,
    /// The port; 0 takes a free one.
    pub port: u16,
    /// The file with the bearer token for writes. Absent: `proxy-PORT.token` in the data directory;
    /// made (0600) where there is none.
    pub token_path: Option<String>,
    /// Where epoch and freeze survive a restart. Absent: `proxy-PORT.state.json` in the data directory.
    pub state_path: Option<String>,
}

impl Default for Admin {
    fn default() -> Self {
        Self { bind_address: "127.0.0.1".to_owned(), port: 9901, token_path: None, state_path: None }
    }
}
