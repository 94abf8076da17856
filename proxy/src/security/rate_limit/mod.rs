//! How often clients may ask: the rules in force over one table of buckets.

mod buckets;
mod gcra;
mod told;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use smallvec::SmallVec;

pub use buckets::Buckets;
pub use gcra::{Gcra, Left};
pub use told::tell;

use crate::live_state::LiveState;
use crate::settings::{RateHeaders, RateKey, RateLimits, RateRule};

/// What the decisions in force say of rates; shared by all workers.
#[derive(Debug)]
pub struct Rates {
    /// All keys' buckets.
    pub buckets: Arc<Buckets>,
    /// What clients are told.
    pub headers: RateHeaders,
    /// Of the file, then of leases.
    pub rules: Vec<Arc<Rule>>,
}

/// A rule in force.
#[derive(Debug)]
pub struct Rule {
    /// What it says.
    pub terms: RateRule,
    /// What its buckets are known by: the same terms keep their buckets over a reload.
    id: u64,
    /// What came of it.
    pub counts: Arc<RuleCounts>,
}

/// What came of a rule since the start.
#[derive(Debug, Default)]
pub struct RuleCounts {
    /// Requests refused.
    pub refused: AtomicU64,
    /// Requests that a dry run would have refused.
    pub spared: AtomicU64,
}

/// What rules look at.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The client, as it is counted.
    pub ip: IpAddr,
    /// The request's fields.
    pub headers: &'a HeaderMap,
    /// The route's name.
    pub route: &'a str,
    /// The service's, where it is known yet.
    pub service: &'a str,
    /// The principal, where somebody was authenticated.
    pub user: Option<&'a str>,
}

/// What the rules say of one request.
pub type Standing<'a> = SmallVec<[(&'a Rule, Result<Left, Duration>); 2]>;

impl Rates {
    /// Counts a request on each of `rules`, or on none where one of them refuses it. What each says comes
    /// back; the last is the refusal, if there is one.
    pub fn admit<'r>(
        &self,
        rules: impl IntoIterator<Item = &'r Arc<Rule>>,
        asked: Asked<'_>,
        now: u64,
    ) -> Standing<'r> {
        let mut standing = Standing::new();
        let mut taken: SmallVec<[(u64, Gcra); 4]> = SmallVec::new();
        for rule in rules {
            let Some(key) = self.key(rule, asked) else { continue };
            match self.buckets.take(key, rule.terms.gcra, now) {
                Ok(left) => {
                    taken.push((key, rule.terms.gcra));
                    standing.push((rule, Ok(left)));
                }
                Err(_) if rule.terms.dry_run => _ = rule.counts.spared.fetch_add(1, Ordering::Relaxed),
                Err(wait) => {
                    rule.counts.refused.fetch_add(1, Ordering::Relaxed);
                    taken.into_iter().for_each(|(key, gcra)| self.buckets.give_back(key, gcra));
                    standing.push((rule, Err(wait)));
                    break;
                }
            }
        }
        standing
    }

    /// The bucket that a rule has for a request, if it has one.
    fn key(&self, rule: &Rule, asked: Asked<'_>) -> Option<u64> {
        let id = rule.id;
        Some(match &rule.terms.key {
            RateKey::Ip => self.buckets.key((id, network(asked.ip))),
            RateKey::Header(name) => self.buckets.key((id, asked.headers.get(name)?.as_bytes())),
            RateKey::User => self.buckets.key((id, asked.user?)),
            RateKey::Route => self.buckets.key((id, asked.route)),
            RateKey::Service => self.buckets.key((id, asked.service)),
            RateKey::Global => self.buckets.key(id),
        })
    }
}

/// Of IPv6 the /64: who has one address has them all.
fn network(ip: IpAddr) -> (bool, u64) {
    match ip {
        IpAddr::V4(address) => (true, u64::from(address.to_bits())),
        IpAddr::V6(address) => (false, (address.to_bits() >> 64) as u64),
    }
}

/// What outlives a table: buckets and counts. Locked only when a table is built, never per request.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    buckets: Option<Arc<Buckets>>,
    counts: HashMap<String, Arc<RuleCounts>>,
}

impl Memory {
    /// What `live` says of rates, over the buckets that there are; `None` where it says nothing.
    #[must_use]
    pub fn rates(&self, live: &LiveState) -> Option<Arc<Rates>> {
        let usual = RateLimits::default();
        let configured = live.settings.rate_limit.as_ref().unwrap_or(&usual);
        let leased = live.services.values().flat_map(|service| &service.rates);
        let rules: Vec<&RateRule> = configured.rules.iter().chain(leased).collect();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if rules.is_empty() {
            *kept = Kept::default();
            return None;
        }
        let wanted = configured.max_keys;
        let fits = |buckets: &Arc<Buckets>| buckets.capacity() == wanted.next_power_of_two();
        let buckets = kept.buckets.take().filter(fits).unwrap_or_else(|| Arc::new(Buckets::new(wanted)));
        kept.buckets = Some(Arc::clone(&buckets));
        kept.counts.retain(|name, _| rules.iter().any(|rule| rule.name == *name));
        let mut rule = |terms: &RateRule| {
            let counts = Arc::clone(kept.counts.entry(terms.name.clone()).or_default());
            Arc::new(Rule { id: id(terms), terms: terms.clone(), counts })
        };
        let rules = rules.into_iter().map(&mut rule).collect();
        Some(Arc::new(Rates { buckets, headers: configured.headers, rules }))
    }
}

/// The same for the same limit, whatever else has changed.
fn id(terms: &RateRule) -> u64 {
    let said = format!("{} {:?} {:?} {:?}", terms.name, terms.key, terms.gcra, terms.routes);
    xxhash_rust::xxh3::xxh3_64(said.as_bytes())
}

#[cfg(test)]
mod tests;
