//! What a brain must not have to learn again after a restart: each service's normal, how unevenly its
//! endpoints fail, which versions it has run, what the busiest client usually asks.
//!
//! Absent on purpose: the last minute's counts, evidence, endpoints. They are back within seconds, and
//! evidence against somebody must never outlive the windows it came from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::MeshState;
use super::baseline::Baseline;
use super::clients::Edge;
use super::evidence::Dispersion;
use super::service::{Service, Tails, Version};
use super::throng::Manners;
use super::vitals::Vitals;
use crate::forecast::Minutes;
use crate::learning::Learned;
use crate::policies::DetectionPolicy;

/// The format; another one is not read.
const FORMAT: u32 = 1;
/// What was normal so long ago is normal no more, milliseconds.
const TOO_OLD_MS: i64 = 86_400_000;
/// Days and weeks stay what they are for so long, milliseconds.
const SEASON_TOO_OLD_MS: i64 = 28 * TOO_OLD_MS;
/// A rate is another at another time of the day, milliseconds.
const RATE_TOO_OLD_MS: i64 = 3_600_000;

/// See the module. A few kilobytes a service.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Memory {
    format: u32,
    /// When it was taken.
    pub at_ms: i64,
    /// What became of actions; does not grow old.
    #[serde(default)]
    pub learned: Learned,
    services: BTreeMap<String, ServiceMemory>,
    edges: BTreeMap<String, EdgeMemory>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct ServiceMemory {
    first_ms: i64,
    versions: BTreeMap<String, i64>,
    baseline: Baseline,
    error_dispersion: Dispersion,
    slow_dispersion: Dispersion,
    peer_slow_index: i32,
    #[serde(default)]
    tails: Tails,
    #[serde(default)]
    vitals: Vitals,
    #[serde(default)]
    minutes: Minutes,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct EdgeMemory {
    usual_total: f64,
    usual_busiest: f64,
    learned_s: u64,
    #[serde(default)]
    manners: Manners,
}

impl MeshState {
    /// What is worth keeping at `now_ms`, what was recalled and not met again included.
    #[must_use]
    pub fn memory(&self, now_ms: i64) -> Memory {
        let mut memory = self.recalled.clone();
        memory.format = FORMAT;
        memory.at_ms = now_ms;
        memory.services.extend(self.services.iter().map(|(name, s)| (name.clone(), of_service(s))));
        memory.edges.extend(self.edges.iter().map(|(proxy, e)| (proxy.clone(), of_edge(e))));
        memory
    }

    /// Takes up what an earlier life of this brain knew. Only what is met again becomes part of the picture.
    pub fn recall(&mut self, mut memory: Memory, now_ms: i64) {
        let age_ms = now_ms - memory.at_ms;
        if memory.format != FORMAT || !(0..SEASON_TOO_OLD_MS).contains(&age_ms) {
            return;
        }
        if age_ms >= TOO_OLD_MS {
            let season = |(name, service): (String, ServiceMemory)| (name, service.baseline.season().clone());
            self.seasons = memory.services.into_iter().map(season).collect();
            return;
        }
        if age_ms >= RATE_TOO_OLD_MS {
            memory.edges.clear();
            memory.services.values_mut().for_each(|service| service.baseline.forget_pace());
        }
        self.recalled = memory;
    }

    /// A service met for the first time in this life.
    pub(super) fn new_service(&mut self, name: &str, policy: &DetectionPolicy) -> Service {
        let mut service = Service::new(policy);
        if let Some(season) = self.seasons.remove(name) {
            service.baseline.recall_season(season);
        }
        if let Some(known) = self.recalled.services.remove(name) {
            let seen = |(label, first_ms): (String, i64)| (label, Version::seen_since(first_ms));
            service.first_ms = known.first_ms;
            service.versions = known.versions.into_iter().map(seen).collect();
            service.baseline = known.baseline;
            service.error_dispersion = known.error_dispersion;
            service.slow_dispersion = known.slow_dispersion;
            service.peer_slow_index = known.peer_slow_index;
            service.tails = known.tails;
            service.vitals = known.vitals;
            service.minutes = known.minutes;
        }
        service
    }

    /// An edge met for the first time in this life.
    pub(super) fn new_edge(&mut self, proxy: &str) -> Edge {
        let known = self.recalled.edges.remove(proxy);
        let mut edge = Edge::default();
        if let Some(known) = known {
            edge.usual_total = known.usual_total;
            edge.usual_busiest = known.usual_busiest;
            edge.learned_s = known.learned_s;
            edge.throng.usual = known.manners;
        }
        edge
    }
}

fn of_service(service: &Service) -> ServiceMemory {
    ServiceMemory {
        first_ms: service.first_ms,
        versions: service.versions.iter().map(|(label, v)| (label.clone(), v.first_ms)).collect(),
        baseline: service.baseline.clone(),
        error_dispersion: service.error_dispersion,
        slow_dispersion: service.slow_dispersion,
        peer_slow_index: service.peer_slow_index,
        tails: service.tails.clone(),
        vitals: service.vitals.clone(),
        minutes: service.minutes.clone(),
    }
}

fn of_edge(edge: &Edge) -> EdgeMemory {
    let Edge { usual_total, usual_busiest, learned_s, .. } = *edge;
    EdgeMemory { usual_total, usual_busiest, learned_s, manners: edge.throng.usual }
}
