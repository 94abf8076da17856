//! The endpoints that may serve one share of a split, and the choice among them: first whom the request's
//! session is with, then whom its key belongs to, then by the algorithm.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use http::header::SET_COOKIE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use protocol::snapshot::Health;
use smallvec::SmallVec;

use super::admission::Admission;
use super::balancer::Lookup;
use super::choice::{Candidates, Choice, running};
pub use super::endpoint_view::EndpointView;
use super::preference::{self, Preference};
use super::standing::{Reading, Standing, Weights, stand};
use super::{sessions, slow_start, weather};
use crate::settings::{Affinity, Algorithm, Balancing, KeySource, SessionCookie};
use crate::table::ServiceTable;

/// Endpoints to choose from: all of a service, or one version's.
#[derive(Debug)]
pub struct Group {
    members: Vec<Rc<EndpointView>>,
    /// What files and leases make of the members, in their order; 0: not asked.
    decided: Weights,
    rules: Balancing,
    /// What is hashed of a request that belongs to no session.
    hash_key: Option<KeySource>,
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

/// Who was chosen, and the right to ask.
type Chosen = (Rc<EndpointView>, Admission);

impl Group {
    /// Starts its rounds at `turn`, so that workers do not all begin with the same endpoint.
    #[must_use]
    pub fn new(members: Vec<Rc<EndpointView>>, table: &ServiceTable, turn: usize) -> Self {
        let decided = members.iter().map(|member| member.decided_weight()).collect();
        Self::weighing(members, decided, table, turn)
    }

    /// For those who ask for just these members: where nobody else is sent there, all are worth the same.
    #[must_use]
    pub fn on_request(members: Vec<Rc<EndpointView>>, table: &ServiceTable, turn: usize) -> Self {
        let decided: Weights = members.iter().map(|member| member.decided_weight()).collect();
        let idle = decided.iter().all(|weight| *weight == 0);
        let there = |member: &Rc<EndpointView>| u32::from(!member.handle.live.ejected);
        let decided = if idle { members.iter().map(there).collect() } else { decided };
        Self::weighing(members, decided, table, turn)
    }

    fn weighing(members: Vec<Rc<EndpointView>>, decided: Weights, table: &ServiceTable, turn: usize) -> Self {
        let (rules, algorithm) = (table.live.settings.balancing.clone(), table.live.tuning.algorithm);
        let hash_key = (algorithm == Algorithm::ConsistentHash).then(|| rules.hash_key.clone());
        let by_key = rules.affinity.as_ref().is_some_and(|affinity| affinity.key.is_some());
        let names = members.iter().map(|member| member.handle.live.settings.id.as_str());
        let named = || names.zip(decided.iter().copied()).collect::<Vec<_>>();
        let lookup = (hash_key.is_some() || by_key).then(|| table.lookups.get(rules.hash, &named()));
        let choice = RefCell::new(Choice::new(algorithm, &rules, &decided, turn));
        Self { members, decided, rules, hash_key, lookup, now: RefCell::default(), choice }
    }

    /// What the request wants of [`Self::choose`].
    #[must_use]
    pub fn preference(&self, request: &Parts, client: IpAddr) -> Preference {
        let mut wanted = Preference::default();
        if let Some(affinity) = &self.rules.affinity {
            wanted.session = self.session_of(affinity, request);
            let keyed = affinity.key.as_ref().filter(|_| wanted.session.is_none());
            wanted.key = keyed.and_then(|source| preference::key(source, request, client));
            wanted.known = wanted.key.is_some();
        }
        if let (Some(source), None) = (&self.hash_key, wanted.key) {
            wanted.key = preference::key(source, request, client);
        }
        wanted
    }

    /// The mark of a member that the request's cookie carries.
    fn session_of(&self, affinity: &Affinity, request: &Parts) -> Option<u64> {
        let cookie = affinity.cookie.as_ref()?;
        let mark = preference::cookie(&request.headers, &cookie.name).and_then(sessions::mark_in)?;
        self.members.iter().any(|member| member.mark == mark).then_some(mark)
    }

    /// Gives the client the endpoint's mark where it has another or none, unless it is known by a key of
    /// its own or the endpoint sets that cookie itself.
    pub fn keep_session(&self, wanted: &Preference, endpoint: &EndpointView, response: &mut HeaderMap) {
        let cookie = self.rules.affinity.as_ref().and_then(|affinity| affinity.cookie.as_ref());
        let Some(cookie) = cookie.filter(|_| !wanted.known && wanted.session != Some(endpoint.mark)) else {
            return;
        };
        if !response.get_all(SET_COOKIE).iter().any(|own| sets(own, cookie)) {
            let given = sessions::set_cookie(cookie, endpoint.mark);
            given.into_iter().for_each(|given| _ = response.append(SET_COOKIE, given));
        }
    }

    /// An endpoint that may be asked now, and the admission to it; `None` when there is none.
    pub fn choose(&self, wanted: &Preference, now_ms: u64) -> Option<Chosen> {
        self.look_around(now_ms);
        let now = self.now.borrow();
        if let Some(chosen) = wanted.session.and_then(|mark| self.stay(mark, wanted, &now.standing, now_ms)) {
            return Some(chosen);
        }
        let weights = &now.standing.weights;
        let mut refused = None;
        if wanted.tried.is_empty() {
            let at = self.pick(wanted, weights, &now.running, now_ms)?;
            if let Some(chosen) = self.enter(at, now_ms) {
                return Some(chosen);
            }
            refused = Some(at);
        }
        self.choose_of_the_rest(wanted, weights, refused, now_ms)
    }

    /// The session's endpoint, if it may be asked.
    fn stay(&self, mark: u64, wanted: &Preference, standing: &Standing, now_ms: u64) -> Option<Chosen> {
        let at = self.members.iter().position(|member| member.mark == mark)?;
        let may = standing.may_stay.get(at).copied().unwrap_or(false);
        let tried = self.members.get(at).is_some_and(|member| wanted.has_tried(member));
        (may && !tried).then(|| self.enter(at, now_ms)).flatten()
    }

    /// Without whom the request has tried, while there are others. Another worker may take a breaker's last
    /// probe in between; each round rules one out.
    fn choose_of_the_rest(
        &self,
        wanted: &Preference,
        weights: &Weights,
        refused: Option<usize>,
        now_ms: u64,
    ) -> Option<Chosen> {
        let mut left = weights.clone();
        refused.iter().for_each(|at| strike(&mut left, *at));
        let mut fresh = left.clone();
        let tried = self.members.iter().enumerate().filter(|(_, member)| wanted.has_tried(member));
        tried.for_each(|(at, _)| strike(&mut fresh, at));
        for mut weights in [fresh, left] {
            for _ in 0..self.members.len() {
                let Some(at) = self.pick_beside(wanted, &weights, now_ms) else { break };
                if let Some(chosen) = self.enter(at, now_ms) {
                    return Some(chosen);
                }
                strike(&mut weights, at);
            }
        }
        None
    }

    fn enter(&self, at: usize, now_ms: u64) -> Option<Chosen> {
        let member = self.members.get(at)?;
        let admission = Admission::enter(&member.handle.state, member.terms, now_ms)?;
        Some((Rc::clone(member), admission))
    }

    /// Whether decisions alone, whatever the weather, leave no endpoint to ask.
    #[must_use]
    pub fn is_withdrawn(&self) -> bool {
        self.members.iter().all(|member| member.is_withdrawn())
    }

    fn pick(&self, wanted: &Preference, weights: &Weights, running: &[u64], now_ms: u64) -> Option<usize> {
        let from = Candidates { members: &self.members, weights, running, now_ms };
        match (wanted.key, &self.lookup) {
            (Some(key), Some(lookup)) => from.hashed(lookup, key, self.rules.load_factor),
            _ => self.choice.borrow_mut().pick(from),
        }
    }

    fn pick_beside(&self, wanted: &Preference, weights: &Weights, now_ms: u64) -> Option<usize> {
        let running = &running(weights);
        let from = Candidates { members: &self.members, weights, running, now_ms };
        match (wanted.key, &self.lookup) {
            (Some(key), Some(lookup)) => from.hashed(lookup, key, self.rules.load_factor),
            _ => self.choice.borrow_mut().pick_beside(from),
        }
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
        let mut choice = self.choice.borrow_mut();
        if standing.fine != now.standing.fine {
            choice.restart();
        }
        let running = if choice.draws() { running(&standing.weights) } else { Vec::new() };
        *now = Now { standing, running, version, until_ms };
    }

    /// Everyone as of now, and until when time alone changes nothing.
    fn readings(&self, now_ms: u64) -> (SmallVec<[Reading; 16]>, u64) {
        let mut until_ms = u64::MAX;
        let reading = |(member, weight): (&Rc<EndpointView>, &u32)| {
            let (reading, until) = self.reading(member, *weight, now_ms);
            until_ms = until_ms.min(until);
            reading
        };
        (self.members.iter().zip(&self.decided).map(reading).collect(), until_ms)
    }

    fn reading(&self, member: &EndpointView, weight: u32, now_ms: u64) -> (Reading, u64) {
        let (live, state) = (&member.handle.live, &member.handle.state);
        let shut_until_ms =
            state.breaker.shut_until_ms(&member.terms.breaker).filter(|until| *until > now_ms);
        let risen = slow_start::share(self.rules.slow_start.as_ref(), state.since_ms(), now_ms);
        let next_step = if risen < 1.0 { now_ms.saturating_add(slow_start::STEP_MS) } else { u64::MAX };
        let reading = Reading {
            weight,
            drains: member.drains(),
            healthy: state.health() != Health::Unhealthy && !state.outlier.is_ejected(),
            admits: shut_until_ms.is_none(),
            local: self.rules.zone.is_empty() || live.settings.zone == self.rules.zone,
            risen,
        };
        (reading, next_step.min(shut_until_ms.unwrap_or(u64::MAX)))
    }
}

fn sets(header: &HeaderValue, cookie: &SessionCookie) -> bool {
    let rest = header.as_bytes().strip_prefix(cookie.name.as_bytes());
    rest.is_some_and(|rest| rest.trim_ascii_start().starts_with(b"="))
}

fn strike(weights: &mut Weights, at: usize) {
    weights.get_mut(at).into_iter().for_each(|weight| *weight = 0);
}
