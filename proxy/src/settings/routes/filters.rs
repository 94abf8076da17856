//! What a route does beside forwarding, judged.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, Uri};

use super::super::balancing::key_source;
use super::super::findings::{Findings, Place};
use super::super::{
    Abort, Answer, Cohort, Fault, HeaderEdits, KeySource, Match, PathEdit, PathMatch, Redirect, Respond,
    Rewrite,
};
use super::{is_host, matches};
use crate::config;

/// The largest response of the proxy's own.
const MAX_BODY_BYTES: usize = 65_536;
/// The longest injected delay.
const MAX_DELAY_MS: u64 = 60_000;
/// Fields that are not a route's to change: framing, one hop's, the target's host (see `rewrite`), and
/// what the proxy itself says of a request.
const NOT_A_ROUTES: [&str; 18] = [
    "connection",
    "content-length",
    "date",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-request-id",
];
/// What begins so is the proxy's own.
const OWN_PREFIX: &str = "x-lightsout-";

/// How the route answers itself, if it does.
pub(super) fn answer(
    given: &config::Route,
    matched: &[Match],
    at: &Place,
    findings: &mut Findings,
) -> Option<Answer> {
    let answers = usize::from(given.redirect.is_some()) + usize::from(given.respond.is_some());
    if answers + usize::from(!given.split.is_empty()) > 1 {
        findings.add(at, "a route has one of split, redirect and respond");
    }
    let forwards = given.rewrite.is_some()
        || given.request_headers.is_some()
        || given.cohort.is_some()
        || given.mirror.is_some();
    if answers > 0 && forwards {
        findings.add(at, "rewrite, request_headers, mirror and cohort are for routes that lead somewhere");
    }
    match (&given.redirect, &given.respond) {
        (Some(own), _) => Some(Answer::Redirect(redirect(own, matched, &at.at("redirect"), findings))),
        (None, Some(own)) => Some(Answer::Respond(respond(own, &at.at("respond"), findings))),
        (None, None) => None,
    }
}

fn redirect(given: &config::Redirect, matched: &[Match], at: &Place, findings: &mut Findings) -> Redirect {
    if ![301, 302, 303, 307, 308].contains(&given.status) {
        findings.add(&at.at("status"), format!("{} is no redirect: 301, 302, 303, 307 or 308", given.status));
    }
    if given.port == Some(0) {
        findings.add(&at.at("port"), "0 is out of range: 1 to 65535");
    }
    host(given.host.as_deref(), at, findings);
    let path = path_edit(given.path.as_deref(), given.prefix.as_deref(), matched, at, findings);
    if path.is_none() && given.scheme.is_none() && given.host.is_none() && given.port.is_none() {
        findings.add(at, "a redirect that changes nothing would go round in circles");
    }
    Redirect {
        scheme: given.scheme.map(|scheme| match scheme {
            config::SchemeName::Http => "http",
            config::SchemeName::Https => "https",
        }),
        host: given.host.clone(),
        port: given.port,
        path,
        status: status(given.status),
    }
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
}

fn host(given: Option<&str>, at: &Place, findings: &mut Findings) {
    if let Some(host) = given.filter(|host| !is_host(host)) {
        findings.add(&at.at("host"), format!("{host:?} is no host: give a name or an address, without port"));
    }
}

fn path_edit(
    full: Option<&str>,
    prefix: Option<&str>,
    matched: &[Match],
    at: &Place,
    findings: &mut Findings,
) -> Option<PathEdit> {
    if full.is_some() && prefix.is_some() {
        findings.add(at, "give either path or prefix, not both");
    }
    if let Some(full) = full {
        path(full, &at.at("path"), findings);
        return Some(PathEdit::Full(full.to_owned()));
    }
    let prefix = prefix?;
    if !matched.iter().all(|m| matches!(m.path, PathMatch::Prefix(_))) {
        findings.add(&at.at("prefix"), "only the prefix of a route that matches by prefix can be replaced");
    }
    if !prefix.is_empty() {
        path(prefix, &at.at("prefix"), findings);
    }
    Some(PathEdit::Prefix(prefix.trim_end_matches('/').to_owned()))
}

fn path(text: &str, at: &Place, findings: &mut Findings) {
    let is_path = text.starts_with('/') && !text.contains(['?', '#']) && text.parse::<Uri>().is_ok();
    // Two slashes in front would be read as another host.
    if !is_path || text.starts_with("//") {
        findings.add(at, format!("{text:?} is not a path: it begins with one / and has no query"));
    }
}

fn respond(given: &config::Respond, at: &Place, findings: &mut Findings) -> Respond {
    findings.range(&at.at("status"), given.status, 200..=599);
    if given.body.len() > MAX_BODY_BYTES {
        findings.add(&at.at("body"), format!("a body has at most {MAX_BODY_BYTES} bytes"));
    }
    // A body would be read as the next response's head.
    if [204, 205, 304].contains(&given.status) && !given.body.is_empty() {
        findings.add(&at.at("body"), format!("a response with the status {} has no body", given.status));
    }
    let content_type = HeaderValue::from_str(&given.content_type).unwrap_or_else(|_| {
        findings.add(&at.at("content_type"), format!("{:?} is no header's value", given.content_type));
        HeaderValue::from_static("text/plain")
    });
    Respond { status: status(given.status), body: Bytes::from(given.body.clone()), content_type }
}

pub(super) fn rewrite(
    given: &config::Route,
    matched: &[Match],
    at: &Place,
    findings: &mut Findings,
) -> Option<Rewrite> {
    let given = given.rewrite.as_ref()?;
    host(given.host.as_deref(), at, findings);
    Some(Rewrite {
        path: path_edit(given.path.as_deref(), given.prefix.as_deref(), matched, at, findings),
        host: given.host.as_deref().and_then(|host| HeaderValue::from_str(host).ok()),
    })
}

pub(super) fn edits(given: &config::HeaderEdits, at: &Place, findings: &mut Findings) -> HeaderEdits {
    let mut seen = BTreeSet::new();
    let mut edits = HeaderEdits::default();
    for (n, name) in given.remove.iter().enumerate() {
        edits.remove.extend(field(name, &at.at("remove").at(n), &mut seen, findings));
    }
    edits.set = fields(&given.set, &at.at("set"), &mut seen, findings);
    edits.add = fields(&given.add, &at.at("add"), &mut seen, findings);
    edits
}

fn fields(
    given: &BTreeMap<String, String>,
    at: &Place,
    seen: &mut BTreeSet<String>,
    findings: &mut Findings,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut fields = Vec::with_capacity(given.len());
    for (name, value) in given {
        let at = at.at(name);
        let value = HeaderValue::from_str(value).map_err(|_| findings.add(&at, "this is no header's value"));
        fields.extend(field(name, &at, seen, findings).zip(value.ok()));
    }
    fields
}

fn field(name: &str, at: &Place, seen: &mut BTreeSet<String>, findings: &mut Findings) -> Option<HeaderName> {
    let Ok(header) = name.parse::<HeaderName>() else {
        findings.add(at, format!("{name:?} is not a header's name"));
        return None;
    };
    if NOT_A_ROUTES.contains(&header.as_str()) || header.as_str().starts_with(OWN_PREFIX) {
        let host = if header == http::header::HOST { "; see rewrite" } else { "" };
        findings.add(at, format!("{header} is not a route's to change{host}"));
    }
    if !seen.insert(header.as_str().to_owned()) {
        findings.add(at, format!("{header} is named twice"));
    }
    Some(header)
}

pub(super) fn cohort(given: &config::Cohort, at: &Place, findings: &mut Findings) -> Option<Cohort> {
    let pin = given.pin_header.as_ref().map(|name| name.parse::<HeaderName>());
    if let Some(Err(_)) = pin {
        findings.add(&at.at("pin_header"), "this is not a header's name");
    }
    match key_source(&given.key) {
        Some(key) if key != KeySource::Path => Some(Cohort { key, pin: pin.and_then(Result::ok) }),
        _ => {
            let message =
                format!("{:?} knows no client: give header:NAME, cookie:NAME, query:NAME or ip", given.key);
            findings.add(&at.at("key"), message);
            None
        }
    }
}

pub(super) fn fault(given: &config::Fault, at: &Place, findings: &mut Findings) -> Fault {
    if given.delay.is_none() && given.abort.is_none() {
        findings.add(at, "give delay, abort or both");
    }
    let delay = given.delay.as_ref().map(|delay| {
        let at = at.at("delay");
        findings.range(&at.at("ms"), delay.ms, 1..=MAX_DELAY_MS);
        (std::time::Duration::from_millis(delay.ms), share(delay.percent, &at, findings))
    });
    let abort = given.abort.as_ref().map(|given| abort(given, &at.at("abort"), findings));
    Fault { delay, abort, only_with: matches::headers(&given.only_with, &at.at("only_with"), findings) }
}

fn abort(given: &config::FaultAbort, at: &Place, findings: &mut Findings) -> (Abort, f64) {
    let share = share(given.percent, at, findings);
    match (given.status, given.reset) {
        (Some(code), false) => {
            findings.range(&at.at("status"), code, 400..=599);
            (Abort::Status(status(code)), share)
        }
        (None, true) => (Abort::Reset, share),
        _ => {
            findings.add(at, "give either status or reset: true");
            (Abort::Reset, 0.0)
        }
    }
}

/// `percent` as a share of 0 to 1.
pub(super) fn share(percent: f64, at: &Place, findings: &mut Findings) -> f64 {
    findings.range(&at.at("percent"), percent, 0.0..=100.0);
    percent / 100.0
}
