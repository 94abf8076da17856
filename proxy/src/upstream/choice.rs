//! One worker's state of one group's algorithm, and its next pick.

use std::rc::Rc;

use super::balancer::{Draws, LeastConnections, Lookup, SmoothRoundRobin};
use super::endpoint_view::EndpointView;
use super::standing::Weights;
use crate::settings::{Algorithm, Balancing};

/// By what the next one is found.
#[derive(Debug)]
pub(super) enum Choice {
    /// Shares by turns.
    Rounds(SmoothRoundRobin),
    /// The least loaded.
    Least(LeastConnections),
    /// So many drawn, the less loaded.
    Draws(Draws, u32),
    /// Two drawn, the quicker.
    Quicker(Draws),
}

/// Who there is to choose from, now.
#[derive(Clone, Copy)]
pub(super) struct Candidates<'a> {
    pub(super) members: &'a [Rc<EndpointView>],
    /// 0: not now.
    pub(super) weights: &'a Weights,
    /// Weights added up, for draws.
    pub(super) running: &'a [u64],
    pub(super) now_ms: u64,
}

impl Choice {
    /// Begins at `turn`, so that workers do not all begin with the same endpoint. A consistent hash draws
    /// for requests that have no key, as Envoy does.
    pub(super) fn new(algorithm: Algorithm, rules: &Balancing, weights: &Weights, turn: usize) -> Self {
        let draws = Draws::new(turn as u64);
        match algorithm {
            Algorithm::RoundRobin | Algorithm::WeightedRoundRobin => Self::Rounds(begun(weights, turn)),
            Algorithm::LeastConnections => Self::Least(LeastConnections::new(turn)),
            Algorithm::Random => Self::Draws(draws, rules.choices),
            Algorithm::ConsistentHash => Self::Draws(draws, 1),
            Algorithm::PeakEwma => Self::Quicker(draws),
        }
    }

    /// Whether weights are wanted added up.
    pub(super) fn draws(&self) -> bool {
        matches!(self, Self::Draws(..) | Self::Quicker(_))
    }

    /// Weights are counted in another unit from now on.
    pub(super) fn restart(&mut self) {
        if let Self::Rounds(rounds) = self {
            rounds.restart();
        }
    }

    /// The next; `None` when every weight is 0.
    pub(super) fn pick(&mut self, from: Candidates<'_>) -> Option<usize> {
        match self {
            Self::Rounds(rounds) => rounds.pick(from.weights),
            Self::Least(least) => least.pick(from.weights, |at| from.in_flight(at)),
            Self::Quicker(draws) => draws.pick(from.running, 2, |a, b| from.wait(a) < from.wait(b)),
            Self::Draws(draws, choices) => {
                let load = |at| u64::from(from.in_flight(at));
                let weight = |at| u64::from(from.weight(at));
                // Better even with this request on it.
                let better = |a, b| (load(a) + 1) * weight(b) <= load(b) * weight(a);
                draws.pick(from.running, *choices, better)
            }
        }
    }
}

impl Choice {
    /// The next for a request that has had its turn and goes elsewhere.
    pub(super) fn pick_beside(&mut self, from: Candidates<'_>) -> Option<usize> {
        match self {
            Self::Rounds(rounds) => rounds.beside(from.weights),
            _ => self.pick(from),
        }
    }
}

impl Candidates<'_> {
    pub(super) fn weight(&self, at: usize) -> u32 {
        self.weights.get(at).copied().unwrap_or(0)
    }

    fn in_flight(&self, at: usize) -> u32 {
        self.members.get(at).map_or(0, |member| member.in_flight())
    }

    /// The wait to expect, µs; requests on their way count by how the weight stands to the mean.
    fn wait(&self, at: usize) -> f64 {
        let mean = self.running.last().map_or(0.0, |all| *all as f64) / self.running.len().max(1) as f64;
        let load = f64::from(self.in_flight(at)) * mean / f64::from(self.weight(at).max(1));
        let cost = |member: &Rc<EndpointView>| member.handle.state.latency.cost(load, self.now_ms);
        self.members.get(at).map_or(f64::INFINITY, cost)
    }

    /// Where the key goes: to who may be asked and is not `factor` times above its share of what is in
    /// flight (Mirrokni, Thorup, Zadimoghaddam 2018), or, when nobody has room, to whom it belongs.
    pub(super) fn hashed(&self, lookup: &Lookup, key: u64, factor: Option<f64>) -> Option<usize> {
        let Some(factor) = factor else { return lookup.find(key, |at| self.weight(at) > 0) };
        let asked = || (0..self.weights.len()).filter(|at| self.weight(*at) > 0);
        let load: f64 = asked().map(|at| f64::from(self.in_flight(at))).sum();
        let total: f64 = asked().map(|at| f64::from(self.weight(at))).sum();
        let room = |at| factor * (load + 1.0) * f64::from(self.weight(at)) / total.max(1.0);
        let fits = |at| self.weight(at) > 0 && f64::from(self.in_flight(at)) < room(at).ceil();
        lookup.find(key, fits).or_else(|| lookup.find(key, |at| self.weight(at) > 0))
    }
}

/// Weights added up from the first on.
pub(super) fn running(weights: &Weights) -> Vec<u64> {
    let sum = |sum: &mut u64, weight: &u32| {
        *sum += u64::from(*weight);
        Some(*sum)
    };
    weights.iter().scan(0, sum).collect()
}

fn begun(weights: &Weights, turn: usize) -> SmoothRoundRobin {
    let mut rounds = SmoothRoundRobin::new(weights.len());
    for _ in 0..turn.checked_rem(weights.len()).unwrap_or(0) {
        rounds.pick(weights);
    }
    rounds
}
