//! The shape of `brain.yaml`: what may be written, nothing about whether it can work.
//!
//! Only [`crate::settings`] reads these types.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::Role;
use crate::domain::Mode;

/// The whole file. Every key may be left out.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where people, scripts and the console are served.
    pub api: ApiListener,
    /// Where proxies report.
    pub telemetry: TelemetryListener,
    /// The upper bound of autonomy at start; `advisory` when absent.
    pub mode: Option<Mode>,
    /// Holds `lightsout.db` and the tokens made at first start.
    pub data_dir: Option<PathBuf>,
    /// Rules and guard; the shipped ones stand in where it does not exist.
    pub policies_dir: Option<PathBuf>,
    /// Proxies whose announced action API is overridden.
    pub proxies: Vec<ProxyEntry>,
    /// The token shown to the action API of every proxy that is not listed.
    pub mesh_token_path: Option<PathBuf>,
    /// Who may write, each with a token of their own; the API's own token is the person `operator`.
    pub people: Vec<PersonEntry>,
    /// The language model that may advise.
    pub advisor: Advisor,
    /// Who is told when a person is needed.
    pub notify: Notify,
    /// Who is asked for replicas.
    pub scale: Scale,
    /// What becomes of the audit log over time.
    pub audit: Audit,
}

/// A webhook of whoever runs the services, which is asked for replicas (the action `scale`); absent: nobody is.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Scale {
    /// Where to.
    pub url: Option<String>,
    /// A file with the secret that signs each request; needed with `url`.
    pub secret_path: Option<PathBuf>,
}

/// A webhook that is told when somebody must agree, when harm was done, when all is stopped.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Notify {
    /// Where to: a Slack incoming webhook, or whatever takes its JSON.
    pub url: Option<String>,
    /// A file with the secret that signs each message.
    pub secret_path: Option<PathBuf>,
    /// The console's address as people reach it, for links.
    pub console_url: Option<String>,
}

/// How long the audit log is kept, and where its head is beyond this disk.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// A file to which the log's head is appended now and then, best on another disk.
    pub anchor_path: Option<PathBuf>,
    /// A webhook to which it is sent.
    pub anchor_url: Option<String>,
    /// A file with the secret that signs it.
    pub anchor_secret_path: Option<PathBuf>,
    /// How often, 1 to 86,400 s; 600 where absent.
    pub anchor_every_s: Option<u64>,
    /// Records older than so many days are removed under a signed tombstone, 1 to 36,500; absent: none is.
    pub keep_days: Option<u32>,
    /// Of more records than these the oldest are removed under a signed tombstone, 1,000 at least; absent: none is.
    pub keep_records: Option<u64>,
}

/// Somebody, or some program, whose name the audit log writes down.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonEntry {
    /// As the audit log calls them.
    pub name: String,
    /// A file with their bare token, which must exist.
    #[serde(default)]
    pub token_path: Option<PathBuf>,
    /// Their SPIFFE id, instead of a token or beside it: whoever shows its certificate (`api.tls.ca_path`) is they.
    #[serde(default)]
    pub spiffe_id: Option<String>,
    /// A program that acts for people: it is not one of two who must agree.
    #[serde(default)]
    pub pipeline: bool,
    /// What they may do. Absent: `operator`, or `pipeline` where that is true.
    #[serde(default)]
    pub role: Option<Role>,
}

/// The API's listening socket.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ApiListener {
    /// An IP address.
    pub bind_address: Option<String>,
    /// 0 takes a free one.
    pub port: Option<u16>,
    /// A file with one bare token: the operator's.
    pub token_path: Option<PathBuf>,
    /// Whether reads need no token. Absent: on loopback only.
    pub open_reads: Option<bool>,
    /// Names under which the API is spoken to, beside addresses, names without a dot and `*.localhost`.
    pub allowed_hosts: Vec<String>,
    /// The API and the console are served by https alone.
    pub tls: Option<ApiTls>,
}

/// The API's certificate. The files are read again when they change.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiTls {
    /// File with the certificate chain, PEM.
    pub certificate: PathBuf,
    /// File with its key, PEM.
    pub key: PathBuf,
    /// File with the authorities whose certificates name people (their `spiffe_id`), PEM. Absent: clients are asked
    /// for none.
    #[serde(default)]
    pub ca_path: Option<PathBuf>,
    /// File with certificate revocation lists.
    #[serde(default)]
    pub crl_path: Option<PathBuf>,
}

/// Where proxies report.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryListener {
    /// An IP address.
    pub bind_address: Option<String>,
    /// 0 takes a free one.
    pub port: Option<u16>,
    /// A file with one bare token: what proxies show.
    pub token_path: Option<PathBuf>,
    /// Mutual TLS: who shows a certificate that is believed needs no token.
    pub tls: Option<TelemetryTls>,
}

/// The brain's identity, and which proxies may come. The files are read again when they change.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TelemetryTls {
    /// File with the brain's certificate chain, PEM.
    pub certificate: PathBuf,
    /// File with its key, PEM.
    pub key: PathBuf,
    /// File with the authorities that are believed, PEM.
    pub ca_path: PathBuf,
    /// File with certificate revocation lists.
    #[serde(default)]
    pub crl_path: Option<PathBuf>,
    /// Which proxies may come: SPIFFE ids, or all under a path (`spiffe://mesh.local/proxies/*`).
    pub allowed: Vec<String>,
}

/// One listening socket.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Listener {
    /// An IP address.
    pub bind_address: Option<String>,
    /// 0 takes a free one.
    pub port: Option<u16>,
    /// A file with one bare token.
    pub token_path: Option<PathBuf>,
}

/// One proxy, as the operator knows it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProxyEntry {
    /// Its id, as it announces itself.
    pub id: String,
    /// The URL of its action API.
    pub admin: String,
    /// The token its action API wants; the mesh's where absent.
    #[serde(default)]
    pub token_path: Option<PathBuf>,
}

/// Who may be asked for advice.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Advisor {
    /// `none` where absent.
    pub provider: Option<Provider>,
    /// The model's name at the provider.
    pub model: Option<String>,
    /// Another server that speaks the provider's API.
    pub base_url: Option<String>,
    /// A file with the key.
    pub api_key_path: Option<PathBuf>,
    /// The least confidence an action may have.
    pub decision_threshold: Option<f64>,
    /// How long it may take, 100 to 60,000 ms; 8,000 where absent.
    pub timeout_ms: Option<u64>,
    /// Questions an hour; 30 where absent.
    pub calls_per_hour: Option<u32>,
    /// Tokens an hour, in and out; 100,000 where absent.
    pub tokens_per_hour: Option<u64>,
    /// US dollars an hour, by `usd_per_million_tokens`.
    pub usd_per_hour: Option<f64>,
    /// What a million tokens cost.
    pub usd_per_million_tokens: Option<f64>,
    /// Whether it is shown addresses of endpoints; addresses of clients it never is.
    pub send_addresses: Option<bool>,
}

/// The closed set of providers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// `OpenAI`, or a server that speaks its API.
    Openai,
    /// Azure `OpenAI`.
    Azure,
    /// Anthropic.
    Anthropic,
    /// Nobody is asked.
    None,
}
