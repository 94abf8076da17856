//! Validated settings: parsed once, trusted from then on.

mod advisor;
mod audit;
mod hooks;
mod listeners;
mod people;
mod proxies;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use protocol::document::{Document, Report};
use reqwest::Url;

pub use advisor::AdvisorSettings;
pub use audit::AuditSettings;
pub use hooks::HookSettings;
pub use listeners::{ApiTls, ListenerSettings, TelemetryTls};
pub use people::{OPERATOR, PersonSettings};
pub use proxies::{MAX_PROXIES, ProxySettings, admin_url};

use crate::config::{ApiListener, Config, Listener, TelemetryListener};
use crate::domain::Mode;
use advisor::advisor;
use audit::audit;
use hooks::{hook, signed_hook};
use listeners::{api_tls, check_hosts, listener, telemetry_tls};
use people::people;
use proxies::overrides;

/// Everything the brain runs with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where people are served.
    pub api: ListenerSettings,
    /// Whether reads of the API need no token.
    pub open_reads: bool,
    /// Under which names the API is spoken to beside those that no stranger can have.
    pub allowed_hosts: Vec<String>,
    /// How the API is secured; absent: not at all.
    pub api_tls: Option<ApiTls>,
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
    /// Who is asked for replicas.
    pub scaler: Option<HookSettings>,
    /// The console as people reach it.
    pub console_url: Option<Url>,
    /// The audit log: how long it is kept, and its head beyond this disk.
    pub audit: AuditSettings,
    /// The language model that may be asked.
    pub advisor: Option<AdvisorSettings>,
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
        let ApiListener { bind_address, port, token_path, open_reads, allowed_hosts, tls } = config.api;
        let api_tls = tls.map(|given| api_tls(given, &mut findings));
        let certificates = api_tls.as_ref().is_some_and(|tls| tls.clients.is_some());
        let api = Listener { bind_address, port, token_path };
        let TelemetryListener { bind_address, port, token_path, tls } = config.telemetry;
        let telemetry = Listener { bind_address, port, token_path };
        let api = listener("api", &api, 7070, &data_dir, &mut findings);
        check_hosts(&allowed_hosts, &mut findings);
        let identities = tls.is_some();
        let settings = Self {
            open_reads: open_reads.unwrap_or(api.address.ip().is_loopback()),
            allowed_hosts,
            api,
            api_tls,
            telemetry_tls: tls.and_then(|given| telemetry_tls(given, &mut findings)),
            telemetry: listener("telemetry", &telemetry, 7071, &data_dir, &mut findings),
            mode: config.mode.unwrap_or(Mode::Advisory),
            policies_dir: config.policies_dir.unwrap_or_else(|| "./policies".into()),
            proxies: overrides(config.proxies, identities, &mut findings),
            mesh_token_path: config.mesh_token_path,
            people: people(config.people, certificates, &mut findings),
            least_confidence,
            advisor,
            notify: hook("/notify/url", config.notify.url, config.notify.secret_path, &mut findings),
            scaler: signed_hook("/scale", config.scale.url, config.scale.secret_path, &mut findings),
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

/// What is wrong: where, and in which words.
type Findings = Vec<(String, String)>;

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
