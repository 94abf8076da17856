//! How much of a service's configured capacity its live state leaves servable: what the floor judges.
//!
//! Configured weights are taken for capacities. With live weights `v` (0 where ejected or held open)
//! and configured weights `w`, an endpoint carries the share `v/Σv` of the traffic, and the service
//! carries the more traffic the later its most burdened endpoint is full: `Σv / max(v/w)`, of `Σw` as
//! configured. So equal weights at any level keep everything, an endpoint that is taken out costs its
//! part, one that is lowered a part of it, and one raised far over its siblings costs as well, because
//! all depends on it. Traffic sent to endpoints configured with weight 0, of which nothing is known,
//! counts as not servable, unless they are on trial as a canary ([`super::Trial`]).

use super::{HeldBreaker, LiveEndpoint, LiveService};

impl LiveService {
    /// The share that stays servable, 0 to 1.
    #[must_use]
    pub fn servable_share(&self) -> f64 {
        let all: f64 = self.endpoints.iter().map(traffic).sum();
        let usual = self.usual_weight();
        let known =
            || self.endpoints.iter().map(|e| (traffic(e), self.capacity(e, usual))).filter(|(_, c)| *c > 0.0);
        let sent: f64 = known().map(|(traffic, _)| traffic).sum();
        let burden = known().map(|(traffic, capacity)| traffic / capacity).fold(0.0, f64::max);
        let needed = self.needed(usual);
        if needed <= 0.0 || all <= 0.0 || burden <= 0.0 {
            return 0.0;
        }
        (sent / burden / needed).min(sent / all)
    }

    /// The share of what other versions carry that `version` could carry alone.
    #[must_use]
    pub fn share_of_version(&self, version: &str) -> f64 {
        let others = self.endpoints.iter().filter(|e| e.settings.version != version);
        let others: f64 = others.map(|e| f64::from(e.settings.weight)).sum();
        let usual = self.usual_weight();
        let own = self.endpoints.iter().filter(|e| e.settings.version == version);
        let own: f64 = own.map(|e| own_or(e, usual)).sum();
        if others <= 0.0 { 1.0 } else { own / others }
    }

    /// All that is configured, but what is or was tried: without that the service was whole.
    fn needed(&self, usual: f64) -> f64 {
        let kept = self.endpoints.iter().filter(|e| !self.trial.spares(&e.settings.version));
        let kept: f64 = kept.map(|e| self.capacity(e, usual)).sum();
        if kept > 0.0 {
            return kept;
        }
        self.endpoints.iter().map(|e| f64::from(e.settings.weight)).sum()
    }

    /// An endpoint on trial that the file gives no traffic is presumed to bear as much as its siblings.
    fn capacity(&self, endpoint: &LiveEndpoint, usual: f64) -> f64 {
        if self.trial.trusts(&endpoint.settings.version) {
            return own_or(endpoint, usual);
        }
        f64::from(endpoint.settings.weight)
    }

    /// What an endpoint of this service weighs on average.
    fn usual_weight(&self) -> f64 {
        let weights = self.endpoints.iter().map(|e| f64::from(e.settings.weight)).filter(|w| *w > 0.0);
        let (sum, count) = weights.fold((0.0, 0.0), |(sum, count), w| (sum + w, count + 1.0));
        if count > 0.0 { sum / count } else { 1.0 }
    }
}

fn own_or(endpoint: &LiveEndpoint, usual: f64) -> f64 {
    if endpoint.settings.weight == 0 { usual } else { f64::from(endpoint.settings.weight) }
}

fn traffic(endpoint: &LiveEndpoint) -> f64 {
    let out = endpoint.ejected || endpoint.breaker == HeldBreaker::Open;
    if out { 0.0 } else { f64::from(endpoint.weight) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leases::sample::service;
    use std::sync::Arc;

    fn share(configured: &[u32], live: &[u32], ejected: &[usize]) -> f64 {
        let versions: Vec<(&str, u32)> = configured.iter().map(|w| ("", *w)).collect();
        let settings = service("cart", &versions);
        let endpoints = settings.endpoints.iter().enumerate().map(|(n, e)| LiveEndpoint {
            settings: Arc::clone(e),
            weight: live[n],
            ejected: ejected.contains(&n),
            breaker: HeldBreaker::Free,
        });
        let endpoints = endpoints.collect();
        let tuning = crate::live_state::tuning::Tuning::of(&settings, &[]);
        let shed = crate::live_state::Shed::default();
        let trial = crate::live_state::Trial::default();
        LiveService { settings: Arc::new(settings), tuning, endpoints, shed, rates: Vec::new(), trial }
            .servable_share()
    }

    #[test]
    fn the_share_is_what_the_most_burdened_endpoint_allows() {
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} is not {b}");
        close(share(&[100, 100], &[1, 1], &[]), 1.0);
        close(share(&[100, 100, 100], &[100, 100, 100], &[1]), 2.0 / 3.0);
        close(share(&[100, 100, 100], &[1, 1, 98], &[]), 100.0 / 98.0 / 3.0);
        close(share(&[100, 100], &[100, 50], &[]), 0.75);
        close(share(&[100, 300], &[100, 300], &[1]), 0.25);
        close(share(&[100, 100], &[100, 100], &[0, 1]), 0.0);
        close(share(&[100, 0], &[100, 300], &[]), 0.25);
    }
}
