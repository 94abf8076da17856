//! `ai`, judged, with the command line's word on it.

use std::path::PathBuf;
use std::time::Duration;

use protocol::id::ProxyId;

use super::findings::{Findings, Place};
use super::listeners::non_empty;
use super::{Admin, Ai, AiMode, AiTls, Given, Server};
use crate::config;

/// The brain that is wanted, if one is: by the file, or by `--ai-enabled`. What the section says is
/// judged even where it is switched off.
pub(super) fn ai(
    config: Option<&config::Ai>,
    given: &Given,
    (server, admin): (&Server, &Admin),
    at: &Place,
    findings: &mut Findings,
) -> Option<Ai> {
    let enabled = given.ai_enabled || config.is_some_and(|ai| ai.enabled);
    let config = config.cloned().unwrap_or_default();
    judge(&config, admin.tls.is_some(), at, findings);
    if enabled && config.brain.is_none() && admin.tls.is_some() {
        let text = "a brain that is started beside speaks to admin on loopback without TLS: leave admin.tls out, or say which";
        findings.add(&at.at("brain"), text);
    }
    let proxy = proxy_id(&config, given, server, at, findings)?;
    let mode = given.ai_mode.unwrap_or(match config.autonomous_mode {
        true => AiMode::Autonomous,
        false => AiMode::Advisory,
    });
    let ai = Ai {
        proxy,
        mode,
        caller: config.caller,
        brain: config.brain,
        token_path: config.token_path.map(PathBuf::from),
        tls: config.tls.as_ref().and_then(|given| tls(given, &at.at("tls"), findings)),
        admin_url: config.admin_url,
        data_dir: PathBuf::from(config.data_dir),
        window: Duration::from_millis(config.window_ms),
        decision_threshold: config.decision_threshold,
    };
    enabled.then_some(ai)
}

fn judge(config: &config::Ai, secured: bool, at: &Place, findings: &mut Findings) {
    findings.range(&at.at("window_ms"), config.window_ms, 250..=10_000);
    findings.name(&at.at("caller"), &config.caller);
    non_empty(&config.data_dir, &at.at("data_dir"), findings);
    if let Some(threshold) = config.decision_threshold {
        findings.range(&at.at("decision_threshold"), threshold, 0.0..=1.0);
    }
    let (tls, admin) = (("ai.tls", config.tls.is_some()), ("admin.tls", secured));
    for (key, url, tls) in [("brain", &config.brain, tls), ("admin_url", &config.admin_url, admin)] {
        if let Some(url) = url {
            judge_url(url, tls, &at.at(key), findings);
        }
    }
    if config.brain.is_some() && config.token_path.is_none() && config.tls.is_none() {
        findings.add(&at.at("brain"), "a brain is shown a token: give its file in ai.token_path");
    }
    if config.brain.is_none() && config.tls.is_some() {
        findings.add(&at.at("tls"), "a brain that is started beside is spoken to on loopback, without TLS");
    }
}

/// The files are read when the brain is dialled; here only what can be judged without them.
fn tls(given: &config::AiTls, at: &Place, findings: &mut Findings) -> Option<AiTls> {
    for (key, path) in [("certificate", &given.certificate), ("key", &given.key), ("ca_path", &given.ca_path)]
    {
        non_empty(path, &at.at(key), findings);
    }
    let brain = super::identities::principal(&given.spiffe_id, &at.at("spiffe_id"), findings)?;
    Some(AiTls {
        certificate: PathBuf::from(&given.certificate),
        key: PathBuf::from(&given.key),
        bundle: PathBuf::from(&given.ca_path),
        brain,
    })
}

/// `secured_by` is the section that makes it https, and whether it is there.
fn judge_url(url: &str, secured_by: (&str, bool), at: &Place, findings: &mut Findings) {
    let parsed = url.parse::<http::Uri>().ok();
    let scheme = parsed.as_ref().and_then(http::Uri::scheme_str);
    let host = parsed.as_ref().and_then(http::Uri::host).filter(|host| !host.is_empty());
    let (section, secured) = secured_by;
    match (scheme, host) {
        (Some("http"), Some(_)) if !secured => {}
        (Some("https"), Some(_)) if secured => {}
        (Some("http"), Some(_)) => {
            findings.add(at, format!("{section} is for https://; say so, or leave it out"))
        }
        (Some("https"), Some(_)) => findings.add(at, format!("https:// needs {section}")),
        _ => findings.add(at, format!("{url:?} is not a URL of the form http://HOST:PORT")),
    }
}

fn proxy_id(
    config: &config::Ai,
    given: &Given,
    server: &Server,
    at: &Place,
    findings: &mut Findings,
) -> Option<ProxyId> {
    match &config.proxy_id {
        Some(id) => {
            findings.name(&at.at("proxy_id"), id);
            ProxyId::new(id.as_str()).ok()
        }
        None => given.proxy_id(server.bind.port()),
    }
}

impl Given {
    /// The id of a proxy that was given none: the machine's name and the port.
    #[must_use]
    pub fn proxy_id(&self, port: u16) -> Option<ProxyId> {
        let allowed = |c: &char| c.is_ascii_alphanumeric() || *c == '-' || *c == '.';
        let host: String = self.host_name.chars().filter(allowed).take(200).collect();
        let host = if host.is_empty() { "proxy" } else { host.as_str() };
        ProxyId::new(format!("{host}-{port}")).ok()
    }
}
