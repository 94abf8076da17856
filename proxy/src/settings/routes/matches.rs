//! What a route takes, judged.

use std::collections::{BTreeMap, BTreeSet};

use http::{HeaderName, Method};

use super::super::findings::{Findings, Place};
use super::super::{Match, PathMatch, Pattern, ValueMatch, identities};
use crate::config::{self, MatchRule, PathRule, ValueRule, ValueTest};

/// The most alternatives of one route.
const MAX_MATCHES: usize = 64;

/// The route's alternatives: at least one.
pub(super) fn all(given: &config::Route, at: &Place, findings: &mut Findings) -> Vec<Match> {
    let own = given.own_match();
    if given.matches.is_empty() {
        return vec![one(&own, at, findings)];
    }
    let at = at.at("matches");
    if own != MatchRule::default() {
        findings.add(&at, "say what is matched either in the route or in matches, not both");
    }
    if given.matches.len() > MAX_MATCHES {
        findings.add(&at, format!("a route has at most {MAX_MATCHES} alternatives"));
    }
    given.matches.iter().enumerate().map(|(n, rule)| one(rule, &at.at(n), findings)).collect()
}

fn one(rule: &MatchRule, at: &Place, findings: &mut Findings) -> Match {
    let (path, methods) = match &rule.grpc {
        Some(call) => grpc(call, rule, &at.at("grpc"), findings),
        None => {
            (path(&rule.path, &at.at("path"), findings), methods(&rule.methods, &at.at("methods"), findings))
        }
    };
    Match {
        path,
        methods,
        headers: headers(&rule.headers, &at.at("headers"), findings),
        query: values(&rule.query, &at.at("query"), findings),
        cookies: values(&rule.cookies, &at.at("cookies"), findings),
        grpc: rule.grpc.is_some(),
        principals: rule.source.as_ref().map(|source| {
            let at = at.at("source").at("principals");
            if source.principals.is_empty() {
                findings.add(&at, "name at least one, or leave source out");
            }
            identities::principals(&source.principals, &at, findings)
        }),
    }
}

/// A call is a POST to `/SERVICE/METHOD` (gRPC over HTTP/2, "Requests").
fn grpc(
    call: &config::GrpcRule,
    rule: &MatchRule,
    at: &Place,
    findings: &mut Findings,
) -> (PathMatch, Vec<Method>) {
    if rule.path != PathRule::default() || !rule.methods.is_empty() {
        findings.add(at, "a gRPC call says its path and its method itself: give either these or grpc");
    }
    let word =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "._".contains(c));
    if !word(&call.service) {
        findings.add(&at.at("service"), format!("{:?} is no full name of a gRPC service", call.service));
    }
    let path = match &call.method {
        Some(method) => {
            if !word(method) {
                findings.add(&at.at("method"), format!("{method:?} is no gRPC method"));
            }
            PathMatch::Exact(format!("/{}/{method}", call.service))
        }
        None => PathMatch::Prefix(format!("/{}", call.service)),
    };
    (path, vec![Method::POST])
}

fn path(given: &PathRule, at: &Place, findings: &mut Findings) -> PathMatch {
    let any = || PathMatch::Prefix("/".to_owned());
    let (key, text) = match (&given.exact, &given.prefix, &given.regex) {
        (None, None, None) => return any(),
        (Some(exact), None, None) => ("exact", exact),
        (None, Some(prefix), None) => ("prefix", prefix),
        (None, None, Some(source)) => {
            return pattern(source, &at.at("regex"), findings).map_or_else(any, PathMatch::Regex);
        }
        _ => {
            findings.add(at, "give one of exact, prefix and regex");
            return any();
        }
    };
    if !text.starts_with('/') || text.contains(['?', '#']) {
        findings.add(&at.at(key), format!("{text:?} is not a path: it begins with / and has no query"));
    }
    match key {
        "exact" => PathMatch::Exact(text.clone()),
        _ => PathMatch::Prefix(match text.trim_end_matches('/') {
            "" => "/".to_owned(),
            bare => bare.to_owned(),
        }),
    }
}

fn methods(given: &[String], at: &Place, findings: &mut Findings) -> Vec<Method> {
    let mut methods = Vec::with_capacity(given.len());
    for (n, text) in given.iter().enumerate() {
        match text.to_ascii_uppercase().parse() {
            Ok(method) => methods.push(method),
            Err(_) => findings.add(&at.at(n), format!("{text:?} is not a method")),
        }
    }
    methods
}

/// Header rules by name. Names differ from each other whatever their case: the Gateway API would have
/// the second of two ignored, which nobody means.
pub(super) fn headers(
    given: &BTreeMap<String, ValueRule>,
    at: &Place,
    findings: &mut Findings,
) -> Vec<(HeaderName, ValueMatch)> {
    let mut seen = BTreeSet::new();
    let mut headers = Vec::with_capacity(given.len());
    for (name, rule) in given {
        let at = at.at(name);
        let Ok(header) = name.parse::<HeaderName>() else {
            findings.add(&at, format!("{name:?} is not a header's name"));
            continue;
        };
        if !seen.insert(header.as_str().to_owned()) {
            findings.add(&at, format!("{header} is named twice"));
        }
        headers.extend(value(rule, &at, findings).map(|wanted| (header, wanted)));
    }
    headers
}

fn values(
    given: &BTreeMap<String, ValueRule>,
    at: &Place,
    findings: &mut Findings,
) -> Vec<(String, ValueMatch)> {
    let mut all = Vec::with_capacity(given.len());
    for (name, rule) in given {
        if name.is_empty() {
            findings.add(&at.at(name), "a name may not be empty");
        }
        all.extend(value(rule, &at.at(name), findings).map(|wanted| (name.clone(), wanted)));
    }
    all
}

fn value(rule: &ValueRule, at: &Place, findings: &mut Findings) -> Option<ValueMatch> {
    let test = match rule {
        ValueRule::Exact(text) => return Some(ValueMatch::Exact(text.clone())),
        ValueRule::Test(test) => test,
    };
    match test {
        ValueTest { exact: Some(text), regex: None, present: None } => Some(ValueMatch::Exact(text.clone())),
        ValueTest { exact: None, regex: Some(source), present: None } => {
            pattern(source, &at.at("regex"), findings).map(ValueMatch::Regex)
        }
        ValueTest { exact: None, regex: None, present: Some(true) } => Some(ValueMatch::Present),
        ValueTest { exact: None, regex: None, present: Some(false) } => Some(ValueMatch::Absent),
        _ => {
            findings.add(at, "give one of exact, regex and present");
            None
        }
    }
}

fn pattern(source: &str, at: &Place, findings: &mut Findings) -> Option<Pattern> {
    Pattern::new(source).map_err(|why| findings.add(at, format!("no pattern: {why}"))).ok()
}
