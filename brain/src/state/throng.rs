//! Those at the edge whom quiet times have not shown: strangers. One of many says little alone; so each
//! one's doings are kept for a minute, beside what is usual of a proxy's clients as a whole. Bounded in addresses.
//!
//! A proxy names its busiest clients only: of several hundred alike every window shows another part, and
//! within the minute most of them were named.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use protocol::telemetry::Window;
use serde::{Deserialize, Serialize};

use super::clients::RATE_S;
use super::mix::Mix;
use super::series::share;

/// Strangers kept: as many as one action may block.
const MAX_STRANGERS: usize = 1_024;
/// Addresses remembered from quiet times.
const MAX_KNOWN: usize = 4_096;
/// Who was met so long after the first time is known, seconds.
const KNOWN_AFTER_S: i64 = 60;
/// A stranger not named for so long has gone, seconds.
const KEPT_S: i64 = 60;

/// What one stranger did since it was first named.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stranger {
    /// When it was first named.
    pub first: i64,
    /// And last.
    pub last: i64,
    /// Windows that named it.
    pub listed: u64,
    /// Its requests in them, those that were refused by the proxy included.
    pub requests: u64,
    /// Of them, answered 4xx.
    pub refused: u64,
    /// Different paths, summed over windows.
    pub paths: u64,
}

/// A proxy's clients as a whole, a second on average.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Manners {
    /// Requests, those that were refused by the proxy included.
    pub asked: f64,
    /// Different addresses.
    pub clients: f64,
    /// Requests of those it named, and how many it named.
    pub listed: (f64, f64),
    /// Of their requests, answered 4xx.
    pub refused: f64,
    /// Of those it named, strangers.
    pub strangers: f64,
}

impl Manners {
    /// Requests a second of one client.
    #[must_use]
    pub fn pace(&self) -> f64 {
        self.asked / self.clients.max(1.0)
    }

    /// Requests of one that is named.
    #[must_use]
    pub fn listed_pace(&self) -> f64 {
        self.listed.0 / self.listed.1.max(1.0)
    }

    /// Share of 4xx with those that are named.
    #[must_use]
    pub fn refused_share(&self) -> f64 {
        self.refused / self.listed.0.max(1.0)
    }

    /// Share of strangers among those that are named.
    #[must_use]
    pub fn strangers_share(&self) -> f64 {
        self.strangers / self.listed.1.max(1.0)
    }

    /// Share of all requests that those make who are named.
    #[must_use]
    pub fn top_share(&self) -> f64 {
        self.listed.0 / self.asked.max(1.0)
    }

    fn add(&mut self, other: &Self, weight: f64) {
        let parts = [
            (&mut self.asked, other.asked),
            (&mut self.clients, other.clients),
            (&mut self.listed.0, other.listed.0),
            (&mut self.listed.1, other.listed.1),
            (&mut self.refused, other.refused),
            (&mut self.strangers, other.strangers),
        ];
        parts.into_iter().for_each(|(sum, more)| *sum += more * weight);
    }

    fn scaled(&self, factor: f64) -> Self {
        let mut scaled = Self::default();
        scaled.add(self, factor);
        scaled
    }
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Throng {
    /// By address.
    pub strangers: BTreeMap<IpAddr, Stranger>,
    /// What is usual.
    pub usual: Manners,
    /// What is asked for.
    pub mix: Mix,
    /// Quiet seconds in which people could be met, in this life.
    pub met_s: u64,
    known: BTreeMap<IpAddr, (i64, i64)>,
    seconds: VecDeque<(i64, Manners)>,
}

impl Throng {
    /// Counts a window's clients.
    pub fn observe(&mut self, window: &Window, second: i64) {
        let mut now = Manners::default();
        for client in &window.clients {
            let requests = client.requests as f64;
            now.listed = (now.listed.0 + requests, now.listed.1 + 1.0);
            now.refused += client.status_4xx.min(client.requests) as f64;
            if self.is_known(client.ip) {
                continue;
            }
            now.strangers += 1.0;
            if self.strangers.len() < MAX_STRANGERS || self.strangers.contains_key(&client.ip) {
                let stranger = self
                    .strangers
                    .entry(client.ip)
                    .or_insert(Stranger { first: second, ..Stranger::default() });
                stranger.last = second;
                stranger.listed += 1;
                stranger.requests = stranger.requests.saturating_add(client.requests);
                stranger.refused = stranger.refused.saturating_add(client.status_4xx.min(client.requests));
                stranger.paths = stranger.paths.saturating_add(client.distinct_paths.min(client.requests));
            }
        }
        let (others, distinct) =
            window.clients_other.map_or((0, 0), |other| (other.requests, other.distinct));
        now.asked = now.listed.0 + others as f64;
        now.clients = now.listed.1 + distinct.min(others) as f64;
        match self.seconds.iter_mut().find(|(at, _)| *at == second) {
            Some((_, sum)) => sum.add(&now, 1.0),
            None => self.seconds.push_back((second, now)),
        }
        self.seconds.retain(|(at, _)| at + 2 * RATE_S > second);
        self.strangers.retain(|_, stranger| stranger.last + KEPT_S > second);
        self.mix.observe(window, second, 2 * RATE_S);
    }

    /// Whether quiet times have shown this address for more than a moment.
    #[must_use]
    pub fn is_known(&self, ip: IpAddr) -> bool {
        self.known.get(&ip).is_some_and(|(first, last)| last - first >= KNOWN_AFTER_S)
    }

    /// The last [`RATE_S`] seconds, a second on average.
    #[must_use]
    pub fn now(&self, second: i64) -> Manners {
        let mut sum = Manners::default();
        let inside = self.seconds.iter().filter(|(at, _)| (second - RATE_S + 1..=second).contains(at));
        inside.for_each(|(_, one)| sum.add(one, 1.0));
        sum.scaled(1.0 / RATE_S as f64)
    }

    /// Learns from the last [`RATE_S`] seconds, which were quiet; `weight` is theirs. Gets to know the `named`.
    pub fn learn(&mut self, second: i64, weight: f64, named: impl Iterator<Item = IpAddr>) {
        let now = self.now(second);
        self.usual = self.usual.scaled(1.0 - weight);
        self.usual.add(&now, weight);
        self.mix.learn(second - RATE_S + 1, second, weight);
        self.met_s += RATE_S as u64;
        for ip in named {
            self.known.entry(ip).or_insert((second, second)).1 = second;
        }
        let mut strangers = std::mem::take(&mut self.strangers);
        strangers.retain(|ip, _| !self.is_known(*ip));
        self.strangers = strangers;
        self.forget();
    }

    /// Of too many known ones those stay who were met last.
    fn forget(&mut self) {
        if self.known.len() <= MAX_KNOWN {
            return;
        }
        let mut met: Vec<i64> = self.known.values().map(|(_, last)| *last).collect();
        met.sort_unstable();
        let oldest = met[met.len() - MAX_KNOWN * 3 / 4];
        self.known.retain(|_, (_, last)| *last > oldest);
    }
}

impl Stranger {
    /// Share of 4xx.
    #[must_use]
    pub fn refused_share(&self) -> f64 {
        share(self.refused, self.requests)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use protocol::telemetry::{Client, ClientsOther};

    use super::*;
    use crate::state::sample;

    fn window(addresses: std::ops::Range<u32>) -> Window {
        let client = |n| Client {
            ip: Ipv4Addr::from(n).into(),
            requests: 2,
            status_4xx: 1,
            status_5xx: 0,
            denied: 0,
            distinct_paths: 2,
        };
        Window {
            clients: addresses.map(client).collect(),
            clients_other: Some(ClientsOther { requests: 36, distinct: 28 }),
            ..sample::window()
        }
    }

    #[test]
    fn who_was_met_in_quiet_times_for_a_minute_is_no_stranger() {
        let mut throng = Throng::default();
        for second in 0..=70 {
            throng.observe(&window(0..32), second);
            throng.learn(second, 0.1, (0..32u32).map(|n| Ipv4Addr::from(n).into()));
        }
        assert!(throng.is_known(Ipv4Addr::from(3).into()) && throng.strangers.is_empty());
        throng.observe(&window(30..34), 71);
        assert_eq!(throng.strangers.len(), 2);
    }

    #[test]
    fn what_is_usual_is_a_mean_of_seconds() {
        let mut throng = Throng::default();
        (0..5).for_each(|second| throng.observe(&window(0..32), second));
        throng.learn(4, 1.0, std::iter::empty());
        let usual = throng.usual;
        assert!((usual.asked - 100.0).abs() < 1e-9 && (usual.pace() - 100.0 / 60.0).abs() < 1e-9);
        assert!((usual.listed_pace() - 2.0).abs() < 1e-9 && (usual.refused_share() - 0.5).abs() < 1e-9);
        assert!((usual.top_share() - 0.64).abs() < 1e-9 && (usual.strangers_share() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn neither_strangers_nor_known_ones_grow_beyond_their_bounds() {
        let mut throng = Throng::default();
        for second in 0..2_000u32 {
            throng.observe(&window(second * 32..second * 32 + 32), i64::from(second));
            throng.learn(
                i64::from(second),
                0.1,
                (second * 32..second * 32 + 32).map(|n| Ipv4Addr::from(n).into()),
            );
            assert!(throng.strangers.len() <= MAX_STRANGERS && throng.known.len() <= MAX_KNOWN);
        }
    }
}
