//! How much of a service's configured capacity its live state leaves servable: what the floor judges.
//!
//! Configured weights are taken for capacities. With live weights `v` (0 where ejected or held open)
//! and configured weights `w`, an endpoint carries the share `v/Σv` of the traffic, and the service
//! carries the more traffic the later its most burdened endpoint is full: `Σv / max(v/w)`, of `Σw` as
//! configured. So equal weights at any level keep everything, an endpoint that is taken out costs its
//! part, one that is lowered a part of it, and one raised far over its siblings costs as well, because
//! all depends on it. Traffic sent to endpoints configured with weight 0, of which nothing is known,
//! counts as not servable.

use super::{HeldBreaker, LiveEndpoint, LiveService};

impl LiveService {
    /// The share that stays servable, 0 to 1.
    #[must_use]
    pub fn servable_share(&self) -> f64 {
        let configured: f64 = self.endpoints.iter().map(|e| f64::from(e.settings.weight)).sum();
        let all: f64 = self.endpoints.iter().map(traffic).sum();
        let known = || self.endpoints.iter().filter(|e| e.settings.weight > 0);
        let sent: f64 = known().map(traffic).sum();
        let burden = known().map(|e| traffic(e) / f64::from(e.settings.weight)).fold(0.0, f64::max);
        if configured <= 0.0 || all <= 0.0 || burden <= 0.0 {
            return 0.0;
        }
        (sent / burden / configured).min(sent / all)
    }
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
        LiveService { settings: Arc::new(settings), tuning, endpoints, shed, rates: Vec::new() }
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
