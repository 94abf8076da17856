//! Who asks at the edge, as each proxy there tells: the busiest clients of the last seconds, and how
//! busy the busiest usually is. Bounded in proxies, addresses and seconds.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use protocol::telemetry::{CALLER_INTERNET, Window};

use super::throng::Throng;

/// Addresses remembered of one proxy.
const MAX_ADDRESSES: usize = 512;
/// Seconds over which a client's rate is taken.
pub const RATE_S: i64 = 5;
/// What is remembered of a client.
const KEPT_S: i64 = 16;
/// So many times the usual rate is no time to get to know people.
const BUSY: f64 = 1.3;
/// Of what is learned, so much is learned in such times.
const RELUCTANT: f64 = 0.1;
/// A usual rate moves by at most this factor's worth in one lesson.
const WINSOR: f64 = 2.0;
/// Seconds in which what is usual has moved by two thirds to what is new.
const MEMORY_S: f64 = 900.0;

/// One client's requests by second: those served, and of them those answered 4xx.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    seconds: VecDeque<(i64, u64, u64)>,
}

/// The clients of one proxy.
#[derive(Debug, Clone, Default)]
pub struct Edge {
    /// By address.
    pub seen: BTreeMap<IpAddr, Seen>,
    /// All of them together, and those nobody knows.
    pub throng: Throng,
    /// Requests of all clients by second.
    totals: VecDeque<(i64, u64)>,
    /// Services asked from outside, with their requests, fading.
    entries: BTreeMap<String, f64>,
    /// Requests a second of all clients, usually.
    pub usual_total: f64,
    /// Requests a second of the busiest client, usually.
    pub usual_busiest: f64,
    /// Quiet seconds learned from.
    pub learned_s: u64,
    learned_second: i64,
}

impl Seen {
    /// Requests and 4xx answers in `from..=to`.
    #[must_use]
    pub fn sum(&self, from: i64, to: i64) -> (u64, u64) {
        let inside = self.seconds.iter().filter(|(second, ..)| (from..=to).contains(second));
        inside
            .fold((0, 0), |(n, refused), (_, more, m)| (n.saturating_add(*more), refused.saturating_add(*m)))
    }

    /// The first second of the present run without a pause of more than [`RATE_S`].
    #[must_use]
    pub fn since(&self, second: i64) -> i64 {
        let mut since = second;
        for (at, ..) in self.seconds.iter().rev() {
            if since - at > RATE_S {
                break;
            }
            since = since.min(*at);
        }
        since
    }
}

impl Edge {
    /// Counts a window's clients.
    pub fn observe(&mut self, window: &Window, second: i64) {
        let outside = window.cells.iter().filter(|cell| cell.caller == CALLER_INTERNET);
        self.entries.values_mut().for_each(|requests| *requests *= 0.9);
        let mut total = 0u64;
        for cell in outside {
            total = total.saturating_add(cell.requests);
            if self.entries.len() < 64 || self.entries.contains_key(&cell.service) {
                *self.entries.entry(cell.service.clone()).or_default() += cell.requests as f64;
            }
        }
        self.entries.retain(|_, requests| *requests >= 0.01);
        count(&mut self.totals, second, total);
        for client in &window.clients {
            let room = self.seen.len() < MAX_ADDRESSES || self.seen.contains_key(&client.ip);
            // What was refused here did no work and is no reason to refuse more.
            let served = client.requests.saturating_sub(client.denied);
            if !room || served == 0 {
                continue;
            }
            let seen = self.seen.entry(client.ip).or_default();
            seen.seconds.push_back((second, served, client.status_4xx.min(served)));
        }
        self.throng.observe(window, second);
        self.forget(second);
    }

    fn forget(&mut self, second: i64) {
        self.totals.retain(|(at, _)| at + KEPT_S > second);
        for seen in self.seen.values_mut() {
            while seen.seconds.front().is_some_and(|(at, ..)| at + KEPT_S <= second) {
                seen.seconds.pop_front();
            }
        }
        self.seen.retain(|_, seen| !seen.seconds.is_empty());
    }

    /// Requests a second of all, over the last [`RATE_S`] seconds.
    #[must_use]
    pub fn total_rate(&self, second: i64) -> f64 {
        let inside = self.totals.iter().filter(|(at, _)| (second - RATE_S + 1..=second).contains(at));
        inside.map(|(_, n)| *n as f64).sum::<f64>() / RATE_S as f64
    }

    /// Requests a second served to the clients in `nets`, over the last [`RATE_S`] seconds.
    #[must_use]
    pub fn rate_of(&self, nets: &[ipnet::IpNet], second: i64) -> f64 {
        let named =
            self.seen.iter().filter(|(ip, _)| nets.iter().any(|net| net.contains(&ip.to_canonical())));
        let served: u64 = named.map(|(_, seen)| seen.sum(second - RATE_S + 1, second).0).sum();
        served as f64 / RATE_S as f64
    }

    /// Requests a second that clients make beyond `rps` each, over the last [`RATE_S`] seconds.
    #[must_use]
    pub fn rate_above(&self, rps: f64, second: i64) -> f64 {
        let rate = |seen: &Seen| seen.sum(second - RATE_S + 1, second).0 as f64 / RATE_S as f64;
        self.seen.values().map(|seen| (rate(seen) - rps).max(0.0)).sum()
    }

    /// The service that outsiders ask most.
    #[must_use]
    pub fn entry(&self) -> Option<&str> {
        let most = self.entries.iter().max_by(|a, b| a.1.total_cmp(b.1));
        most.map(|(service, _)| service.as_str())
    }

    /// Learns from a quiet stretch of seconds.
    pub fn learn(&mut self, second: i64) {
        if second - self.learned_second < RATE_S {
            return;
        }
        self.learned_second = second;
        let rate = |seen: &Seen| seen.sum(second - RATE_S + 1, second).0 as f64 / RATE_S as f64;
        let busiest = self.seen.values().map(rate).fold(0.0, f64::max);
        let total = self.total_rate(second);
        if total == 0.0 {
            return;
        }
        self.learned_s += RATE_S as u64;
        let weight = (RATE_S as f64 / self.learned_s as f64).max(RATE_S as f64 / MEMORY_S);
        for (usual, now) in [(&mut self.usual_total, total), (&mut self.usual_busiest, busiest)] {
            let now = if self.learned_s < 60 { now } else { now.min(*usual * WINSOR) };
            *usual += (now - *usual) * weight;
        }
        let usual = self.throng.usual.asked;
        let busy = usual > 0.0 && self.throng.now(second).asked > BUSY * usual;
        // A step that stays becomes usual, but nobody is got to know in it.
        let weight = if busy { weight * RELUCTANT } else { weight };
        let lately = |seen: &Seen| !busy && seen.seconds.back().is_some_and(|(at, ..)| *at > second - RATE_S);
        let named = self.seen.iter().filter(|(_, seen)| lately(seen)).map(|(ip, _)| *ip);
        self.throng.learn(second, weight, named);
    }
}

fn count(seconds: &mut VecDeque<(i64, u64)>, second: i64, n: u64) {
    match seconds.iter_mut().find(|(at, _)| *at == second) {
        Some((_, sum)) => *sum = sum.saturating_add(n),
        None => seconds.push_back((second, n)),
    }
}
