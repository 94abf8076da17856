//! Validated settings: parsed once, trusted from then on.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use protocol::document::{Document, Report};
use reqwest::Url;

use trust::identity::allowed::Principal;
use trust::identity::client_auth::{ClientAuthFiles, Demand};

use crate::access::{self, Role};
use crate::config::{Advisor, ApiListener, Config, Listener, PersonEntry, Provider};
use crate::config::{TelemetryListener, TelemetryTls as TlsEntry};
use crate::domain::Mode;

/// The most proxies one brain watches.
pub const MAX_PROXIES: usize = 1_024;
/// The most people with a token of their own.
const MAX_PEOPLE: usize = 256;
/// The name of whoever holds the API's own token.
pub const OPERATOR: &str = "operator";
/// The longest admin URL that is taken.
const MAX_URL_BYTES: usize = 512;

/// Everything the brain runs with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where people are served.
    pub api: ListenerSettings,
    /// Whether reads of the API need no token.
    pub open_reads: bool,
    /// Under which names the API is spoken to beside those that no stranger can have.
    pub allowed_hosts: Vec<String>,
    /// Where proxies report.
    pub telemetry: ListenerSettings,
    /// How the telemetry listener is secured; absent: not at all.
    pub telemetry_tls: Option<TelemetryTls>,
    /// The upper bound of autonomy at start. A person's change through the API lives until a restart.
    pub mode: Mode,
    /// Holds the store and the tokens.
    pub data_dir: PathBuf,
    /// Rules and guard.
    pub policies_dir: PathBuf,
    /// Overrides by proxy id.
    pub proxies: BTreeMap<String, ProxySettings>,
    /// The token for every other proxy.
    pub mesh_token_path: Option<PathBuf>,
    /// Who may write beside the holder of the API's own token.
    pub people: Vec<PersonSettings>,
    /// Nothing is done alone below this probability, whatever the policies say.
    pub least_confidence: f64,
    /// Who is told when a person is needed.
    pub notify: Option<HookSettings>,
    /// The console as people reach it.
    pub console_url: Option<Url>,
    /// The audit log beyond this disk.
    pub audit: AuditSettings,
    /// The language model that may be asked.
    pub advisor: Option<AdvisorSettings>,
}

/// A language model, and what may be spent on it.
#[derive(Debug, Clone)]
pub struct AdvisorSettings {
    /// Whose API is spoken.
    pub provider: crate::advisor::Provider,
    /// Where.
    pub base: Url,
    /// Its name.
    pub model: String,
    /// The file of its key.
    pub key_path: PathBuf,
    /// How long it may take.
    pub deadline: std::time::Duration,
    /// What may be spent in an hour.
    pub limits: crate::advisor::Limits,
    /// Whether it is shown addresses of endpoints.
    pub addresses: bool,
}

/// A receiver of messages.
#[derive(Debug, Clone)]
pub struct HookSettings {
    /// Where.
    pub url: Url,
    /// The file of the secret that signs them.
    pub secret_path: Option<PathBuf>,
}

/// The audit log beyond this disk.
#[derive(Debug, Clone)]
pub struct AuditSettings {
    /// Where its head is kept.
    pub anchor_path: Option<PathBuf>,
    /// To whom it is sent.
    pub anchor_hook: Option<HookSettings>,
    /// How often.
    pub anchor_every: std::time::Duration,
}

/// One listening socket and its token.
#[derive(Debug, Clone)]
pub struct ListenerSettings {
    /// Where to listen.
    pub address: SocketAddr,
    /// The token's file, made where absent.
    pub token_path: PathBuf,
}

/// The files of the telemetry listener's TLS.
#[derive(Debug, Clone)]
pub struct TelemetryTls {
    /// The brain's chain.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Which proxies may come, and who vouches for them.
    pub proxies: ClientAuthFiles,
}

/// Somebody who may write.
#[derive(Debug, Clone)]
pub struct PersonSettings {
    /// As the audit log calls them, and their role.
    pub who: access::Principal,
    /// Their token's file.
    pub token_path: PathBuf,
}

/// What the operator says of one proxy.
#[derive(Debug, Clone)]
pub struct ProxySettings {
    /// Its action API.
    pub admin: Url,
    /// Its token's file; the mesh's where absent.
    pub token_path: Option<PathBuf>,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read {path}: {why}")]
    Unreadable {
        /// Which.
        path: String,
        /// The system's words.
        why: std::io::Error,
    },
    /// The file is not a configuration; every mistake with its place.
    #[error("{0}")]
    Invalid(#[from] Report),
}

/// The JSON Schema of `brain.yaml`.
#[must_use]
pub fn schema() -> String {
    protocol::document::schema_text::<Config>()
}

impl Settings {
    /// Reads and validates the file at `path`; the defaults where there is none.
    ///
    /// # Errors
    /// [`SettingsError`], naming the file.
    pub fn load(path: Option<&Path>) -> Result<Self, SettingsError> {
        let Some(path) = path else { return Ok(Self::from_text("brain.yaml", "")?) };
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|why| SettingsError::Unreadable { path: name.clone(), why })?;
        Ok(Self::from_text(&name, &text)?)
    }

    /// Validates `text`, which reports call `name`.
    ///
    /// # Errors
    /// Every mistake with its line and column.
    pub fn from_text(name: &str, text: &str) -> Result<Self, Report> {
        let document = Document::parse(name, text)?;
        let config: Config = document.read()?;
        let mut findings = Vec::new();
        let least_confidence = config.advisor.decision_threshold.unwrap_or(0.0);
        let advisor = advisor(config.advisor, &mut findings);
        let data_dir = config.data_dir.unwrap_or_else(|| "./lightsout-data".into());
        let ApiListener { bind_address, port, token_path, open_reads, allowed_hosts } = config.api;
        let api = Listener { bind_address, port, token_path };
        let TelemetryListener { bind_address, port, token_path, tls } = config.telemetry;
        let telemetry = Listener { bind_address, port, token_path };
        let api = listener("api", &api, 7070, &data_dir, &mut findings);
        check_hosts(&allowed_hosts, &mut findings);
        let settings = Self {
            open_reads: open_reads.unwrap_or(api.address.ip().is_loopback()),
            allowed_hosts,
            api,
            telemetry_tls: tls.and_then(|given| telemetry_tls(given, &mut findings)),
            telemetry: listener("telemetry", &telemetry, 7071, &data_dir, &mut findings),
            mode: config.mode.unwrap_or(Mode::Advisory),
            policies_dir: config.policies_dir.unwrap_or_else(|| "./policies".into()),
            proxies: overrides(config.proxies, &mut findings),
            mesh_token_path: config.mesh_token_path,
            people: people(config.people, &mut findings),
            least_confidence,
            advisor,
            notify: hook("/notify/url", config.notify.url, config.notify.secret_path, &mut findings),
            console_url: hook("/notify/console_url", config.notify.console_url, None, &mut findings)
                .map(|h| h.url),
            audit: audit(config.audit, &mut findings),
            data_dir,
        };
        let (api, telemetry) = (settings.api.address, settings.telemetry.address);
        if api == telemetry && api.port() != 0 {
            findings.push(("/telemetry/port".to_owned(), format!("{api} is the API's address already")));
        }
        if findings.is_empty() { Ok(settings) } else { Err(document.report(findings)) }
    }
}

type Findings = Vec<(String, String)>;

fn listener(
    key: &str,
    given: &Listener,
    port: u16,
    data_dir: &Path,
    findings: &mut Findings,
) -> ListenerSettings {
    let mut ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
    if let Some(text) = &given.bind_address {
        match text.parse() {
            Ok(parsed) => ip = parsed,
            Err(_) => findings.push((
                format!("/{key}/bind_address"),
                format!("{text:?} is not an IP address; 127.0.0.1 listens on this machine only"),
            )),
        }
    }
    let token_path = given.token_path.clone().unwrap_or_else(|| data_dir.join(format!("{key}.token")));
    ListenerSettings { address: SocketAddr::new(ip, given.port.unwrap_or(port)), token_path }
}

fn telemetry_tls(given: TlsEntry, findings: &mut Findings) -> Option<TelemetryTls> {
    let mut allowed = Vec::with_capacity(given.allowed.len().min(MAX_PROXIES));
    if given.allowed.is_empty() || given.allowed.len() > MAX_PROXIES {
        let message = format!("say which proxies may come, 1 to {MAX_PROXIES} entries");
        findings.push(("/telemetry/tls/allowed".to_owned(), message));
        return None;
    }
    for (index, text) in given.allowed.iter().enumerate() {
        match Principal::parse(text) {
            Ok(one) => allowed.push(one),
            Err(why) => {
                findings.push((format!("/telemetry/tls/allowed/{index}"), format!("{text:?}: {why}")));
                return None;
            }
        }
    }
    let (bundle, lists) = (given.ca_path, given.crl_path);
    let proxies = ClientAuthFiles { demand: Demand::Strict, bundle, lists, allowed };
    Some(TelemetryTls { certificate: given.certificate, key: given.key, proxies })
}

fn check_hosts(names: &[String], findings: &mut Findings) {
    for (index, name) in names.iter().enumerate() {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        if name.is_empty() || !name.chars().all(is_name) {
            let message = format!("{name:?} is no host name; leave port and scheme out");
            findings.push((format!("/api/allowed_hosts/{index}"), message));
        }
    }
}

fn overrides(
    entries: Vec<crate::config::ProxyEntry>,
    findings: &mut Findings,
) -> BTreeMap<String, ProxySettings> {
    let mut proxies = BTreeMap::new();
    if entries.len() > MAX_PROXIES {
        findings.push(("/proxies".to_owned(), format!("at most {MAX_PROXIES} proxies can be listed")));
    }
    for (index, entry) in entries.into_iter().enumerate() {
        if let Err(why) = protocol::id::check_name(&entry.id) {
            findings.push((format!("/proxies/{index}/id"), why.to_string()));
        }
        match admin_url(&entry.admin) {
            Ok(admin) => {
                let settings = ProxySettings { admin, token_path: entry.token_path };
                if proxies.insert(entry.id.clone(), settings).is_some() {
                    findings
                        .push((format!("/proxies/{index}/id"), format!("{:?} is listed twice", entry.id)));
                }
            }
            Err(why) => findings.push((format!("/proxies/{index}/admin"), why)),
        }
    }
    proxies
}

fn people(entries: Vec<PersonEntry>, findings: &mut Findings) -> Vec<PersonSettings> {
    let mut people: Vec<PersonSettings> = Vec::new();
    if entries.len() > MAX_PEOPLE {
        findings.push(("/people".to_owned(), format!("at most {MAX_PEOPLE} people can be listed")));
    }
    for (index, entry) in entries.into_iter().enumerate() {
        if let Err(why) = protocol::id::check_name(&entry.name) {
            findings.push((format!("/people/{index}/name"), why.to_string()));
        }
        if entry.name == OPERATOR || people.iter().any(|p| p.who.actor.id == entry.name) {
            findings.push((format!("/people/{index}/name"), format!("{:?} is somebody already", entry.name)));
        }
        if entry.pipeline && entry.role.is_some_and(|role| role != Role::Pipeline) {
            findings.push((format!("/people/{index}/role"), "a pipeline has the role pipeline".to_owned()));
        }
        let role = entry.role.unwrap_or(if entry.pipeline { Role::Pipeline } else { Role::Operator });
        people.push(PersonSettings {
            who: access::Principal::new(&entry.name, role),
            token_path: entry.token_path,
        });
    }
    people
}

fn hook(
    key: &str,
    url: Option<String>,
    secret_path: Option<PathBuf>,
    findings: &mut Findings,
) -> Option<HookSettings> {
    let text = url?;
    match Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
            Some(HookSettings { url, secret_path })
        }
        _ => {
            findings
                .push((key.to_owned(), "a URL is http:// or https://, a host, and what follows".to_owned()));
            None
        }
    }
}

fn audit(given: crate::config::Audit, findings: &mut Findings) -> AuditSettings {
    let every_s = given.anchor_every_s.unwrap_or(600);
    if !(1..=86_400).contains(&every_s) {
        findings.push(("/audit/anchor_every_s".to_owned(), format!("1 to 86400 seconds, not {every_s}")));
    }
    AuditSettings {
        anchor_path: given.anchor_path,
        anchor_hook: hook("/audit/anchor_url", given.anchor_url, given.anchor_secret_path, findings),
        anchor_every: std::time::Duration::from_secs(every_s.max(1)),
    }
}

/// A model is asked only where all that it needs is said.
fn advisor(given: Advisor, findings: &mut Findings) -> Option<AdvisorSettings> {
    let mut bad = |key: &str, why: String| findings.push((format!("/advisor/{key}"), why));
    if let Some(threshold) = given.decision_threshold.filter(|t| !(0.0..=1.0).contains(t)) {
        bad("decision_threshold", format!("a threshold is a probability from 0 to 1, not {threshold}"));
    }
    let timeout_ms = given.timeout_ms.unwrap_or(8_000);
    if !(100..=60_000).contains(&timeout_ms) {
        bad("timeout_ms", format!("100 to 60000 ms, not {timeout_ms}"));
    }
    let money =
        [("usd_per_hour", given.usd_per_hour), ("usd_per_million_tokens", given.usd_per_million_tokens)];
    for (key, usd) in money {
        if usd.is_some_and(|usd| !usd.is_finite() || usd < 0.0) {
            bad(key, "an amount of money, 0 or more".to_owned());
        }
    }
    if given.usd_per_hour.is_some() && given.usd_per_million_tokens.is_none() {
        bad("usd_per_hour", "say what tokens cost: usd_per_million_tokens".to_owned());
    }
    let (provider, usual) = match given.provider? {
        Provider::None => return None,
        Provider::Openai => (crate::advisor::Provider::OpenAi, Some("https://api.openai.com/v1")),
        Provider::Azure => (crate::advisor::Provider::Azure, None),
        Provider::Anthropic => (crate::advisor::Provider::Anthropic, Some("https://api.anthropic.com")),
    };
    let base = given.base_url.as_deref().or(usual);
    let parsed = base.and_then(|text| Url::parse(text).ok());
    let parsed = parsed.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if parsed.is_none() {
        bad("base_url", "this provider needs one: http:// or https://, and a host".to_owned());
    }
    if given.model.as_ref().is_none_or(String::is_empty) {
        bad("model", "this provider needs a model's name".to_owned());
    }
    if given.api_key_path.is_none() {
        bad("api_key_path", "this provider needs a file with its key".to_owned());
    }
    Some(AdvisorSettings {
        provider,
        base: parsed?,
        model: given.model?,
        key_path: given.api_key_path?,
        deadline: std::time::Duration::from_millis(timeout_ms),
        limits: crate::advisor::Limits {
            calls: given.calls_per_hour.unwrap_or(30),
            tokens: given.tokens_per_hour.unwrap_or(100_000),
            usd: given.usd_per_hour,
            usd_per_million_tokens: given.usd_per_million_tokens.unwrap_or(0.0),
        },
        addresses: given.send_addresses.unwrap_or(false),
    })
}

/// An action API's URL, announced or configured: plain HTTP to a host and a port, nothing else that a
/// client could be talked into.
///
/// # Errors
/// What is wrong with it, for a person.
pub fn admin_url(text: &str) -> Result<Url, String> {
    if text.len() > MAX_URL_BYTES {
        return Err(format!("a URL has at most {MAX_URL_BYTES} bytes, this one has {}", text.len()));
    }
    let url = Url::parse(text).map_err(|why| format!("{text:?} is not a URL: {why}"))?;
    if url.scheme() != "http" {
        return Err(format!("this build speaks http:// to action APIs, not {}://", url.scheme()));
    }
    let plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.path() == "/";
    if !plain || url.host_str().is_none() {
        return Err(format!("{text:?}: an admin URL is http://HOST:PORT, without path, query or user"));
    }
    Ok(url)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_defaults() {
        let settings = Settings::from_text("brain.yaml", "").unwrap();
        assert_eq!(settings.api.address.to_string(), "127.0.0.1:7070");
        assert_eq!(settings.telemetry.address.to_string(), "127.0.0.1:7071");
        assert_eq!(settings.mode, Mode::Advisory);
        assert_eq!(settings.telemetry.token_path, Path::new("./lightsout-data/telemetry.token"));
    }

    #[test]
    fn the_shipped_sample_says_the_defaults() {
        let sample = Settings::from_text("brain.yaml", include_str!("../../config/brain.yaml")).unwrap();
        let defaults = Settings::from_text("brain.yaml", "").unwrap();
        assert_eq!(format!("{sample:?}"), format!("{defaults:?}"));
    }

    #[test]
    fn the_contract_sample_loads() {
        let text = r#"
api: { bind_address: 127.0.0.1, port: 7070, token_path: /run/a }
telemetry: { bind_address: 127.0.0.1, port: 7071, token_path: /run/t }
mode: advisory
data_dir: ./lightsout-data
policies_dir: ./policies
proxies: [ { id: p1, admin: "http://127.0.0.1:9901", token_path: /run/p } ]
mesh_token_path: /run/m
advisor: { provider: none, model: m, base_url: "http://x", api_key_path: /run/k }
"#;
        let settings = Settings::from_text("brain.yaml", text).unwrap();
        assert_eq!(settings.proxies["p1"].admin.as_str(), "http://127.0.0.1:9901/");
    }

    #[test]
    fn several_mistakes_of_shape_are_reported_together() {
        let text = "api:\n  prot: 7070\nmode: autonomus\ntelemetry: { port: 70700 }\n";
        let report = Settings::from_text("brain.yaml", text).unwrap_err();
        insta::assert_snapshot!(report.to_string());
    }

    #[test]
    fn several_impossible_values_are_reported_together() {
        let text = "api: { bind_address: localhost, port: 9 }\nproxies:\n  - { id: p1, admin: \"ftp://x\" }\n  \
                    - { id: \"a b\", admin: \"http://u:p@h/\" }\nadvisor:\n  provider: openai\n  decision_threshold: 80\n";
        let report = Settings::from_text("brain.yaml", text).unwrap_err();
        insta::assert_snapshot!(report.to_string());
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Settings::load(Some(Path::new("/nowhere/brain.yaml"))).unwrap_err();
        assert!(error.to_string().contains("/nowhere/brain.yaml"), "{error}");
    }
}
