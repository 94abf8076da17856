//! What a service has, and how much of it a change takes away.

use std::collections::BTreeMap;

use protocol::action::ActionKind;
use protocol::snapshot::{BreakerState, Health, ProxyStatus};

use crate::state::MeshState;

/// An endpoint without traffic for so long is no capacity, where no proxy tells, milliseconds.
const LATELY_MS: i64 = 60_000;

/// One endpoint as capacity.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// Configured weight, the largest any proxy has; 1 where no proxy tells.
    pub weight: f64,
    /// Weight with leases applied, the largest any proxy has; 1 where no proxy tells.
    pub now: f64,
    /// Version label.
    pub version: String,
    /// The worst that any proxy's active check says.
    pub health: Health,
    /// Whether every proxy would send it requests: no lease, breaker or check keeps it out.
    pub serving: bool,
}

/// The endpoints of one service.
pub type Places = BTreeMap<String, Place>;

/// The fleet as it told last.
pub type Fleet = BTreeMap<String, ProxyStatus>;

/// The proxies that serve `service`, with the boot they told last.
#[must_use]
pub fn proxies_of(fleet: &Fleet, service: &str) -> Vec<(String, String)> {
    let serves = |p: &ProxyStatus| p.services.iter().any(|s| s.service.as_str() == service);
    fleet.iter().filter(|(_, p)| serves(p)).map(|(id, p)| (id.clone(), p.boot.clone())).collect()
}

/// The endpoints of `service`: as the proxies tell or, where none does, as traffic shows.
#[must_use]
pub fn places(service: &str, mesh: &MeshState, fleet: &Fleet, now_ms: i64) -> Places {
    let mut places = Places::new();
    let told = fleet.values().flat_map(|p| &p.services).filter(|s| s.service.as_str() == service);
    for endpoint in told.flat_map(|s| &s.endpoints) {
        let serving = !endpoint.ejected
            && endpoint.breaker != BreakerState::Open
            && endpoint.health != Health::Unhealthy;
        let place = places.entry(endpoint.endpoint.to_string()).or_insert_with(|| Place {
            weight: 0.0,
            now: 0.0,
            version: endpoint.version.clone(),
            health: endpoint.health,
            serving: true,
        });
        place.weight = place.weight.max(f64::from(endpoint.weight_configured));
        place.now = place.now.max(f64::from(endpoint.weight));
        place.serving &= serving;
        if endpoint.health == Health::Unhealthy {
            place.health = Health::Unhealthy;
        }
    }
    if places.is_empty() {
        let seen = mesh.services.get(service).into_iter().flat_map(|s| &s.endpoints);
        for (id, endpoint) in seen.filter(|(_, e)| e.traffic_ms + LATELY_MS > now_ms) {
            let version = endpoint.version.clone();
            let health = Health::Unknown;
            places.insert(id.clone(), Place { weight: 1.0, now: 1.0, version, health, serving: true });
        }
    }
    places
}

/// A service as the guard weighs it.
#[derive(Debug, Clone, Default)]
pub struct Holdings {
    /// Its endpoints.
    pub places: Places,
    /// How many times its usual load it is asked now; 1 at least, and where its usual load is not known.
    pub surge: f64,
}

/// Seconds over which the load is taken.
const LOAD_S: i64 = 5;

/// What `service` has, and what is asked of it.
#[must_use]
pub fn holdings(service: &str, mesh: &MeshState, fleet: &Fleet, now_ms: i64) -> Holdings {
    let seen = mesh.services.get(service).map(|s| {
        let rate = s.ring.sum(mesh.second - LOAD_S, mesh.second - 1).n as f64 / LOAD_S as f64;
        (rate, s.baseline.pace().0)
    });
    let surge = seen.filter(|(_, usual)| *usual > 0.0).map_or(1.0, |(rate, usual)| (rate / usual).max(1.0));
    Holdings { places: places(service, mesh, fleet, now_ms), surge }
}

/// All configured weight.
#[must_use]
pub fn total(places: &Places) -> f64 {
    places.values().map(|p| p.weight).sum()
}

/// By endpoint, which share of it (0 to 1) `kind` takes away; what it says of requests instead is
/// under the empty name.
#[must_use]
pub fn taken(kind: &ActionKind, of: &Holdings) -> BTreeMap<String, f64> {
    let whole = |id: &str| BTreeMap::from([(id.to_owned(), 1.0)]);
    match kind {
        ActionKind::EjectEndpoint { endpoint } | ActionKind::TripBreaker { endpoint } => {
            whole(endpoint.as_str())
        }
        ActionKind::RollbackCanary { version } => taken_by_rollback(version, &of.places),
        ActionKind::SetWeights { weights } => taken_by_weights(weights, &of.places),
        ActionKind::ShedLoad { fraction, .. } => {
            // Refusing what is beyond the usual takes nothing from anybody who is usually served.
            let kept = 1.0 - fraction.unwrap_or(0.2).clamp(0.0, 1.0);
            let lost = 1.0 - of.surge.max(1.0) * kept;
            if lost > 0.0 { BTreeMap::from([(String::new(), lost)]) } else { BTreeMap::new() }
        }
        _ => BTreeMap::new(),
    }
}

/// A version on trial is taken back from the part of the traffic that it has.
fn taken_by_rollback(version: &str, places: &Places) -> BTreeMap<String, f64> {
    let all: f64 = places.values().map(|p| p.now).sum();
    let its: f64 = places.values().filter(|p| p.version == version).map(|p| p.now).sum();
    if all > 0.0 && its > 0.0 { BTreeMap::from([(String::new(), its / all)]) } else { BTreeMap::new() }
}

/// Weights are relative: an endpoint keeps its weight over the configured one, against the best off.
fn taken_by_weights(weights: &BTreeMap<String, u32>, places: &Places) -> BTreeMap<String, f64> {
    let of_version = |version: &str| -> f64 {
        places.values().filter(|p| p.version == version).map(|p| p.weight).sum::<f64>().max(1.0)
    };
    let ratio = |id: &String, place: &Place| {
        let version = weights.get(&format!("version:{}", place.version));
        match (weights.get(id), version) {
            (Some(own), _) => f64::from(*own) / place.weight.max(1.0),
            (None, Some(all)) => f64::from(*all) / of_version(&place.version),
            (None, None) => 1.0,
        }
    };
    let best = places.iter().map(|(id, p)| ratio(id, p)).fold(f64::MIN_POSITIVE, f64::max);
    let lost = places.iter().map(|(id, place)| (id.clone(), 1.0 - ratio(id, place) / best));
    lost.filter(|(_, share)| *share > 0.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn five() -> Places {
        let version = "v1".to_owned();
        let place = Place { weight: 1.0, now: 1.0, version, health: Health::Unknown, serving: true };
        (1..=5).map(|n| (format!("10.0.0.{n}:80"), place.clone())).collect()
    }

    #[test]
    fn scaled_weights_take_only_what_they_take_relatively() {
        let mut weights: BTreeMap<String, u32> = five().into_keys().map(|id| (id, 100)).collect();
        weights.insert("10.0.0.3:80".into(), 5);
        let of = Holdings { places: five(), surge: 1.0 };
        let taken = taken(&ActionKind::SetWeights { weights }, &of);
        assert_eq!(taken.len(), 1);
        assert!((taken["10.0.0.3:80"] - 0.95).abs() < 1e-9);
    }

    #[test]
    fn a_versions_weight_is_divided_over_its_endpoints() {
        let of = Holdings { places: five(), surge: 1.0 };
        let weights = |n| ActionKind::SetWeights { weights: BTreeMap::from([("version:v1".to_owned(), n)]) };
        assert_eq!(taken(&weights(5), &of), BTreeMap::new());
        assert_eq!(taken(&weights(0), &of).len(), 5, "a version without weight has none");
    }

    #[test]
    fn shedding_takes_only_what_is_usually_served() {
        let shed = ActionKind::ShedLoad { max_in_flight: None, fraction: Some(0.6) };
        let of = |surge| taken(&shed, &Holdings { places: five(), surge }).get("").copied().unwrap_or(0.0);
        assert!((of(1.0) - 0.6).abs() < 1e-9);
        assert!((of(2.0) - 0.2).abs() < 1e-9);
        assert!(of(3.0) == 0.0);
    }
}
