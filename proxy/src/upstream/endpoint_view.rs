//! One endpoint as one worker sees it.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::admission::Terms;
use super::gate::Gate;
use super::pool::EndpointPool;
use crate::live_state::HeldBreaker;
use crate::settings::AdaptiveLimit;
use crate::table::EndpointHandle;
use crate::telemetry::cells::EndpointLabel;
use crate::telemetry::shard::BackendCounters;

/// See the module.
#[derive(Debug)]
pub struct EndpointView {
    /// Decisions and weather.
    pub handle: EndpointHandle,
    /// What a request's stay is judged by.
    pub terms: Terms,
    /// What is told how long it takes, where a limit goes by it.
    pub gate: Option<(Arc<Gate>, AdaptiveLimit)>,
    /// Its mark in a session's cookie.
    pub mark: u64,
    /// Its name in telemetry.
    pub label: Arc<EndpointLabel>,
    /// This worker's counters of it.
    pub counters: Arc<BackendCounters>,
    /// This worker's idle connections to it.
    pub pool: Rc<EndpointPool>,
}

impl EndpointView {
    /// Its weight by file and leases.
    #[must_use]
    pub fn decided_weight(&self) -> u32 {
        if self.handle.live.ejected { 0 } else { self.handle.live.weight }
    }

    /// Whether the file gives it no new clients, as an operator does before taking it away: who is there
    /// may stay, as in HAProxy. A weight that a lease has made 0 is a cure, from which nobody is spared.
    #[must_use]
    pub fn drains(&self) -> bool {
        self.handle.live.settings.weight == 0 && !self.handle.live.ejected
    }

    /// Whether decisions alone, whatever the weather, leave it no traffic.
    #[must_use]
    pub fn is_withdrawn(&self) -> bool {
        self.decided_weight() == 0 || self.terms.breaker.held == HeldBreaker::Open
    }

    /// Requests on their way to it, over all workers.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.handle.state.in_flight.load(Ordering::Relaxed)
    }
}
