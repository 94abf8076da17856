//! `upstream.services`, judged, each with the policies that hold for it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use protocol::id::{EndpointId, ServiceName};

use super::findings::{Findings, Place};
use super::{Endpoint, HealthCheck, Service, balancing, breaking, limits, outliers, retries, transport};
use crate::config::{self, Config};

/// The largest weight that may be written, in the file or in an action.
pub const MAX_WEIGHT: u32 = 100_000;
/// The largest count of failures, successes or probes.
pub(super) const MAX_COUNT: u32 = 1_000_000;

pub(super) type Services = BTreeMap<ServiceName, Arc<Service>>;

pub(super) fn services(config: &Config, root: &Place, findings: &mut Findings) -> Services {
    common_policies(config, root, findings);
    let at = root.at("upstream").at("services");
    if config.upstream.services.is_empty() {
        findings.add(&at, "no service is configured: there is nowhere to send a request");
    }
    let mut services = Services::new();
    for (name, service) in &config.upstream.services {
        let at = at.at(name);
        match ServiceName::new(name.as_str()) {
            Ok(name) => {
                let service = one(name.clone(), config, service, &at, findings);
                services.insert(name, Arc::new(service));
            }
            Err(why) => findings.add(&at, why.to_string()),
        }
    }
    services
}

fn common_policies(config: &Config, root: &Place, findings: &mut Findings) {
    balancing::judge(&config.load_balancing, &root.at("load_balancing"), findings);
    breaking::judge(&config.circuit_breaker, &root.at("circuit_breaker"), findings);
    let outliers = config.outlier_detection.as_ref();
    outliers::judge(outliers, &root.at("outlier_detection"), findings);
    retries::judge(config.retry.as_ref(), &root.at("retry"), findings);
    limits::judge(config.limits.as_ref(), &root.at("limits"), findings);
}

fn one(
    name: ServiceName,
    config: &Config,
    service: &config::Service,
    at: &Place,
    findings: &mut Findings,
) -> Service {
    retries::judge(service.retry.as_ref(), &at.at("retry"), findings);
    limits::judge(service.limits.as_ref(), &at.at("limits"), findings);
    let mut timeout = |key: &str, ms: Option<u64>| ms.map(|ms| findings.duration(&at.at(key), ms, 1));
    let connect_timeout = timeout("connection_timeout_ms", service.connection_timeout_ms);
    let request_timeout = timeout("request_timeout_ms", service.request_timeout_ms);
    let idle_timeout = timeout("idle_timeout_ms", service.idle_timeout_ms);
    if let Some(balancing) = &service.load_balancing {
        balancing::judge(balancing, &at.at("load_balancing"), findings);
    }
    outliers::judge(service.outlier_detection.as_ref(), &at.at("outlier_detection"), findings);
    if let Some(breaker) = &service.circuit_breaker {
        breaking::judge(breaker, &at.at("circuit_breaker"), findings);
    }
    let health_check = service.health_check.as_ref();
    Service {
        name,
        endpoints: endpoints(&service.endpoints, &at.at("endpoints"), findings),
        transport: transport::transport(service, at, findings),
        balancing: balancing::of(&load_balancing(config, service)),
        outliers: outliers::detection(config, service).as_ref().and_then(outliers::of),
        breaker: breaking::of(&circuit_breaker(config, service)),
        retry: retries::retry(config, service).as_ref().and_then(retries::of),
        limits: limits::limits(config, service).as_ref().and_then(limits::of),
        connect_timeout,
        request_timeout,
        idle_timeout,
        health_check: health_check.and_then(|check| health(check, &at.at("health_check"), findings)),
    }
}

fn endpoints(given: &[config::Endpoint], at: &Place, findings: &mut Findings) -> Vec<Arc<Endpoint>> {
    if given.is_empty() {
        findings.add(at, "a service has at least one endpoint");
    } else if given.iter().all(|endpoint| endpoint.weight == 0) {
        findings.add(at, "every weight is 0: no endpoint would ever be asked");
    }
    let mut seen = BTreeSet::new();
    let mut endpoints = Vec::with_capacity(given.len());
    for (n, endpoint) in given.iter().enumerate() {
        let at = at.at(n);
        let Some(endpoint) = self::endpoint(endpoint, &at, findings) else { continue };
        if !seen.insert(endpoint.id.clone()) {
            findings.add(&at, format!("{} is listed twice in this service", endpoint.id));
        }
        endpoints.push(Arc::new(endpoint));
    }
    endpoints
}

fn endpoint(given: &config::Endpoint, at: &Place, findings: &mut Findings) -> Option<Endpoint> {
    findings.range(&at.at("port"), given.port, 1..=u16::MAX);
    findings.range(&at.at("weight"), given.weight, 0..=MAX_WEIGHT);
    for (key, label) in [("version", &given.version), ("zone", &given.zone)] {
        if !label.is_empty() {
            findings.name(&at.at(key), label);
        }
    }
    let bare = given.address.trim_start_matches('[').trim_end_matches(']');
    let (host, id) = match bare.parse::<Ipv6Addr>() {
        Ok(ip) => (ip.to_string(), format!("[{ip}]:{}", given.port)),
        Err(_) => (given.address.to_ascii_lowercase(), format!("{}:{}", given.address, given.port)),
    };
    let is_host = host.parse::<Ipv6Addr>().is_ok() || is_host_name(&host);
    match EndpointId::new(id.to_ascii_lowercase()) {
        Ok(id) if is_host => {
            let (version, zone) = (given.version.clone(), given.zone.clone());
            let metadata = given.metadata.clone();
            Some(Endpoint { id, host, port: given.port, weight: given.weight, version, zone, metadata })
        }
        _ => {
            let message = format!("{:?} is neither a host name nor an IP address", given.address);
            findings.add(&at.at("address"), message);
            None
        }
    }
}

/// Letters, digits, `-`, `_` and dots: DNS names, IPv4 addresses, names of containers.
pub(super) fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    // What ends in a number is an IPv4 address or nothing: no name does.
    let numeric = text.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    text.len() <= 253 && text.split('.').all(label) && (!numeric || text.parse::<Ipv4Addr>().is_ok())
}

/// The balancing that holds for `service`, every key that has a default filled in.
pub(super) fn load_balancing(config: &Config, service: &config::Service) -> config::LoadBalancing {
    let common = config.load_balancing.over(&balancing::defaults());
    service.load_balancing.as_ref().map_or_else(|| common.clone(), |own| own.over(&common))
}

/// The breaker that holds for `service`, every key that has a default filled in.
pub(super) fn circuit_breaker(config: &Config, service: &config::Service) -> config::CircuitBreaker {
    let common = config.circuit_breaker.over(&breaking::defaults());
    service.circuit_breaker.as_ref().map_or_else(|| common.clone(), |own| own.over(&common))
}

fn health(given: &config::HealthCheck, at: &Place, findings: &mut Findings) -> Option<HealthCheck> {
    let target = given.path.parse::<http::uri::PathAndQuery>();
    if !given.path.starts_with('/') || target.is_err() {
        findings.add(&at.at("path"), format!("{:?} is not a path: it begins with /", given.path));
    }
    findings.range(&at.at("unhealthy_threshold"), given.unhealthy_threshold, 1..=MAX_COUNT);
    findings.range(&at.at("healthy_threshold"), given.healthy_threshold, 1..=MAX_COUNT);
    let interval = findings.duration(&at.at("interval_ms"), given.interval_ms, 100);
    let whole = ("interval_ms", given.interval_ms);
    let timeout = findings.part(&at.at("timeout_ms"), given.timeout_ms, 2_000, whole);
    let check = HealthCheck {
        path: given.path.clone(),
        interval,
        timeout,
        unhealthy_threshold: given.unhealthy_threshold,
        healthy_threshold: given.healthy_threshold,
    };
    given.enabled.then_some(check)
}
