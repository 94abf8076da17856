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
            version: endpoint.version.clone(),
            health: endpoint.health,
            serving: true,
        });
        place.weight = place.weight.max(f64::from(endpoint.weight_configured));
        place.serving &= serving;
        if endpoint.health == Health::Unhealthy {
            place.health = Health::Unhealthy;
        }
    }
    if places.is_empty() {
        let seen = mesh.services.get(service).into_iter().flat_map(|s| &s.endpoints);
        for (id, endpoint) in seen.filter(|(_, e)| e.traffic_ms + LATELY_MS > now_ms) {
            let version = endpoint.version.clone();
            places.insert(id.clone(), Place { weight: 1.0, version, health: Health::Unknown, serving: true });
        }
    }
    places
}

/// All configured weight.
#[must_use]
pub fn total(places: &Places) -> f64 {
    places.values().map(|p| p.weight).sum()
}

/// By endpoint, which share of it (0 to 1) `kind` takes away; what it says of requests instead is
/// under the empty name.
#[must_use]
pub fn taken(kind: &ActionKind, places: &Places) -> BTreeMap<String, f64> {
    let whole = |id: &str| BTreeMap::from([(id.to_owned(), 1.0)]);
    match kind {
        ActionKind::EjectEndpoint { endpoint } | ActionKind::TripBreaker { endpoint } => {
            whole(endpoint.as_str())
        }
        ActionKind::RollbackCanary { version } => {
            let of_it = places.iter().filter(|(_, p)| p.version == *version);
            of_it.map(|(id, _)| (id.clone(), 1.0)).collect()
        }
        ActionKind::SetWeights { weights } => taken_by_weights(weights, places),
        ActionKind::ShedLoad { fraction, .. } => {
            BTreeMap::from([(String::new(), fraction.unwrap_or(0.2).clamp(0.0, 1.0))])
        }
        _ => BTreeMap::new(),
    }
}

/// Weights are relative: an endpoint keeps its weight over the configured one, against the best off.
fn taken_by_weights(weights: &BTreeMap<String, u32>, places: &Places) -> BTreeMap<String, f64> {
    let ratio = |id: &String, place: &Place| {
        let version = format!("version:{}", place.version);
        let given = weights.get(id).or_else(|| weights.get(&version));
        given.map_or(1.0, |w| f64::from(*w) / place.weight.max(1.0))
    };
    let best = places.iter().map(|(id, p)| ratio(id, p)).fold(f64::MIN_POSITIVE, f64::max);
    let lost = places.iter().map(|(id, place)| (id.clone(), 1.0 - ratio(id, place) / best));
    lost.filter(|(_, share)| *share > 0.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn five() -> Places {
        let place = Place { weight: 1.0, version: "v1".into(), health: Health::Unknown, serving: true };
        (1..=5).map(|n| (format!("10.0.0.{n}:80"), place.clone())).collect()
    }

    #[test]
    fn scaled_weights_take_only_what_they_take_relatively() {
        let mut weights: BTreeMap<String, u32> = five().into_keys().map(|id| (id, 100)).collect();
        weights.insert("10.0.0.3:80".into(), 5);
        let taken = taken(&ActionKind::SetWeights { weights }, &five());
        assert_eq!(taken.len(), 1);
        assert!((taken["10.0.0.3:80"] - 0.95).abs() < 1e-9);
    }
}
