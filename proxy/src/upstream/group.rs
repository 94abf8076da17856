//! The endpoints that may serve one share of a split, and the choice among them.
//!
//! An endpoint is out when its weight is 0, when a lease ejects it, when its breaker is open, or
//! when active checks call it unhealthy. The last is not believed while fewer than half of the
//! endpoints pass: then it is more likely that the checks are wrong, or that the rest would be
//! overrun, than that most endpoints are down (Envoy's panic threshold, 50 %).

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use protocol::snapshot::Health;
use smallvec::SmallVec;

use super::admission::Admission;
use super::balancer::{LeastConnections, SmoothRoundRobin};
use super::breaker::Rules;
use super::pool::EndpointPool;
use crate::live_state::HeldBreaker;
use crate::settings::Algorithm;
use crate::table::EndpointHandle;
use crate::telemetry::cells::EndpointLabel;
use crate::telemetry::shard::BackendCounters;

/// One endpoint as one worker sees it.
#[derive(Debug)]
pub struct EndpointView {
    /// Decisions and weather.
    pub handle: EndpointHandle,
    /// What its breaker goes by.
    pub rules: Rules,
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
    choice: RefCell<Choice>,
}

#[derive(Debug)]
enum Choice {
    RoundRobin(SmoothRoundRobin),
    LeastConnections(LeastConnections),
}

type Weights = SmallVec<[u32; 16]>;

impl Group {
    /// Starts its rounds at `turn`, so that workers do not all begin with the same endpoint.
    #[must_use]
    pub fn new(members: Vec<Rc<EndpointView>>, algorithm: Algorithm, turn: usize) -> Self {
        let choice = match algorithm {
            Algorithm::LeastConnections => Choice::LeastConnections(LeastConnections::new(turn)),
            Algorithm::WeightedRoundRobin => {
                let mut rounds = SmoothRoundRobin::new(members.len());
                let configured: Weights = members.iter().map(|m| configured_weight(m)).collect();
                for _ in 0..turn.checked_rem(members.len()).unwrap_or(0) {
                    rounds.pick(&configured);
                }
                Choice::RoundRobin(rounds)
            }
        };
        Self { members, choice: RefCell::new(choice) }
    }

    /// An endpoint that may be asked now, and the admission to it; `None` when there is none.
    pub fn choose(&self, now_ms: u64) -> Option<(Rc<EndpointView>, Admission)> {
        let mut weights = self.weights(now_ms);
        // Another worker may take a breaker's last probe in between; each round rules one out.
        for _ in 0..self.members.len() {
            let at = self.pick(&weights)?;
            let member = self.members.get(at)?;
            if let Some(admission) = Admission::enter(&member.handle.state, member.rules, now_ms) {
                return Some((Rc::clone(member), admission));
            }
            *weights.get_mut(at)? = 0;
        }
        None
    }

    /// Whether decisions alone, whatever the weather, leave no endpoint to ask.
    #[must_use]
    pub fn is_withdrawn(&self) -> bool {
        let serves = |m: &Rc<EndpointView>| configured_weight(m) > 0 && m.rules.held != HeldBreaker::Open;
        !self.members.iter().any(serves)
    }

    fn pick(&self, weights: &[u32]) -> Option<usize> {
        match &mut *self.choice.borrow_mut() {
            Choice::RoundRobin(rounds) => rounds.pick(weights),
            Choice::LeastConnections(least) => least.pick(weights, |at| {
                self.members.get(at).map_or(0, |m| m.handle.state.in_flight.load(Ordering::Relaxed))
            }),
        }
    }

    fn weights(&self, now_ms: u64) -> Weights {
        let wanted = self.members.iter().filter(|m| configured_weight(m) > 0);
        let (mut all, mut passing) = (0usize, 0usize);
        for member in wanted {
            all += 1;
            passing += usize::from(member.handle.state.health() != Health::Unhealthy);
        }
        let panics = passing * 2 < all;
        let weight = |member: &Rc<EndpointView>| {
            let state = &member.handle.state;
            let healthy = panics || state.health() != Health::Unhealthy;
            let may = healthy && state.breaker.would_admit(&member.rules, now_ms);
            if may { configured_weight(member) } else { 0 }
        };
        self.members.iter().map(weight).collect()
    }
}

fn configured_weight(member: &EndpointView) -> u32 {
    if member.handle.live.ejected { 0 } else { member.handle.live.weight }
}
