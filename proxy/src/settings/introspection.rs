//! `introspection` of a provider, judged.

use std::sync::Arc;
use std::time::Duration;

use super::authentication::Asked;
use super::findings::{Findings, Place};
use super::security::Reader;
use crate::config;
use crate::security::authentication::{IntrospectionTerms, Introspector, credentials};
use crate::security::remote::Remote;

/// The longest secret.
const MAX_SECRET_BYTES: usize = 4_096;

pub(super) fn introspection(
    given: &config::Introspection,
    at: &Place,
    reader: &mut Reader,
    findings: &mut Findings,
) -> Option<Asked> {
    let within = given.timeout_ms.unwrap_or(1_000);
    let (remember_s, most) = (given.cache_s.unwrap_or(30), given.max_cached.unwrap_or(10_000));
    let longest = given.max_token_bytes.unwrap_or(8_192);
    findings.range(&at.at("timeout_ms"), within, 10..=30_000);
    findings.range(&at.at("cache_s"), remember_s, 1..=3_600);
    findings.range(&at.at("max_cached"), most, 32..=1_000_000);
    findings.range(&at.at("max_token_bytes"), longest, 16..=65_536);
    let within = Duration::from_millis(within);
    let remote = Remote::new(&given.url, given.ca_path.as_deref(), within);
    let remote = remote.map_err(|why| findings.add(&at.at("url"), why)).ok()?;
    if !remote.is_private() {
        findings.add(&at.at("url"), "tokens would be told in clear text: give https://");
    }
    let terms = IntrospectionTerms {
        issuer: given.issuer.clone(),
        audiences: given.audiences.clone(),
        max_bytes: longest as usize,
        remember_s,
    };
    let credentials = match (&given.client_id, &given.client_secret_file) {
        (Some(id), Some(path)) => {
            let secret = reader.text(path, MAX_SECRET_BYTES, &at.at("client_secret_file"), findings)?;
            credentials(id, secret.trim_end_matches(['\r', '\n']))
        }
        (None, None) => None,
        _ => {
            findings.add(at, "client_id and client_secret_file go together");
            return None;
        }
    };
    let server = Arc::new(Introspector::new(remote, credentials, terms, (most as usize, within)));
    let principal_claim = given.principal_claim.clone().unwrap_or_else(|| "sub".to_owned());
    Some(Asked { server, principal_claim })
}
