//! The endpoints that may serve one share of a split, and the choice among them.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::request::Parts;
use protocol::snapshot::Health;
use smallvec::SmallVec;

use super::admission::{Admission, Terms};
use super::balancer::{Draws, LeastConnections, Lookup, SmoothRoundRobin};
use super::pool::EndpointPool;
use super::preference::{self, Preference};
use super::slow_start;
use super::standing::{Reading, Standing, Weights, stand};
use super::weather;
use crate::live_state::HeldBreaker;
use crate::settings::{Algorithm, Balancing};
use crate::table::{EndpointHandle, ServiceTable};
use crate::telemetry::cells::EndpointLabel;
use crate::telemetry::shard::BackendCounters;

/// One endpoint as one worker sees it.
#[derive(Debug)]
pub struct EndpointView {
    /// Decisions and weather.
    pub handle: EndpointHandle,
    /// What a request's stay is judged by.
    pub terms: Terms,
    /// Its name in telemetry.
    pub label: Arc<EndpointLabel>,
    /// This worker's counters of it.
    pub counters: Arc<BackendCounters>,
    /// This worker's idle connections to it.
    pub pool: Rc<EndpointPool>,
}

/// Endpoints to choose from: all of a service, or one version's.
#[derive(Debug)]
pub struct Group {
    members: Vec<Rc<EndpointView>>,
    rules: Balancing,
    algorithm: Algorithm,
    /// Present where keys are hashed.
    lookup: Option<Arc<Lookup>>,
    now: RefCell<Now>,
    choice: RefCell<Choice>,
}

/// What the members are worth, as long as it holds.
#[derive(Debug, Default)]
struct Now {
    standing: Standing,
    /// Weights added up, for draws.
    running: Vec<u64>,
    version: u64,
    until_ms: u64,
}

#[derive(Debug)]
enum Choice {
    Rounds(SmoothRoundRobin),
    Least(LeastConnections),
    Draws(Draws),
}

impl Group {
    /// Starts its rounds at `turn`, so that workers do not all begin with the same endpoint.
    #[must_use]
    pub fn new(members: Vec<Rc<EndpointView>>, table: &ServiceTable, turn: usize) -> Self {
        let service = &table.live;
        let rules = service.settings.balancing.clone();
        let configured: Weights = members.iter().map(|m| decided_weight(m)).collect();
        let hashes = service.algorithm == Algorithm::ConsistentHash
            || rules.affinity.as_ref().is_some_and(|affinity| affinity.key.is_some());
        let named =
            members.iter().map(|m| m.handle.live.settings.id.as_str()).zip(configured.iter().copied());
        let lookup = hashes.then(|| table.lookups.get(rules.hash, &named.collect::<Vec<_>>()));
        let choice = match service.algorithm {
            Algorithm::LeastConnections => Choice::Least(LeastConnections::new(turn)),
            Algorithm::RoundRobin | Algorithm::WeightedRoundRobin => Choice::Rounds(begun(&configured, turn)),
            Algorithm::Random | Algorithm::PeakEwma | Algorithm::ConsistentHash => {
                Choice::Draws(Draws::new(turn as u64))
            }
        };
        let (now, choice) = (RefCell::default(), RefCell::new(choice));
        Self { members, rules, algorithm: service.algorithm, lookup, now, choice }
    }

    /// What the request wants of [`Self::choose`].
    #[must_use]
    pub fn preference(&self, request: &Parts, client: IpAddr) -> Preference {
        let affinity = self.rules.affinity.as_ref().and_then(|affinity| affinity.key.as_ref());
        let mut key = affinity.and_then(|source| preference::key(source, request, client));
        if key.is_none() && self.algorithm == Algorithm::ConsistentHash {
            key = preference::key(&self.rules.hash_key, request, client);
        }
        Preference { key, ..Preference::default() }
    }

    /// An endpoint that may be asked now, and the admission to it; `None` when there is none.
    pub fn choose(&self, wanted: &Preference, now_ms: u64) -> Option<(Rc<EndpointView>, Admission)> {
        self.look_around(now_ms);
        let now = self.now.borrow();
        let mut refused = SmallVec::<[usize; 4]>::new();
        if wanted.tried.is_empty() {
            let at = self.pick(wanted, &now.standing.weights, &now.running, now_ms)?;
            if let Some(chosen) = self.enter(at, now_ms) {
                return Some(chosen);
            }
            refused.push(at);
        }
        self.choose_of_the_rest(wanted, &now.standing.weights, refused, now_ms)
    }

    /// Another worker may take a breaker's last probe in between; each round rules one out.
    fn choose_of_the_rest(
        &self,
        wanted: &Preference,
        weights: &Weights,
        refused: SmallVec<[usize; 4]>,
        now_ms: u64,
    ) -> Option<(Rc<EndpointView>, Admission)> {
        let mut left = weights.clone();
        refused.iter().for_each(|at| strike(&mut left, *at));
        let mut fresh = left.clone();
        for (at, member) in self.members.iter().enumerate() {
            if wanted.tried.iter().any(|tried| Arc::ptr_eq(&tried.handle.state, &member.handle.state)) {
                strike(&mut fresh, at);
            }
        }
        for mut weights in [fresh, left] {
            for _ in 0..self.members.len() {
                let Some(at) = self.pick(wanted, &weights, &running(&weights), now_ms) else { break };
                if let Some(chosen) = self.enter(at, now_ms) {
                    return Some(chosen);
                }
                strike(&mut weights, at);
            }
        }
        None
    }

    fn enter(&self, at: usize, now_ms: u64) -> Option<(Rc<EndpointView>, Admission)> {
        let member = self.members.get(at)?;
        let admission = Admission::enter(&member.handle.state, member.terms, now_ms)?;
        Some((Rc::clone(member), admission))
    }

    /// Whether decisions alone, whatever the weather, leave no endpoint to ask.
    #[must_use]
    pub fn is_withdrawn(&self) -> bool {
        let serves =
            |m: &Rc<EndpointView>| decided_weight(m) > 0 && m.terms.breaker.held != HeldBreaker::Open;
        !self.members.iter().any(serves)
    }

    fn pick(&self, wanted: &Preference, weights: &Weights, running: &[u64], now_ms: u64) -> Option<usize> {
        if let (Some(key), Some(lookup)) = (wanted.key, &self.lookup) {
            let found = lookup.find(key, self.fits(weights));
            // Nobody has room: then whoever the key belongs to.
            return found.or_else(|| lookup.find(key, |at| weight(weights, at) > 0));
        }
        match &mut *self.choice.borrow_mut() {
            Choice::Rounds(rounds) => rounds.pick(weights),
            Choice::Least(least) => least.pick(weights, |at| self.in_flight(at)),
            Choice::Draws(draws) if self.algorithm == Algorithm::PeakEwma => {
                let mean = running.last().map_or(0.0, |all| *all as f64 / weights.len().max(1) as f64);
                let cost = |at| self.wait(at, mean / f64::from(weight(weights, at).max(1)), now_ms);
                draws.pick(running, 2, |a, b| cost(a) < cost(b))
            }
            Choice::Draws(draws) => {
                let load = |at| u64::from(self.in_flight(at));
                let weight = |at| u64::from(weight(weights, at));
                // Better even with this request on it.
                let better = |a, b| (load(a) + 1) * weight(b) <= load(b) * weight(a);
                draws.pick(running, self.rules.choices, better)
            }
        }
    }

    /// Who may take a key: whoever may be asked and is not far above its share of the load.
    fn fits(&self, weights: &Weights) -> impl Fn(usize) -> bool {
        let bound = self.rules.load_factor.map(|factor| {
            let asked = || (0..weights.len()).filter(|at| weight(weights, *at) > 0);
            let load: f64 = asked().map(|at| f64::from(self.in_flight(at))).sum();
            let total: f64 = asked().map(|at| f64::from(weight(weights, at))).sum();
            factor * (load + 1.0) / total.max(1.0)
        });
        move |at| {
            let weight = weight(weights, at);
            let room =
                |per_weight: f64| f64::from(self.in_flight(at)) < (per_weight * f64::from(weight)).ceil();
            weight > 0 && bound.is_none_or(room)
        }
    }

    fn in_flight(&self, at: usize) -> u32 {
        self.members.get(at).map_or(0, |m| m.handle.state.in_flight.load(Ordering::Relaxed))
    }

    /// The wait at an endpoint, µs, whose load counts `per_weight` times.
    fn wait(&self, at: usize, per_weight: f64, now_ms: u64) -> f64 {
        let load = f64::from(self.in_flight(at)) * per_weight;
        self.members.get(at).map_or(f64::INFINITY, |m| m.handle.state.latency.cost(load, now_ms))
    }

    /// Reads the weather anew if it has changed.
    fn look_around(&self, now_ms: u64) {
        let version = weather::version();
        let mut now = self.now.borrow_mut();
        if now.version == version && now_ms < now.until_ms {
            return;
        }
        let (readings, until_ms) = self.readings(now_ms);
        let standing = stand(&readings, self.rules.panic_percent);
        if let (true, Choice::Rounds(rounds)) =
            (standing.fine != now.standing.fine, &mut *self.choice.borrow_mut())
        {
            rounds.restart();
        }
        let draws = matches!(&*self.choice.borrow(), Choice::Draws(_));
        let running = if draws { running(&standing.weights) } else { Vec::new() };
        *now = Now { standing, running, version, until_ms };
    }

    /// Everyone as of now, and until when time alone changes nothing.
    fn readings(&self, now_ms: u64) -> (SmallVec<[Reading; 16]>, u64) {
        let mut until_ms = u64::MAX;
        let slow_start = self.rules.slow_start.as_ref();
        let mut reading = |member: &Rc<EndpointView>| {
            let (live, state) = (&member.handle.live, &member.handle.state);
            let shut_until_ms = state.breaker.shut_until_ms(&member.terms.breaker);
            let admits = shut_until_ms.is_none_or(|until| until <= now_ms);
            let risen = slow_start::share(slow_start, state.since_ms(), now_ms);
            until_ms = until_ms.min(shut_until_ms.filter(|_| !admits).unwrap_or(u64::MAX));
            if risen < 1.0 {
                until_ms = until_ms.min(now_ms.saturating_add(slow_start::STEP_MS));
            }
            Reading {
                weight: decided_weight(member),
                healthy: state.health() != Health::Unhealthy,
                admits,
                local: self.rules.zone.is_empty() || live.settings.zone == self.rules.zone,
                risen,
            }
        };
        (self.members.iter().map(&mut reading).collect(), until_ms)
    }
}

fn begun(configured: &Weights, turn: usize) -> SmoothRoundRobin {
    let mut rounds = SmoothRoundRobin::new(configured.len());
    for _ in 0..turn.checked_rem(configured.len()).unwrap_or(0) {
        rounds.pick(configured);
    }
    rounds
}

fn weight(weights: &Weights, at: usize) -> u32 {
    weights.get(at).copied().unwrap_or(0)
}

fn strike(weights: &mut Weights, at: usize) {
    weights.get_mut(at).into_iter().for_each(|weight| *weight = 0);
}

fn running(weights: &Weights) -> Vec<u64> {
    let sum = |sum: &mut u64, weight: &u32| {
        *sum += u64::from(*weight);
        Some(*sum)
    };
    weights.iter().scan(0, sum).collect()
}

/// By file and leases.
fn decided_weight(member: &EndpointView) -> u32 {
    if member.handle.live.ejected { 0 } else { member.handle.live.weight }
}
