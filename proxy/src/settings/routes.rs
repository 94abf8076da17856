//! `routes`, judged, or made from the services where none are given.

mod filters;
mod matches;

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::id::ServiceName;

use super::cors;
use super::findings::{Findings, Place};
use super::services::{MAX_WEIGHT, Services, is_host_name};
use super::{Mirror, Route, SplitTarget};
use crate::config::{self, Config};
use crate::security::cors::Cors;

/// Routes, in the file's order.
pub(super) fn routes(
    config: &Config,
    services: &Services,
    at: &Place,
    findings: &mut Findings,
) -> Vec<Arc<Route>> {
    let security = Place::root().at("security").at("cors");
    let common = config.security.as_ref().and_then(|security_of| security_of.cors.as_ref());
    let common = common.and_then(|given| cors::cors(given, &security, findings)).map(Arc::new);
    if config.routes.is_empty() {
        return from_services(services, common.as_ref());
    }
    let mut names = BTreeSet::new();
    let mut routes = Vec::with_capacity(config.routes.len());
    for (n, route) in config.routes.iter().enumerate() {
        let at = at.at(n);
        let says = route.cors.is_some();
        let mut route = one(n, route, services, &at, findings);
        if !says {
            route.cors = common.clone();
        }
        if !names.insert(route.name.clone()) {
            findings.add(&at.at("name"), format!("another route is called {:?} already", route.name));
        }
        routes.push(Arc::new(route));
    }
    routes
}

/// One service takes everything; several are chosen by the Host header's first label.
fn from_services(services: &Services, cors: Option<&Arc<Cors>>) -> Vec<Arc<Route>> {
    let single = services.len() == 1;
    let route = |name: &ServiceName| Route {
        name: if single { "default".to_owned() } else { name.to_string() },
        hosts: if single { Vec::new() } else { vec![format!("{}.*", name.as_str().to_ascii_lowercase())] },
        split: vec![SplitTarget::whole(name.clone())],
        cors: cors.cloned(),
        ..Route::default()
    };
    services.keys().map(route).map(Arc::new).collect()
}

fn one(n: usize, given: &config::Route, services: &Services, at: &Place, findings: &mut Findings) -> Route {
    let name = given.name.clone().unwrap_or_else(|| format!("route-{}", n + 1));
    findings.name(&at.at("name"), &name);
    let matches = matches::all(given, at, findings);
    let answer = filters::answer(given, &matches, at, findings);
    let mut timeout = |key: &str, ms: Option<u64>| ms.map(|ms| findings.duration(&at.at(key), ms, 1));
    let request_timeout = timeout("request_timeout_ms", given.request_timeout_ms);
    let per_try = timeout("per_try_timeout_ms", given.per_try_timeout_ms);
    let mut edits = |key: &str, given: &Option<config::HeaderEdits>| {
        given.as_ref().map(|given| filters::edits(given, &at.at(key), findings))
    };
    Route {
        name,
        request_headers: edits("request_headers", &given.request_headers),
        response_headers: edits("response_headers", &given.response_headers),
        hosts: hosts(&given.hosts, &at.at("hosts"), findings),
        rewrite: filters::rewrite(given, &matches, &at.at("rewrite"), findings),
        mirror: given.mirror.as_ref().and_then(|own| mirror(own, services, &at.at("mirror"), findings)),
        cohort: given.cohort.as_ref().and_then(|own| filters::cohort(own, &at.at("cohort"), findings)),
        fault: given.fault.as_ref().map(|own| filters::fault(own, &at.at("fault"), findings)),
        split: if answer.is_some() {
            Vec::new()
        } else {
            split(&given.split, services, &at.at("split"), findings)
        },
        answer,
        upgrades: upgrades(&given.upgrades, &at.at("upgrades"), findings),
        matches,
        request_timeout,
        per_try,
        retries: given.retries.unwrap_or(true),
        priority: given.priority.unwrap_or_default(),
        cors: given.cors.as_ref().and_then(|own| cors::cors(own, &at.at("cors"), findings)).map(Arc::new),
        authentication: given.authentication.clone(),
    }
}

/// Tokens, and none whose requests nobody would read.
fn upgrades(given: &[String], at: &Place, findings: &mut Findings) -> Vec<String> {
    for (n, protocol) in given.iter().enumerate() {
        let of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~/".contains(&byte);
        if protocol.is_empty() || !protocol.bytes().all(of_token) {
            findings.add(&at.at(n), format!("{protocol:?} is no protocol: give a name such as websocket"));
        } else if protocol.to_ascii_lowercase().starts_with("h2c") {
            findings.add(&at.at(n), "HTTP/2 is begun by prior knowledge here, and never by an upgrade");
        }
    }
    given.to_vec()
}

/// A name or address, an IPv6 address in its brackets.
pub(super) fn is_host(text: &str) -> bool {
    is_host_name(text) || (text.starts_with('[') && text.ends_with(']'))
}

fn hosts(given: &[String], at: &Place, findings: &mut Findings) -> Vec<String> {
    for (n, host) in given.iter().enumerate() {
        if !is_host(host.strip_prefix("*.").unwrap_or(host)) {
            findings.add(&at.at(n), format!("{host:?} is no host: give a name, or *.NAME, without port"));
        }
    }
    given.iter().map(|host| host.to_ascii_lowercase()).collect()
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

fn mirror(
    given: &config::Mirror,
    services: &Services,
    at: &Place,
    findings: &mut Findings,
) -> Option<Mirror> {
    findings.range(&at.at("max_body_bytes"), given.max_body_bytes, 0..=1_048_576);
    findings.range(&at.at("max_in_flight"), given.max_in_flight, 1..=1_024);
    let target = config::Split {
        service: given.service.clone(),
        version: given.version.clone(),
        metadata: given.metadata.clone(),
        weight: 1,
    };
    Some(Mirror {
        share: filters::share(given.percent, at, findings),
        target: self::target(&target, services, at, findings)?,
        max_body_bytes: given.max_body_bytes as usize,
        max_in_flight: given.max_in_flight,
    })
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
    let asked = SplitTarget {
        service: name.clone(),
        version: given.version.clone(),
        metadata: given.metadata.clone(),
        weight: given.weight,
    };
    if !service.endpoints.iter().any(|endpoint| asked.names(endpoint)) {
        findings.add(&at.at(key_of(given)), nobody(name, given));
    }
    Some(asked)
}

fn key_of(given: &config::Split) -> &'static str {
    if given.metadata.is_empty() { "version" } else { "metadata" }
}

fn nobody(name: &ServiceName, given: &config::Split) -> String {
    let labels = || given.metadata.iter().map(|(key, value)| format!("{key}: {value}")).collect::<Vec<_>>();
    match (&given.version, given.metadata.is_empty()) {
        (Some(version), true) => format!("no endpoint of {name} has the version {version:?}"),
        (version, _) => {
            let version = version.iter().map(|version| format!("version: {version}"));
            let all: Vec<String> = version.chain(labels()).collect();
            format!("no endpoint of {name} has all of {}", all.join(", "))
        }
    }
}
