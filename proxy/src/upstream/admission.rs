//! One request's stay at an endpoint: counted in flight and against the breaker until it ends,
//! however it ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::breaker::{Rules, Ticket};
use super::endpoint_state::EndpointState;

/// Held while a request is on its way. Dropping it ends the stay; a breaker's probe that was not
/// settled by then gives its place back.
#[derive(Debug)]
pub struct Admission {
    state: Arc<EndpointState>,
    rules: Rules,
    ticket: Option<Ticket>,
}

impl Admission {
    /// Enters, unless the breaker refuses.
    pub fn enter(state: &Arc<EndpointState>, rules: Rules, now_ms: u64) -> Option<Self> {
        let ticket = Some(state.breaker.admit(&rules, now_ms)?);
        state.in_flight.fetch_add(1, Ordering::Relaxed);
        Some(Self { state: Arc::clone(state), rules, ticket })
    }

    /// Tells the breaker what became of the request. Only the first word counts.
    pub fn settle(&mut self, succeeded: bool, now_ms: u64) {
        if let Some(ticket) = self.ticket.take() {
            self.state.breaker.settle(ticket, succeeded, &self.rules, now_ms);
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.state.breaker.release(ticket);
        }
        self.state.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::live_state::HeldBreaker;

    #[test]
    fn in_flight_counts_stays_and_forgets_them_when_they_end() {
        let state = Arc::new(EndpointState::default());
        let free = Rules { settings: None, held: HeldBreaker::Free };
        let first = Admission::enter(&state, free, 0).unwrap();
        let second = Admission::enter(&state, free, 0).unwrap();
        assert_eq!(state.in_flight.load(Ordering::Relaxed), 2);
        drop((first, second));
        assert_eq!(state.in_flight.load(Ordering::Relaxed), 0);
        let held = Rules { held: HeldBreaker::Open, ..free };
        assert!(Admission::enter(&state, held, 0).is_none());
        assert_eq!(state.in_flight.load(Ordering::Relaxed), 0);
    }
}
