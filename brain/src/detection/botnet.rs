//! Many clients, each too small to be significant alone, that are one: strangers who do the same.
//!
//! A crowd is made of people: it asks more because there are more of them, and each goes on asking as people
//! do. So what is tested does not grow with their number: how often one client asks, how often it is
//! refused, what is asked for. Strangers who are alike (DBSCAN: Ester, Kriegel, Sander and Xu, 1996) and unlike
//! people are named when by now most of them are known by address, and the excess goes away with those.

use std::collections::BTreeMap;
use std::net::IpAddr;

use linfa::prelude::{ParamGuard as _, Transformer as _};
use linfa_clustering::Dbscan;
use ndarray::Array2;

use super::clients::{Abuse, EXPLAINED, SURGE, deviance};
use crate::policies::DetectionPolicy;
use crate::state::clients::{Edge, RATE_S};
use crate::state::evidence::threshold;
use crate::state::{Manners, Stranger, share};

/// Fewer are no botnet, but some clients.
const LEAST: usize = 16;
/// Strangers are alike within this distance, where one is a quarter of all requests refused, or twice as many
/// requests a window.
const ALIKE: f64 = 0.6;
const REFUSED_UNIT: f64 = 0.25;
const PACE_UNIT: f64 = 0.7;
/// Those that are named ask so many times as often as those that usually are: the busiest of a crowd are a
/// little busier too.
const BUSIER: f64 = 1.5;
/// So many times the usual share of refusals is that of people who lose their way, and this much is not.
const LOST: f64 = 3.0;
const REFUSED: f64 = 0.5;
/// The excess asks so many times as often, each client, as people do.
const FASTER: f64 = 2.0;
/// That is less where they ask for other things than people do, by so many nats.
const FASTER_ELSEWHERE: f64 = 1.5;
const ELSEWHERE: f64 = 0.03;
/// Kinds of evidence that are fused.
const KINDS: f64 = 3.0;

/// What the edge as a whole shows beside its clients one by one: now, and usually.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Portrait {
    /// Share of strangers among the busiest.
    pub strangers: (f64, f64),
    /// Share of all requests that the busiest make.
    pub top: (f64, f64),
    /// Requests a second of one client.
    pub pace: (f64, f64),
    /// Jensen-Shannon divergence of what is asked for, in nats.
    pub elsewhere: f64,
}

impl Portrait {
    /// Of an edge in the seconds up to `second`.
    #[must_use]
    pub fn of(edge: &Edge, second: i64) -> Self {
        let (now, usual) = (edge.throng.now(second), edge.throng.usual);
        Self {
            strangers: (now.strangers_share(), usual.strangers_share()),
            top: (now.top_share(), usual.top_share()),
            pace: (now.pace(), usual.pace()),
            elsewhere: edge.throng.mix.divergence(second - RATE_S + 1, second).0,
        }
    }
}

/// Strangers who are alike.
#[derive(Debug, Default)]
struct Cluster {
    members: Vec<IpAddr>,
    sum: Stranger,
    /// Of those named in the last seconds: all, and those named before.
    lately: (u64, u64),
}

/// The botnet behind a surge at `edge`, if that is what it is.
pub(super) fn of_edge(edge: &Edge, service: &str, second: i64, policy: &DetectionPolicy) -> Option<Abuse> {
    let throng = &edge.throng;
    let (now, usual) = (throng.now(second), throng.usual);
    let excess = now.asked - usual.asked;
    let judged = throng.met_s >= policy.service.min_learned_s;
    if !judged || now.asked < SURGE * usual.asked || throng.strangers.len() < LEAST {
        return None;
    }
    let needed = threshold(policy.alarms_per_service_week, 1, policy.safety_nats);
    let (apart, requests) = throng.mix.divergence(second - RATE_S + 1, second);
    let mut botnet = Cluster::default();
    let mut log_e = f64::INFINITY;
    for cluster in alike(&throng.strangers, second) {
        let unlike = cluster.unlike_people(&now, &usual, (apart, requests));
        if let Some(evidence) = unlike.filter(|evidence| *evidence >= needed) {
            log_e = log_e.min(evidence);
            botnet.join(cluster);
        }
    }
    let explained = botnet.explained(&now, &usual);
    if botnet.members.len() < LEAST || explained < EXPLAINED {
        return None;
    }
    botnet.members.sort_unstable();
    Some(Abuse {
        service: service.to_owned(),
        ips: botnet.members,
        rate: excess * explained,
        usual: edge.usual_busiest,
        explained,
        scanning: false,
        together: true,
        since_ms: botnet.sum.first * 1_000,
        log_e,
        portrait: Portrait::of(edge, second),
    })
}

/// The strangers of the last minute in clusters, by how often they ask and how often they are refused.
fn alike(strangers: &BTreeMap<IpAddr, Stranger>, second: i64) -> Vec<Cluster> {
    let place = |stranger: &Stranger| {
        let a_window = stranger.requests.max(1) as f64 / stranger.listed.max(1) as f64;
        let paths = stranger.paths.max(1) as f64 / stranger.listed.max(1) as f64;
        [a_window.ln() / PACE_UNIT, stranger.refused_share() / REFUSED_UNIT, paths.ln() / PACE_UNIT]
    };
    let places: Vec<[f64; 3]> = strangers.values().map(place).collect();
    let Ok(dbscan) = Dbscan::params::<f64>(LEAST / 2).tolerance(ALIKE).check() else { return Vec::new() };
    let labels = dbscan.transform(&Array2::from(places));
    let mut clusters: Vec<Cluster> = Vec::new();
    for ((ip, stranger), label) in strangers.iter().zip(labels) {
        let Some(label) = label else { continue };
        if clusters.len() <= label {
            clusters.resize_with(label + 1, Cluster::default);
        }
        clusters[label].add(*ip, stranger, second);
    }
    clusters
}

impl Cluster {
    fn add(&mut self, ip: IpAddr, stranger: &Stranger, second: i64) {
        let before = second - RATE_S + 1;
        if stranger.last >= before {
            self.lately.0 += 1;
            self.lately.1 += u64::from(stranger.first < before);
        }
        self.sum_up(stranger);
        self.members.push(ip);
    }

    fn join(&mut self, other: Self) {
        self.sum_up(&other.sum);
        self.members.extend(other.members);
        self.lately = (self.lately.0 + other.lately.0, self.lately.1 + other.lately.1);
    }

    /// What others did, before they are members: of the first nothing is known yet.
    fn sum_up(&mut self, doings: &Stranger) {
        let sum = &mut self.sum;
        sum.first = if self.members.is_empty() { doings.first } else { sum.first.min(doings.first) };
        sum.listed += doings.listed;
        sum.requests = sum.requests.saturating_add(doings.requests);
        sum.refused = sum.refused.saturating_add(doings.refused);
    }

    /// Evidence that these are no people, natural logarithm; absent: they may well be. `routes` are the
    /// divergence of what is asked for and the requests it is of.
    fn unlike_people(&self, now: &Manners, usual: &Manners, routes: (f64, f64)) -> Option<f64> {
        let a_window = self.sum.requests as f64 / self.sum.listed.max(1) as f64;
        if a_window < BUSIER * usual.listed_pace() {
            return None;
        }
        let (by_refusal, is_refused) = self.refused(usual);
        let (by_pace, faster) = self.faster(now, usual);
        let elsewhere = routes.0 >= ELSEWHERE;
        let fast = faster >= if elsewhere { FASTER_ELSEWHERE } else { FASTER };
        if !is_refused && !fast {
            return None;
        }
        let of = [(is_refused, by_refusal), (fast, by_pace), (fast && elsewhere, routes.0 * routes.1)];
        let logs = of.map(|(counts, log)| if counts { log } else { 0.0 });
        // The mean of e-values is an e-value, however they hang together.
        let top = logs.iter().copied().fold(0.0, f64::max);
        Some(top + (logs.iter().map(|log| (log - top).exp()).sum::<f64>() / KINDS).ln())
    }

    /// That they are refused more than people who lose their way, and whether most of it is.
    fn refused(&self, usual: &Manners) -> (f64, bool) {
        let (n, refused) = (self.sum.requests as f64, share(self.sum.refused, self.sum.requests));
        let lost = (LOST * usual.refused_share()).clamp(0.05, 0.9);
        if refused <= lost {
            return (0.0, false);
        }
        let term = |p: f64, q: f64| if p > 0.0 { p * (p / q).ln() } else { 0.0 };
        (n * (term(refused, lost) + term(1.0 - refused, 1.0 - lost)), refused >= REFUSED.max(lost))
    }

    /// That one of the excess asks more often than a person, and how many times as often.
    fn faster(&self, now: &Manners, usual: &Manners) -> (f64, f64) {
        let excess = now.asked - usual.asked;
        let as_people = self.clients(now, usual) * usual.pace().max(f64::MIN_POSITIVE);
        let seconds = RATE_S as f64;
        (deviance(excess * seconds, as_people * seconds), excess / as_people)
    }

    /// Clients beyond the usual: as told, and no fewer than were named.
    fn clients(&self, now: &Manners, usual: &Manners) -> f64 {
        (now.clients - usual.clients).max(self.members.len() as f64)
    }

    /// Of the excess, what goes away with the members: as many of the clients beyond the usual as they are, no
    /// more than they were seen to ask, and less by those who were named only now.
    fn explained(&self, now: &Manners, usual: &Manners) -> f64 {
        let excess = now.asked - usual.asked;
        let members = self.members.len() as f64;
        let of_clients = members / (now.clients - usual.clients).max(1.0);
        let of_requests =
            members * self.sum.requests as f64 / self.sum.listed.max(1) as f64 / excess.max(1.0);
        of_clients.min(of_requests).min(1.0) * share(self.lately.1, self.lately.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
