//! Receivers of messages.

use std::path::PathBuf;

use reqwest::Url;

use super::Findings;

/// A receiver of messages.
#[derive(Debug, Clone)]
pub struct HookSettings {
    /// Where.
    pub url: Url,
    /// The file of the secret that signs them.
    pub secret_path: Option<PathBuf>,
}

/// The same where who is asked acts by it: it must be able to tell who asks.
pub(super) fn signed_hook(
    section: &str,
    url: Option<String>,
    secret_path: Option<PathBuf>,
    findings: &mut Findings,
) -> Option<HookSettings> {
    if url.is_some() != secret_path.is_some() {
        let why = "url and secret_path stand together: who is asked must know who asks";
        findings.push((section.to_owned(), why.to_owned()));
    }
    hook(&format!("{section}/url"), url, secret_path, findings)
}

pub(super) fn hook(
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
