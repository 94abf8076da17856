//! All that a rollout may know of the world in one turn.

use std::collections::BTreeMap;

use protocol::action::ActionKind;
use protocol::snapshot::{EndpointStatus, Health, ProxyStatus};

use super::judge::Look;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Sight {
    /// Now, milliseconds since the epoch.
    pub now_ms: i64,
    /// What the proxies tell of both versions.
    pub fleet: FleetSight,
    /// What all proxies that could be reached hold of what was wanted.
    pub held: Option<ActionKind>,
    /// Why a proxy refuses what is wanted.
    pub refused: Option<String>,
    /// Seconds that are complete since the last turn.
    pub looks: Vec<Look>,
    /// End of the newest second that is complete, milliseconds since the epoch.
    pub seen_to_ms: i64,
    /// Open incidents that concern the service, the gravest first.
    pub trouble: Option<Trouble>,
    /// Whether nothing new may be put: a person's freeze, or no audit.
    pub stopped: Option<&'static str>,
    /// Share of the stable version's capacity that must stay, 0 to 1.
    pub min_capacity: f64,
}

/// An incident at the canary's service.
#[derive(Debug, Clone, PartialEq)]
pub struct Trouble {
    /// Which.
    pub incident: String,
    /// Whether the canary is the culprit, for sure enough.
    pub by_canary: bool,
    /// In one sentence.
    pub summary: String,
}

/// The service at the proxies.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FleetSight {
    /// Proxies that serve it.
    pub proxies: Vec<(String, String)>,
    /// Of them, those without an endpoint of one of the versions: `p1 has no v2`.
    pub lacking: Vec<String>,
    /// The version users have.
    pub stable: VersionSight,
    /// The version on trial.
    pub canary: VersionSight,
}

/// One version at the proxies.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VersionSight {
    /// Its endpoints, by name, over all proxies; whether any proxy would send requests there.
    pub endpoints: BTreeMap<String, bool>,
    /// Weight in configurations, the largest any proxy has; an endpoint that has none counts as its siblings.
    pub capacity: f64,
    /// Whether a configuration gives it traffic without any lease.
    pub is_configured: bool,
}

impl VersionSight {
    /// Whether it has endpoints, and active checks say of all of them that they are down.
    #[must_use]
    pub fn is_down(&self) -> bool {
        !self.endpoints.is_empty() && self.endpoints.values().all(|well| !well)
    }

    fn add(&mut self, endpoint: &EndpointStatus) {
        let well = endpoint.health != Health::Unhealthy;
        let seen = self.endpoints.entry(endpoint.endpoint.to_string()).or_insert(false);
        *seen |= well;
        self.is_configured |= endpoint.weight_configured > 0;
    }
}

impl FleetSight {
    /// What `fleet` tells of two versions of `service`.
    #[must_use]
    pub fn of(fleet: &BTreeMap<String, ProxyStatus>, service: &str, stable: &str, canary: &str) -> Self {
        let mut sight = Self::default();
        let mut weights: BTreeMap<String, (String, u32)> = BTreeMap::new();
        for (proxy, status) in fleet {
            let Some(own) = status.services.iter().find(|s| s.service.as_str() == service) else { continue };
            sight.proxies.push((proxy.clone(), status.boot.clone()));
            for version in [stable, canary] {
                if !own.endpoints.iter().any(|e| e.version == version) {
                    sight.lacking.push(format!("{proxy} has no {version}"));
                }
            }
            for endpoint in &own.endpoints {
                let slot = weights.entry(endpoint.endpoint.to_string());
                let slot = slot.or_insert_with(|| (endpoint.version.clone(), 0));
                slot.1 = slot.1.max(endpoint.weight_configured);
                if endpoint.version == stable {
                    sight.stable.add(endpoint);
                } else if endpoint.version == canary {
                    sight.canary.add(endpoint);
                }
            }
        }
        let given: Vec<f64> = weights.values().map(|(_, w)| f64::from(*w)).filter(|w| *w > 0.0).collect();
        let usual = if given.is_empty() { 1.0 } else { given.iter().sum::<f64>() / given.len() as f64 };
        let capacity = |version: &str| -> f64 {
            let own = weights.values().filter(|(v, _)| v == version);
            own.map(|(_, w)| if *w == 0 { usual } else { f64::from(*w) }).sum()
        };
        (sight.stable.capacity, sight.canary.capacity) = (capacity(stable), capacity(canary));
        sight
    }

    /// The largest share, in percent, that leaves each endpoint within what the floor allows.
    #[must_use]
    pub fn bearable_weight(&self, min_capacity: f64) -> u32 {
        if self.stable.capacity <= 0.0 {
            return 100;
        }
        let share = self.canary.capacity / self.stable.capacity / min_capacity.max(0.01);
        (share * 100.0 + 1e-6).clamp(0.0, 100.0) as u32
    }

    /// Whether the canary could carry the service alone.
    #[must_use]
    pub fn can_carry_all(&self, min_capacity: f64) -> bool {
        self.canary.capacity + 1e-9 >= self.stable.capacity * min_capacity
    }
}
