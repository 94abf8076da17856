//! What outsiders ask for, over a proxy's routes: how it is usually divided, and how far the last seconds are
//! from that. Bounded in routes.

use std::collections::VecDeque;

use protocol::telemetry::{CALLER_INTERNET, Window};

/// Routes told apart; what is beyond is one more.
const MAX_ROUTES: usize = 64;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Mix {
    /// (service, route), in the order they were met.
    routes: Vec<(String, String)>,
    /// By second, requests of each route.
    seconds: VecDeque<(i64, Vec<u64>)>,
    /// The usual share of each.
    usual: Vec<f64>,
}

impl Mix {
    /// Counts a window in, and forgets what is `kept_s` old.
    pub fn observe(&mut self, window: &Window, second: i64, kept_s: i64) {
        while self.seconds.front().is_some_and(|(at, _)| at + kept_s <= second) {
            self.seconds.pop_front();
        }
        if self.seconds.back().is_none_or(|(at, _)| *at < second) {
            self.seconds.push_back((second, Vec::new()));
        }
        for cell in window.cells.iter().filter(|cell| cell.caller == CALLER_INTERNET) {
            let route = self.route(&cell.service, &cell.route);
            let Some((_, counts)) = self.seconds.iter_mut().rev().find(|(at, _)| *at == second) else {
                return;
            };
            if counts.len() <= route {
                counts.resize(route + 1, 0);
            }
            counts[route] = counts[route].saturating_add(cell.requests);
        }
    }

    fn route(&mut self, service: &str, route: &str) -> usize {
        let known = self.routes.iter().position(|(s, r)| s == service && r == route);
        known.unwrap_or_else(|| {
            if self.routes.len() < MAX_ROUTES {
                self.routes.push((service.to_owned(), route.to_owned()));
                return self.routes.len() - 1;
            }
            MAX_ROUTES
        })
    }

    /// Requests of each route in `from..=to`.
    fn sum(&self, from: i64, to: i64) -> Vec<f64> {
        let mut sum = vec![0.0; self.routes.len() + 1];
        for (_, counts) in self.seconds.iter().filter(|(at, _)| (from..=to).contains(at)) {
            sum.iter_mut().zip(counts).for_each(|(sum, n)| *sum += *n as f64);
        }
        sum
    }

    /// Learns from quiet seconds, to which `weight` is given over all that was before.
    pub fn learn(&mut self, from: i64, to: i64, weight: f64) {
        let now = self.sum(from, to);
        let all: f64 = now.iter().sum();
        if all == 0.0 {
            return;
        }
        self.usual.resize(now.len(), 0.0);
        self.usual.iter_mut().zip(now).for_each(|(usual, n)| *usual += (n / all - *usual) * weight);
    }

    /// How far the routes of `from..=to` are from the usual: the Jensen-Shannon divergence (Lin, 1991) in nats,
    /// 0 to ln 2, and the requests it is of. What chance alone brings about is taken off.
    #[must_use]
    pub fn divergence(&self, from: i64, to: i64) -> (f64, f64) {
        let now = self.sum(from, to);
        let (all, learned) = (now.iter().sum::<f64>(), self.usual.iter().sum::<f64>());
        if all == 0.0 || learned == 0.0 {
            return (0.0, all);
        }
        let usual = self.usual.iter().map(|p| p / learned).chain(std::iter::repeat(0.0));
        let term = |p: f64, middle: f64| if p > 0.0 { p * (p / middle).ln() } else { 0.0 };
        let apart = |(n, usual): (&f64, f64)| {
            let (p, middle) = (n / all, f64::midpoint(n / all, usual));
            f64::midpoint(term(p, middle), term(usual, middle))
        };
        let by_chance = self.routes.len().saturating_sub(1) as f64 / (8.0 * all);
        let divergence: f64 = now.iter().zip(usual).map(apart).sum();
        ((divergence - by_chance).max(0.0), all)
    }
}

#[cfg(test)]
mod tests {
    use protocol::telemetry::Cell;

    use super::*;
    use crate::state::sample;

    fn window(by_route: &[(&str, u64)]) -> Window {
        let cell = |(route, requests): &(&str, u64)| Cell {
            service: "web".to_owned(),
            route: (*route).to_owned(),
            caller: CALLER_INTERNET.to_owned(),
            requests: *requests,
            ..Cell::default()
        };
        Window { cells: by_route.iter().map(cell).collect(), ..sample::window() }
    }

    fn after(usual: &[(&str, u64)], now: &[(&str, u64)]) -> f64 {
        let mut mix = Mix::default();
        mix.observe(&window(usual), 1, 16);
        mix.learn(1, 1, 1.0);
        mix.observe(&window(now), 2, 16);
        mix.divergence(2, 2).0
    }

    #[test]
    fn twice_as_many_who_ask_for_the_same_are_no_divergence_and_another_route_is() {
        let usual = [("/", 60), ("/cart", 40)];
        assert!(after(&usual, &[("/", 120), ("/cart", 80)]) < 1e-9);
        assert!(after(&usual, &[("/", 60), ("/cart", 40), ("/login", 300)]) > 0.1);
        // Nothing in common.
        assert!((after(&usual, &[("/login", 1_000_000)]) - 2f64.ln()).abs() < 1e-3);
    }

    #[test]
    fn routes_beyond_the_bound_are_one() {
        let names: Vec<String> = (0..500).map(|n| format!("/{n}")).collect();
        let routes: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        let mut mix = Mix::default();
        mix.observe(&window(&routes), 1, 16);
        assert_eq!(mix.sum(1, 1).len(), MAX_ROUTES + 1);
        assert!((mix.sum(1, 1).iter().sum::<f64>() - 500.0).abs() < 1e-9);
    }
}
