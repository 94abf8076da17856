//! From a document to [`Settings`]: the shape first, then everything that is impossible, in one report.

use std::path::PathBuf;

use protocol::document::{Document, Report};

use super::authorization::Named;
use super::findings::{Findings, Place};
use super::{
    AiMode, Floor, Settings, ai, limits, listeners, observability, outliers, rates, retries, routes,
    security, services,
};
use crate::config::{self, Config};
use crate::digest;

/// Where tokens, state and a brain's store are kept unless said otherwise, relative to the working directory.
pub const DEFAULT_DATA_DIR: &str = "./lightsout-data";

/// What the file does not say: the command line and the machine.
#[derive(Debug, Clone)]
pub struct Given {
    /// `--ai-enabled`.
    pub ai_enabled: bool,
    /// `--ai-mode`.
    pub ai_mode: Option<AiMode>,
    /// The machine's name, for the default proxy id.
    pub host_name: String,
    /// Cores, for the default number of workers.
    pub cores: usize,
}

impl Settings {
    /// The settings that `document` describes.
    ///
    /// # Errors
    /// A [`Report`] with everything that is wrong with its shape, or else with its values.
    pub fn from_document(document: &Document, given: &Given) -> Result<Self, Report> {
        let config: Config = document.read()?;
        let root = Place::root();
        let mut findings = Findings::default();
        let data_dir = config.ai.as_ref().map_or(DEFAULT_DATA_DIR, |ai| ai.data_dir.as_str());
        let data_dir = PathBuf::from(data_dir);
        let server = listeners::server(&config.server, given, &root.at("server"), &mut findings);
        let admin = listeners::admin(&config.admin, &data_dir, &root.at("admin"), &mut findings);
        if server.bind.port() != 0 && server.bind == admin.bind {
            findings.add(&root.at("admin").at("port"), "the main listener has this address already");
        }
        let services = services::services(&config, &root, &mut findings);
        let routes = routes::routes(&config, &services, &root.at("routes"), &mut findings);
        let floor = floor(&config.floor, &root.at("floor"), &mut findings);
        let ai = ai::ai(config.ai.as_ref(), given, (&server, &admin), &root.at("ai"), &mut findings);
        let at = root.at("observability");
        let observability = observability::observability(&config.observability, &at, &mut findings);
        let (at, given_rates) = (root.at("rate_limit"), config.rate_limit.as_ref());
        let rate_limit = rates::rates(given_rates, &services, &routes, &at, &mut findings);
        let (at, asked) = (root.at("security"), config.security.as_ref());
        let named = Named { services: &services, routes: &routes };
        let (security, read) = security::security(asked, &named, &at, &mut findings);
        security::names_of_routes(&security, &routes, &root.at("routes"), &mut findings);
        let effective = effective(&config);
        let hash = if read.is_empty() { digest::of(&effective) } else { digest::of(&(effective, read)) };
        let findings = findings.into_vec();
        if !findings.is_empty() {
            return Err(document.report(findings));
        }
        Ok(Self { server, admin, services, routes, floor, ai, observability, rate_limit, security, hash })
    }
}

fn floor(config: &config::Floor, at: &Place, findings: &mut Findings) -> Floor {
    findings.range(&at.at("min_capacity"), config.min_capacity, 0.5..=1.0);
    Floor { min_capacity: config.min_capacity }
}

/// The configuration as it takes effect: each service with the policies that hold for it, so that two
/// files that say the same in other places have the same hash.
fn effective(config: &Config) -> Config {
    let mut effective = config.clone();
    for service in effective.upstream.services.values_mut() {
        service.load_balancing = Some(services::load_balancing(config, service));
        service.circuit_breaker = Some(services::circuit_breaker(config, service));
        service.outlier_detection = outliers::detection(config, service);
        service.retry = retries::retry(config, service);
        service.limits = limits::limits(config, service);
    }
    effective.load_balancing = config::LoadBalancing::default();
    effective.circuit_breaker = config::CircuitBreaker::default();
    effective.outlier_detection = None;
    (effective.retry, effective.limits) = (None, None);
    effective
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
