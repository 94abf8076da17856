//! `security.authorization`, judged.

use std::sync::Arc;

use http::Method;
use protocol::id::ServiceName;

use super::Route;
use super::external_authorizer as external;
use super::findings::{Findings, Place};
#[cfg(any(feature = "cedar", feature = "rego"))]
use super::policy_files;
use super::security::Reader;
use super::services::Services;
use crate::config::{self, AuthorizationEffect, AuthorizationMode};
use crate::security::authorization::{
    Authorizer, Counts, Effect, Engine, PathRule, PrincipalRule, Rule, Rules,
};
use crate::security::ip_lists;

/// Rules of one file.
const MAX_RULES: usize = 1_000;

/// What rules may name.
pub(super) struct Named<'a> {
    pub(super) services: &'a Services,
    pub(super) routes: &'a [Arc<Route>],
}

pub(super) fn authorization(
    given: &config::Authorization,
    named: &Named<'_>,
    at: &Place,
    reader: &mut Reader,
    findings: &mut Findings,
) -> Authorizer {
    let mut engines: Vec<Box<dyn Engine>> = Vec::new();
    if let Some(given) = &given.rules {
        let at = at.at("rules");
        if given.len() > MAX_RULES {
            findings.add(&at, format!("{} rules; {MAX_RULES} are the most", given.len()));
        }
        let rules = given.iter().enumerate().map(|(n, given)| rule(n, given, named, &at.at(n), findings));
        engines.push(Box::new(Rules(rules.collect())));
    }
    if let Some(given) = &given.cedar {
        engines.extend(cedar(given, &at.at("cedar"), reader, findings));
    }
    if let Some(given) = &given.rego {
        engines.extend(rego(given, &at.at("rego"), reader, findings));
    }
    let place = at.at("external");
    let external = given.external.as_ref().and_then(|given| external::external(given, &place, findings));
    if given.rules.is_none() && given.cedar.is_none() && given.rego.is_none() && given.external.is_none() {
        findings.add(at, "there is none of rules, cedar, rego and external: nothing would be allowed");
    }
    let external = external.map(Arc::new);
    Authorizer {
        engines,
        external,
        shadow: given.mode == AuthorizationMode::Shadow,
        counts: Counts::default(),
    }
}

#[cfg(feature = "cedar")]
fn cedar(
    given: &config::CedarPolicies,
    at: &Place,
    reader: &mut Reader,
    findings: &mut Findings,
) -> Option<Box<dyn Engine>> {
    use crate::security::authorization::cedar::{Cedar, MAX_POLICY_BYTES};
    let at = at.at("policies");
    let texts = policy_files::read(&given.policies, "cedar", MAX_POLICY_BYTES, &at, (reader, findings))?;
    match Cedar::new(&texts) {
        Ok(cedar) => Some(Box::new(cedar)),
        Err(faults) => {
            faults.into_iter().for_each(|fault| findings.add(&at, fault));
            None
        }
    }
}

#[cfg(not(feature = "cedar"))]
fn cedar(
    _given: &config::CedarPolicies,
    at: &Place,
    _reader: &mut Reader,
    findings: &mut Findings,
) -> Option<Box<dyn Engine>> {
    findings.add(at, "this build is without Cedar (its feature `cedar`)");
    None
}

#[cfg(feature = "rego")]
fn rego(
    given: &config::RegoPolicies,
    at: &Place,
    reader: &mut Reader,
    findings: &mut Findings,
) -> Option<Box<dyn Engine>> {
    use crate::security::authorization::rego::{MAX_POLICY_BYTES, Rego};
    let place = at.at("policies");
    let texts = policy_files::read(&given.policies, "rego", MAX_POLICY_BYTES, &place, (reader, findings))?;
    match Rego::new(&texts, &given.rule) {
        Ok(rego) => Some(Box::new(rego)),
        Err(why) => {
            findings.add(at, why);
            None
        }
    }
}

#[cfg(not(feature = "rego"))]
fn rego(
    _given: &config::RegoPolicies,
    at: &Place,
    _reader: &mut Reader,
    findings: &mut Findings,
) -> Option<Box<dyn Engine>> {
    findings.add(at, "this build is without Rego (its feature `rego`)");
    None
}

fn rule(
    n: usize,
    given: &config::AuthorizationRule,
    named: &Named<'_>,
    at: &Place,
    findings: &mut Findings,
) -> Rule {
    let name = given.name.clone().unwrap_or_else(|| format!("rule-{}", n + 1));
    findings.name(&at.at("name"), &name);
    let mut each = |key: &str, texts: &[String], what: &str, known: &dyn Fn(&str) -> bool| {
        for (n, text) in texts.iter().enumerate().filter(|(_, text)| !known(text)) {
            findings.add(&at.at(key).at(n), format!("{text:?} is {what}"));
        }
    };
    let network = |text: &str| ip_lists::network(text).map(|network| network.trunc());
    // Letters' case counts in methods: `get` would never match.
    let method =
        |text: &str| Method::from_bytes(text.as_bytes()).ok().filter(|_| *text == text.to_uppercase());
    let service = |text: &str| ServiceName::new(text).ok().filter(|name| named.services.contains_key(name));
    let route = |text: &str| named.routes.iter().any(|route| route.name == text);
    each("networks", &given.networks, "no address and no network (10.0.0.0/8)", &|text| {
        network(text).is_some()
    });
    each("methods", &given.methods, "no method", &|text| method(text).is_some());
    each("paths", &given.paths, "no path: give /a, or /a/*", &|text| PathRule::parse(text).is_some());
    each("services", &given.services, "no service", &|text| service(text).is_some());
    each("routes", &given.routes, "no route", &route);
    Rule {
        name,
        effect: match given.effect {
            AuthorizationEffect::Allow => Effect::Allow,
            AuthorizationEffect::Deny => Effect::Deny,
        },
        principals: given.principals.iter().map(|text| PrincipalRule::parse(text)).collect(),
        claims: given.claims.iter().map(|(claim, texts)| (claim.clone(), texts.clone())).collect(),
        networks: given.networks.iter().filter_map(|text| network(text)).collect(),
        methods: given.methods.iter().filter_map(|text| method(text)).collect(),
        paths: given.paths.iter().filter_map(|text| PathRule::parse(text)).collect(),
        routes: given.routes.clone(),
        services: given.services.iter().filter_map(|text| service(text)).collect(),
    }
}
