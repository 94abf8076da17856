//! `rate_limit`, judged; and a lease's limit in the same words.

use std::collections::BTreeSet;
use std::time::Duration;

use http::HeaderName;
use protocol::id::ServiceName;

use super::findings::{Findings, Place};
use super::{Route, services::Services};
pub use crate::config::RateHeaders;
use crate::config::{self, Period};
use crate::security::rate_limit::Gcra;
use std::sync::Arc;

/// The largest rate and burst.
const MAX_REQUESTS: u32 = 10_000_000;
/// Rules of one file.
const MAX_RULES: usize = 256;
/// For the buckets of leases, where the file has no section.
const USUAL_KEYS: usize = 131_072;

/// How often clients may ask.
#[derive(Debug, Clone)]
pub struct RateLimits {
    /// What clients are told.
    pub headers: RateHeaders,
    /// Keys told apart at once.
    pub max_keys: usize,
    /// In the file's order.
    pub rules: Vec<RateRule>,
}

/// One limit.
#[derive(Debug, Clone, PartialEq)]
pub struct RateRule {
    /// A bounded label.
    pub name: String,
    /// What has a bucket of its own.
    pub key: RateKey,
    /// The bucket.
    pub gcra: Gcra,
    /// Requests a period, as clients are told.
    pub requests: u64,
    /// The period, as clients are told.
    pub per: Duration,
    /// The bucket's size.
    pub burst: u32,
    /// Only these routes; empty: any.
    pub routes: Vec<String>,
    /// Only these services; empty: any.
    pub services: Vec<ServiceName>,
    /// Whether nobody is refused.
    pub dry_run: bool,
}

/// What has a bucket of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RateKey {
    /// The client's address; of IPv6 the /64, which is what one client is given.
    Ip,
    /// Each value of a header field.
    Header(HeaderName),
    /// Each principal.
    User,
    /// Each route.
    Route,
    /// Each service.
    Service,
    /// All requests share one.
    Global,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self { headers: RateHeaders::None, max_keys: USUAL_KEYS, rules: Vec::new() }
    }
}

impl RateKey {
    /// The key that is written so.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        Some(match text {
            "ip" => Self::Ip,
            "user" => Self::User,
            "route" => Self::Route,
            "service" => Self::Service,
            "global" => Self::Global,
            _ => Self::Header(text.strip_prefix("header:")?.parse().ok()?),
        })
    }
}

impl RateRule {
    /// What a lease asks of `service`; `None` where its key is none.
    #[must_use]
    pub fn leased(service: &ServiceName, key: &str, rps: f64, burst: u32) -> Option<Self> {
        let per = Duration::from_secs(1);
        Some(Self {
            name: format!("lease:{service}"),
            key: RateKey::named(key)?,
            gcra: Gcra::new(rps, per, burst),
            requests: (rps as u64).max(1),
            per,
            burst,
            routes: Vec::new(),
            services: vec![service.clone()],
            dry_run: false,
        })
    }

    /// Whether it can be judged only when the service is known.
    #[must_use]
    pub fn needs_service(&self) -> bool {
        !self.services.is_empty() || self.key == RateKey::Service
    }
}

pub(super) fn rates(
    given: Option<&config::RateLimit>,
    services: &Services,
    routes: &[Arc<Route>],
    at: &Place,
    findings: &mut Findings,
) -> Option<RateLimits> {
    let given = given?;
    findings.range(&at.at("max_keys"), given.max_keys, 1_024..=16_777_216);
    let at = at.at("rules");
    if given.rules.len() > MAX_RULES {
        findings.add(&at, format!("{} rules; {MAX_RULES} are the most", given.rules.len()));
    }
    let mut names = BTreeSet::new();
    let mut rules = Vec::with_capacity(given.rules.len());
    for (n, rule) in given.rules.iter().enumerate() {
        let at = at.at(n);
        let known = Known { services, routes };
        let rule = one(n, rule, &known, &at, findings);
        if let Some(rule) = rule.filter(|rule| names.insert(rule.name.clone()) || twice(rule, &at, findings))
        {
            rules.push(rule);
        }
    }
    Some(RateLimits { headers: given.headers, max_keys: given.max_keys as usize, rules })
}

fn twice(rule: &RateRule, at: &Place, findings: &mut Findings) -> bool {
    findings.add(&at.at("name"), format!("another rule is called {:?} already", rule.name));
    false
}

/// What a rule may name.
struct Known<'a> {
    services: &'a Services,
    routes: &'a [Arc<Route>],
}

fn one(
    n: usize,
    given: &config::RateRule,
    known: &Known<'_>,
    at: &Place,
    findings: &mut Findings,
) -> Option<RateRule> {
    let name = given.name.clone().unwrap_or_else(|| format!("rate-{}", n + 1));
    findings.name(&at.at("name"), &name);
    findings.range(&at.at("requests"), given.requests, 1..=MAX_REQUESTS);
    given.burst.into_iter().for_each(|burst| findings.range(&at.at("burst"), burst, 1..=MAX_REQUESTS));
    let key = RateKey::named(&given.key);
    if key.is_none() {
        let message =
            format!("{:?} is no key: give ip, header:NAME, user, route, service or global", given.key);
        findings.add(&at.at("key"), message);
    }
    for (n, name) in given.routes.iter().enumerate() {
        if !known.routes.iter().any(|route| route.name == *name) {
            findings.add(&at.at("routes").at(n), format!("no route is called {name:?}"));
        }
    }
    let mut services = Vec::with_capacity(given.services.len());
    for (n, name) in given.services.iter().enumerate() {
        let found = ServiceName::new(name.as_str()).ok().filter(|name| known.services.contains_key(name));
        match found {
            Some(name) => services.push(name),
            None => findings.add(&at.at("services").at(n), format!("no service is called {name:?}")),
        }
    }
    let (per, burst) = (length(given.per), given.burst.unwrap_or(given.requests));
    Some(RateRule {
        name,
        key: key?,
        gcra: Gcra::new(f64::from(given.requests.max(1)), per, burst),
        requests: u64::from(given.requests),
        per,
        burst,
        routes: given.routes.clone(),
        services,
        dry_run: given.dry_run,
    })
}

fn length(period: Period) -> Duration {
    Duration::from_secs(match period {
        Period::Second => 1,
        Period::Minute => 60,
        Period::Hour => 3_600,
        Period::Day => 86_400,
    })
}
