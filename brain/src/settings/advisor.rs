//! The language model that may be asked.

use std::path::PathBuf;

use reqwest::Url;

use super::Findings;
use crate::config::{Advisor, Provider};

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

/// A model is asked only where all that it needs is said.
pub(super) fn advisor(given: Advisor, findings: &mut Findings) -> Option<AdvisorSettings> {
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
