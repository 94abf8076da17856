//! `server` and `admin`: the two listeners.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::edge::{Http2, PathRules};
use super::overload::Overload;

/// The main listener.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// The IP address to listen on.
    pub bind_address: String,
    /// The port; 0 takes a free one.
    pub port: u16,
    /// The configuration file, certificate and key are watched, and reloaded when their content has changed.
    pub watch_files: bool,
    /// Client connections at once; more are closed at once.
    pub max_connections: u32,
    /// Worker threads. Absent: one per core.
    pub workers: Option<u32>,
    /// To reach an endpoint. Absent: 5000, or the request timeout if that is shorter.
    pub connection_timeout_ms: Option<u64>,
    /// From the request's head to the response's head.
    pub request_timeout_ms: u64,
    /// A connection without a request, or with responses that its client does not read.
    pub idle_timeout_ms: u64,
    /// A connection that has become a tunnel (WebSocket) of which nothing moves in either direction.
    pub tunnel_idle_timeout_ms: u64,
    /// Where clients may be connected to by CONNECT. Absent: nowhere, the method is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect: Option<Connect>,
    /// To read a request's head.
    pub header_timeout_ms: u64,
    /// The largest request head that is read, 8192 to 1048576 bytes.
    pub max_header_bytes: u32,
    /// Header fields in one request; more are answered 431.
    pub max_headers: u32,
    /// The longest request target; a longer one is answered 414.
    pub max_uri_bytes: u32,
    /// The largest request body; a larger one is answered 413, declared or not. Absent: no bound.
    pub max_body_bytes: Option<u64>,
    /// Over so long a stretch a body under way must keep `min_body_rate`.
    pub body_timeout_ms: u64,
    /// Bytes a second that a request's body must bring on average while its client is waited for; a slower one
    /// is answered 408. 0: any.
    pub min_body_rate: u32,
    /// Header names with `_` are taken. Many servers cannot tell them from `-`, so by default they are refused.
    pub allow_underscores: bool,
    /// What is made of a request's path.
    pub path: PathRules,
    /// What one HTTP/2 connection of a client may ask for.
    pub http2: Http2,
    /// What is done before memory or file descriptors run out.
    pub overload: Overload,
    /// Listeners stay open so long after a drain began. Absent: 5000, or the drain timeout if shorter.
    pub drain_ms: Option<u64>,
    /// The process ends so long after a drain began, whatever is still open.
    pub drain_timeout_ms: u64,
    /// Networks or addresses whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<String>,
    /// Idle upstream connections kept per endpoint and worker.
    pub max_idle_per_endpoint: u32,
    /// Clients are served over TLS (1.2 and 1.3; HTTP/2 and HTTP/1.1 by ALPN). Absent: in clear text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            bind_address: "0.0.0.0".to_owned(),
            port: 8000,
            watch_files: true,
            max_connections: 10_000,
            workers: None,
            connection_timeout_ms: None,
            request_timeout_ms: 30_000,
            idle_timeout_ms: 60_000,
            tunnel_idle_timeout_ms: 300_000,
            connect: None,
            header_timeout_ms: 10_000,
            max_header_bytes: 65_536,
            max_headers: 100,
            max_uri_bytes: 8_192,
            max_body_bytes: None,
            body_timeout_ms: 15_000,
            min_body_rate: 64,
            allow_underscores: false,
            path: PathRules::default(),
            http2: Http2::default(),
            overload: Overload::default(),
            drain_ms: None,
            drain_timeout_ms: 30_000,
            trusted_proxies: Vec::new(),
            max_idle_per_endpoint: 64,
            tls: None,
        }
    }
}

/// Tunnels by CONNECT, over HTTP/1.1.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connect {
    /// `HOST:PORT` each, as the client must say it; nothing else is connected to.
    pub allow: Vec<String>,
}

/// A listener's certificate.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// File with the certificate chain, PEM.
    pub certificate: String,
    /// File with the private key, PEM.
    pub key: String,
    /// The oldest version that is spoken.
    #[serde(default)]
    pub min_version: TlsVersion,
    /// To finish a handshake.
    #[serde(default = "default_handshake_ms")]
    pub handshake_timeout_ms: u64,
    /// Whether clients show certificates that name them (mutual TLS). Absent: none is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_auth: Option<ClientAuth>,
}

/// Clients' certificates: X509-SVIDs, which name a workload by its SPIFFE id.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientAuth {
    /// off: none is asked for. permissive: who shows none is served without an identity, but one that is shown
    /// must be good. strict: who shows none, or one that is not good, is refused in the handshake.
    pub mode: ClientAuthMode,
    /// The trust bundle: file with the certificates of the authorities that are believed, PEM. Old and new ones
    /// are both believed while they stand in it together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_path: Option<String>,
    /// File with certificate revocation lists, PEM (or one in DER).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crl_path: Option<String>,
    /// Who may come: SPIFFE ids, or all under a path (`spiffe://mesh.local/shop/*`). None: whoever the bundle
    /// vouches for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<String>,
}

/// Whether clients must show certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
// A described variant would turn the schema's plain `enum` into a `oneOf`, and "did you mean" with it.
#[allow(missing_docs)]
pub enum ClientAuthMode {
    Off,
    Permissive,
    Strict,
}

fn default_handshake_ms() -> u64 {
    10_000
}

/// Versions of TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
// A described variant would turn the schema's plain `enum` into a `oneOf`, and "did you mean" with it.
#[allow(missing_docs)]
pub enum TlsVersion {
    #[default]
    #[serde(rename = "1.2")]
    V1_2,
    #[serde(rename = "1.3")]
    V1_3,
}

/// The admin listener.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// The IP address to listen on.
    pub bind_address: String,
    /// The port; 0 takes a free one.
    pub port: u16,
    /// The file with the bearer token for writes, or `env:NAME`, or `credential:NAME` (systemd). Absent:
    /// `proxy-PORT.token` in the data directory; made (0600) where there is none.
    pub token_path: Option<String>,
    /// The file with a bearer token that may only read, made (0600) where there is none. Absent: there is no such
    /// token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub viewer_token_path: Option<String>,
    /// Whether `/status` and `/metrics` are told to whoever asks. Otherwise they need a viewer or an operator.
    pub open_reads: bool,
    /// The listener speaks TLS; with `client_auth` it knows workloads by their certificates. Absent: clear text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Workloads that may do everything, as the brain must: SPIFFE ids, or all under a path. Who shows the token
    /// needs not be one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub operators: Vec<String>,
    /// Workloads that may read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub viewers: Vec<String>,
    /// Where epoch and freeze survive a restart. Absent: `proxy-PORT.state.json` in the data directory.
    pub state_path: Option<String>,
    /// The Unix socket (0600) at which `start --take-over` gets the listening sockets of the process that
    /// runs. Absent: `proxy-PORT.sock` beside `state_path`.
    pub hand_over_path: Option<String>,
    /// Names under which the listener is spoken to, beside addresses, names without a dot, `*.localhost`, this
    /// machine's name and that of `ai.admin_url`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_hosts: Vec<String>,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            bind_address: "127.0.0.1".to_owned(),
            port: 9901,
            token_path: None,
            viewer_token_path: None,
            open_reads: true,
            tls: None,
            operators: Vec::new(),
            viewers: Vec::new(),
            state_path: None,
            hand_over_path: None,
            allowed_hosts: Vec::new(),
        }
    }
}
