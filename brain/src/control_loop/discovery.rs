//! New versions that proxies tell of: by policy each gets its canary.

use std::collections::{BTreeMap, BTreeSet};

use super::ControlLoop;
use crate::domain::{Mode, PersonAnswer, TickOutput};

/// Versions remembered as seen.
const MAX_SEEN: usize = 1_024;

/// When versions were first seen without traffic, by service and version.
#[derive(Debug, Default)]
pub(super) struct Newcomers {
    since_ms: BTreeMap<(String, String), i64>,
    refused: BTreeSet<(String, String)>,
}

/// A service's versions: those that the file or a promotion gives traffic, and those it does not.
#[derive(Debug, Default)]
struct Versions {
    serving: BTreeSet<String>,
    idle: BTreeSet<String>,
}

impl ControlLoop {
    /// Begins the canaries that the policy wants.
    pub(super) fn discover(&mut self, out: &mut TickOutput) {
        if !self.policies.canaries.discovery.enabled || self.mode != Mode::Autonomous || self.frozen {
            return;
        }
        let mut idle = BTreeMap::new();
        for (service, versions) in self.versions() {
            // Of two new ones, or two old ones, nobody can say which is meant.
            let (Some(stable), Some(version)) = (only(&versions.serving), only(&versions.idle)) else {
                continue;
            };
            idle.insert((service, version), stable);
        }
        self.newcomers.since_ms.retain(|key, _| idle.contains_key(key));
        let settle_ms = i64::from(self.policies.canaries.discovery.settle_s) * 1_000;
        for (key, stable) in idle {
            if self.newcomers.since_ms.len() >= MAX_SEEN && !self.newcomers.since_ms.contains_key(&key) {
                continue;
            }
            let since_ms = *self.newcomers.since_ms.entry(key.clone()).or_insert(self.now_ms);
            let settled = self.now_ms - since_ms >= settle_ms;
            if settled && !self.newcomers.refused.contains(&key) && !self.rollouts.has_tried(&key.0, &key.1) {
                self.begin_discovered(key, &stable, out);
            }
        }
    }

    fn begin_discovered(&mut self, key: (String, String), stable: &str, out: &mut TickOutput) {
        let Ok(spec) = self.policies.canaries.discovery.spec(&key.0, stable, &key.1) else { return };
        let me = self.me();
        if !matches!(self.start_canary(&me, spec, out), PersonAnswer::Done(_)) {
            // Not again in this life; whoever wants it can ask for it, and is told why not.
            self.newcomers.refused.insert(key);
        }
    }

    fn versions(&self) -> BTreeMap<String, Versions> {
        let mut all: BTreeMap<String, Versions> = BTreeMap::new();
        for (proxy, own) in self.fleet.values().flat_map(|p| p.services.iter().map(move |s| (p, s))) {
            let service = own.service.to_string();
            if !self.policies.canaries.discovery.covers(&service) {
                continue;
            }
            let promoted = proxy.promotions.get(&own.service);
            let versions = all.entry(service).or_default();
            for endpoint in own.endpoints.iter().filter(|e| !e.version.is_empty()) {
                let serves = match promoted {
                    Some(promoted) => *promoted == endpoint.version,
                    None => endpoint.weight_configured > 0,
                };
                let set = if serves { &mut versions.serving } else { &mut versions.idle };
                set.insert(endpoint.version.clone());
            }
        }
        for versions in all.values_mut() {
            versions.idle.retain(|version| !versions.serving.contains(version));
        }
        all
    }
}

fn only(set: &BTreeSet<String>) -> Option<String> {
    set.first().filter(|_| set.len() == 1).cloned()
}
