//! `routes`, judged, or made from the services where none are given.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::id::ServiceName;

use super::findings::{Findings, Place};
use super::services::{MAX_WEIGHT, Services, is_host_name};
use super::{PathMatch, Route, SplitTarget, precedence};
use crate::config::{self, Config};

/// Routes, most specific first.
pub(super) fn routes(
    config: &Config,
    services: &Services,
    at: &Place,
    findings: &mut Findings,
) -> Vec<Arc<Route>> {
    if config.routes.is_empty() {
        return from_services(services);
    }
    let mut names = BTreeSet::new();
    let mut routes = Vec::with_capacity(config.routes.len());
    for (n, route) in config.routes.iter().enumerate() {
        let at = at.at(n);
        let route = one(n, route, services, &at, findings);
        if !names.insert(route.name.clone()) {
            findings.add(&at.at("name"), format!("another route is called {:?} already", route.name));
        }
        routes.push(route);
    }
    precedence::sort(routes)
}

/// One service takes everything; several are chosen by the Host header's first label.
fn from_services(services: &Services) -> Vec<Arc<Route>> {
    let single = services.len() == 1;
    let route = |name: &ServiceName| Route {
        name: if single { "default".to_owned() } else { name.to_string() },
        hosts: if single { Vec::new() } else { vec![format!("{}.*", name.as_str().to_ascii_lowercase())] },
        path: PathMatch::Prefix("/".to_owned()),
        methods: Vec::new(),
        headers: Vec::new(),
        query: Vec::new(),
        split: vec![SplitTarget { service: name.clone(), version: None, weight: 1 }],
    };
    services.keys().map(route).map(Arc::new).collect()
}

fn one(n: usize, given: &config::Route, services: &Services, at: &Place, findings: &mut Findings) -> Route {
    let name = given.name.clone().unwrap_or_else(|| format!("route-{}", n + 1));
    findings.name(&at.at("name"), &name);
    Route {
        name,
        hosts: hosts(&given.hosts, &at.at("hosts"), findings),
        path: path(&given.path, &at.at("path"), findings),
        methods: methods(&given.methods, &at.at("methods"), findings),
        headers: headers(given, &at.at("headers"), findings),
        query: given.query.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        split: split(&given.split, services, &at.at("split"), findings),
    }
}

fn hosts(given: &[String], at: &Place, findings: &mut Findings) -> Vec<String> {
    for (n, host) in given.iter().enumerate() {
        let bare = host.strip_prefix("*.").unwrap_or(host);
        let is_ipv6 = bare.starts_with('[') && bare.ends_with(']');
        if !is_host_name(bare) && !is_ipv6 {
            findings.add(&at.at(n), format!("{host:?} is no host: give a name, or *.NAME, without port"));
        }
    }
    given.iter().map(|host| host.to_ascii_lowercase()).collect()
}

fn path(given: &config::PathRule, at: &Place, findings: &mut Findings) -> PathMatch {
    let (key, path) = match (&given.exact, &given.prefix) {
        (Some(_), Some(_)) => {
            findings.add(at, "give either exact or prefix, not both");
            return PathMatch::Prefix("/".to_owned());
        }
        (Some(exact), None) => ("exact", PathMatch::Exact(exact.clone())),
        (None, Some(prefix)) => {
            let bare = prefix.trim_end_matches('/');
            let bare = if bare.is_empty() && prefix.starts_with('/') { "/" } else { bare };
            ("prefix", PathMatch::Prefix(bare.to_owned()))
        }
        (None, None) => return PathMatch::Prefix("/".to_owned()),
    };
    let (PathMatch::Exact(text) | PathMatch::Prefix(text)) = &path;
    if !text.starts_with('/') || text.contains(['?', '#']) {
        findings.add(&at.at(key), format!("{text:?} is not a path: it begins with / and has no query"));
    }
    path
}

fn methods(given: &[String], at: &Place, findings: &mut Findings) -> Vec<http::Method> {
    let mut methods = Vec::with_capacity(given.len());
    for (n, text) in given.iter().enumerate() {
        match text.to_ascii_uppercase().parse() {
            Ok(method) => methods.push(method),
            Err(_) => findings.add(&at.at(n), format!("{text:?} is not a method")),
        }
    }
    methods
}

fn headers(given: &config::Route, at: &Place, findings: &mut Findings) -> Vec<(http::HeaderName, String)> {
    let mut headers = Vec::with_capacity(given.headers.len());
    for (name, value) in &given.headers {
        match name.parse::<http::HeaderName>() {
            Ok(name) => headers.push((name, value.clone())),
            Err(_) => findings.add(&at.at(name), format!("{name:?} is not a header's name")),
        }
    }
    headers
}

fn split(
    given: &[config::Split],
    services: &Services,
    at: &Place,
    findings: &mut Findings,
) -> Vec<SplitTarget> {
    if given.is_empty() {
        findings.add(at, "a route has at least one target");
    } else if given.iter().all(|target| target.weight == 0) {
        findings.add(at, "every weight is 0: the route would lead nowhere");
    }
    let mut targets = Vec::with_capacity(given.len());
    for (n, target) in given.iter().enumerate() {
        let at = at.at(n);
        findings.range(&at.at("weight"), target.weight, 0..=MAX_WEIGHT);
        targets.extend(self::target(target, services, &at, findings));
    }
    targets
}

fn target(
    given: &config::Split,
    services: &Services,
    at: &Place,
    findings: &mut Findings,
) -> Option<SplitTarget> {
    let named = ServiceName::new(given.service.as_str()).ok();
    let known = named.and_then(|name| services.get_key_value(&name));
    let Some((name, service)) = known else {
        let all: Vec<&str> = services.keys().map(ServiceName::as_str).take(20).collect();
        let message = format!("no service is called {:?}; there are: {}", given.service, all.join(", "));
        findings.add(&at.at("service"), message);
        return None;
    };
    if let Some(version) = &given.version
        && !service.endpoints.iter().any(|endpoint| endpoint.version == *version)
    {
        let message = format!("no endpoint of {name} has the version {version:?}");
        findings.add(&at.at("version"), message);
    }
    Some(SplitTarget { service: name.clone(), version: given.version.clone(), weight: given.weight })
}
