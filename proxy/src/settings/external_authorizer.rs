//! `security.authorization.external`, judged.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use http::HeaderName;
use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE};

use super::Protocol;
use super::findings::{Findings, Place};
use crate::config::{self, AuthorizationEffect, ExternalProtocol};
use crate::security::authorization::External;
use crate::security::authorization::external::{BodyTerms, FRAMING, Speaks};
use crate::security::remote::Remote;

/// The fields of a denial that clients get, unless others are named.
const TOLD: [HeaderName; 5] = [CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE, RETRY_AFTER, SET_COOKIE];

pub(super) fn external(
    given: &config::ExternalAuthorizer,
    at: &Place,
    findings: &mut Findings,
) -> Option<External> {
    let within = given.timeout_ms.unwrap_or(200);
    findings.range(&at.at("timeout_ms"), within, 1..=30_000);
    let within = Duration::from_millis(within);
    let (speaks, protocol) = match given.protocol {
        ExternalProtocol::Http => (Speaks::Http, Protocol::Http1),
        ExternalProtocol::Grpc => (Speaks::Grpc, Protocol::Http2),
    };
    let body = given.request_body.map(|given| {
        findings.range(&at.at("request_body").at("max_bytes"), given.max_bytes, 1..=10_485_760);
        let most = usize::try_from(given.max_bytes).unwrap_or(usize::MAX);
        BodyTerms { most, partial: given.allow_partial, as_bytes: given.as_bytes }
    });
    let remote = Remote::over(&given.url, given.ca_path.as_deref(), within, protocol);
    let remote = remote.map_err(|why| findings.add(&at.at("url"), why));
    let mut names = |key: &str, given: &[String]| {
        let mut names = Vec::with_capacity(given.len());
        for (n, text) in given.iter().enumerate() {
            match text.parse::<HeaderName>().ok().filter(|name| !FRAMING.contains(name)) {
                Some(name) => names.push(name),
                None => findings.add(&at.at(key).at(n), format!("{text:?} is no field that can be told on")),
            }
        }
        names
    };
    let gets = given.request_headers.as_ref().map(|given| names("request_headers", given));
    let adds = names("endpoint_headers", &given.endpoint_headers);
    let tells = given.client_headers.as_ref().map(|given| names("client_headers", given));
    Some(External {
        remote: remote.ok()?,
        speaks,
        within,
        fails_open: given.on_failure == Some(AuthorizationEffect::Allow),
        gets,
        body,
        adds,
        tells: tells.unwrap_or_else(|| TOLD.to_vec()),
        quiet_until: AtomicU64::new(0),
    })
}
