//! What the operator says of proxies, and which URLs of theirs are taken.

use std::collections::BTreeMap;
use std::path::PathBuf;

use reqwest::Url;

use super::Findings;

/// The most proxies one brain watches.
pub const MAX_PROXIES: usize = 1_024;
/// The longest admin URL that is taken.
const MAX_URL_BYTES: usize = 512;

/// What the operator says of one proxy.
#[derive(Debug, Clone)]
pub struct ProxySettings {
    /// Its action API.
    pub admin: Url,
    /// Its token's file; the mesh's where absent.
    pub token_path: Option<PathBuf>,
}

pub(super) fn overrides(
    entries: Vec<crate::config::ProxyEntry>,
    identities: bool,
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
        match admin_url(&entry.admin, identities) {
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

/// An action API's URL, announced or configured: a host and a port, nothing else that a client could be talked
/// into; `https` only where identities say who answers.
///
/// # Errors
/// What is wrong with it, for a person.
pub fn admin_url(text: &str, identities: bool) -> Result<Url, String> {
    if text.len() > MAX_URL_BYTES {
        return Err(format!("a URL has at most {MAX_URL_BYTES} bytes, this one has {}", text.len()));
    }
    let url = Url::parse(text).map_err(|why| format!("{text:?} is not a URL: {why}"))?;
    match url.scheme() {
        "http" => {}
        "https" if identities => {}
        "https" => return Err("https:// to action APIs needs telemetry.tls: the identities".to_owned()),
        other => return Err(format!("this build speaks http:// or https:// to action APIs, not {other}://")),
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
