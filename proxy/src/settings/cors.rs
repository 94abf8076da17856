//! `cors` and `security.response_headers`, judged.

use std::time::Duration;

use http::header::{
    CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderName, HeaderValue, Method};

use super::findings::{Findings, Place};
use crate::config::{self, FrameOptions};
use crate::security::cors::{Allowed, Cors, OriginRule};
use crate::security::response_fields::ResponseFields;

/// A day is the most that any browser keeps a preflight.
const MAX_AGE_S: u64 = 86_400;
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// What a route's `cors` means; `None` where it names no origin.
pub(super) fn cors(given: &config::Cors, at: &Place, findings: &mut Findings) -> Option<Cors> {
    let mut origins = Vec::with_capacity(given.origins.len());
    for (n, text) in given.origins.iter().enumerate() {
        match OriginRule::parse(text) {
            Some(rule) => origins.push(rule),
            None => findings.add(
                &at.at("origins").at(n),
                format!("{text:?} is no origin: give https://HOST in lower case, https://*.HOST, null or *"),
            ),
        }
    }
    if given.credentials && origins.contains(&OriginRule::Any) {
        findings.add(&at.at("credentials"), "credentials are never for any origin: name the origins");
    }
    let mut methods = Vec::with_capacity(given.methods.len());
    for (n, text) in given.methods.iter().enumerate() {
        match Method::from_bytes(text.as_bytes()).ok().filter(|_| *text == text.to_uppercase()) {
            Some(method) => methods.push(method),
            None => findings.add(&at.at("methods").at(n), format!("{text:?} is no method")),
        }
    }
    given.max_age_s.into_iter().for_each(|age| findings.range(&at.at("max_age_s"), age, 0..=MAX_AGE_S));
    let any = given.headers.iter().any(|name| name == "*");
    if any && given.headers.len() > 1 {
        findings.add(&at.at("headers"), "* stands alone");
    }
    let headers = if any { Vec::new() } else { names(&given.headers, &at.at("headers"), findings) };
    let expose = names(&given.expose, &at.at("expose"), findings);
    let expose = expose.iter().map(HeaderName::as_str).collect::<Vec<_>>().join(", ");
    (!origins.is_empty()).then(|| Cors {
        origins,
        methods,
        headers: if any { Allowed::Any } else { Allowed::Named(headers) },
        expose: HeaderValue::try_from(expose).ok().filter(|names| !names.is_empty()),
        credentials: given.credentials,
        max_age: given.max_age_s.map(Duration::from_secs),
    })
}

fn names(given: &[String], at: &Place, findings: &mut Findings) -> Vec<HeaderName> {
    let mut names = Vec::with_capacity(given.len());
    for (n, text) in given.iter().enumerate() {
        match text.parse() {
            Ok(name) => names.push(name),
            Err(_) => findings.add(&at.at(n), format!("{text:?} is no header field's name")),
        }
    }
    names
}

pub(super) fn response_fields(
    given: &config::ResponseHeaders,
    at: &Place,
    findings: &mut Findings,
) -> ResponseFields {
    let mut always = Vec::new();
    if given.nosniff {
        always.push((X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")));
    }
    if let Some(frames) = given.frame_options {
        let value = match frames {
            FrameOptions::Deny => "DENY",
            FrameOptions::Sameorigin => "SAMEORIGIN",
        };
        always.push((X_FRAME_OPTIONS, HeaderValue::from_static(value)));
    }
    for (key, name, text) in [
        ("referrer_policy", REFERRER_POLICY, &given.referrer_policy),
        ("content_security_policy", CONTENT_SECURITY_POLICY, &given.content_security_policy),
        ("permissions_policy", PERMISSIONS_POLICY, &given.permissions_policy),
    ] {
        let Some(text) = text else { continue };
        match HeaderValue::from_str(text) {
            Ok(value) => always.push((name, value)),
            Err(_) => findings.add(&at.at(key), "this cannot stand in a header field"),
        }
    }
    let hsts = given.hsts.as_ref().and_then(|hsts| {
        let below = if hsts.include_subdomains { "; includeSubDomains" } else { "" };
        let preload = if hsts.preload { "; preload" } else { "" };
        HeaderValue::try_from(format!("max-age={}{below}{preload}", hsts.max_age_s)).ok()
    });
    ResponseFields { always, over_tls: hsts.map(|value| (STRICT_TRANSPORT_SECURITY, value)) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn credentials_are_never_for_any_origin() {
        let refused = |origins: &[&str]| {
            let given = json!({"origins": origins, "credentials": true});
            let mut findings = Findings::default();
            cors(&serde_json::from_value(given).unwrap(), &Place::root(), &mut findings);
            !findings.into_vec().is_empty()
        };
        assert!(refused(&["*"]) && refused(&["https://app.test", "*"]));
        assert!(!refused(&["https://app.test"]));
    }
}
