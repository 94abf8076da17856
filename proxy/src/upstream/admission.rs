//! One request's stay at an endpoint: counted in flight and against the breaker until it ends,
//! however it ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::StatusCode;

use super::breaker::{Rules, Ticket};
use super::endpoint_state::EndpointState;
use super::outlier::{self, Watch};
use crate::telemetry::Outcome;

/// What a stay is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// What the breaker goes by.
    pub breaker: Rules,
    /// Whether the latency is wanted.
    pub latency: bool,
    /// What outliers are known by; absent: nobody looks.
    pub outliers: Option<Watch>,
    /// Requests at once; absent: any.
    pub max_requests: Option<u32>,
}

/// Held while a request is on its way. Dropping it ends the stay; a breaker's probe that was not
/// settled by then gives its place back.
#[derive(Debug)]
pub struct Admission {
    state: Arc<EndpointState>,
    terms: Terms,
    ticket: Option<Ticket>,
}

impl Admission {
    /// Enters, unless the breaker refuses or there are too many.
    pub fn enter(state: &Arc<EndpointState>, terms: Terms, now_ms: u64) -> Option<Self> {
        let before = state.in_flight.fetch_add(1, Ordering::Relaxed);
        // Whatever comes of it, dropping this gives the place back.
        let mut stay = Self { state: Arc::clone(state), terms, ticket: None };
        if terms.max_requests.is_some_and(|most| before >= most) {
            return None;
        }
        stay.ticket = Some(state.breaker.admit(&terms.breaker, now_ms)?);
        Some(stay)
    }

    /// Another attempt was faster: it took at least so long, and proves nothing else.
    pub fn outrun(&mut self, took: Duration, now_ms: u64) {
        if self.terms.latency {
            self.state.latency.observe(true, took, now_ms);
        }
    }

    /// What became of the request, and how long after it was sent: for the breaker, and for whoever
    /// chooses by latency. Only the first word counts.
    pub fn settle(&mut self, outcome: Outcome, took: Duration, now_ms: u64) {
        let Some(ticket) = self.ticket.take() else { return };
        self.state.breaker.settle(ticket, !outcome.is_failure(), &self.terms.breaker, now_ms);
        if self.terms.outliers.is_some_and(|watch| self.state.outlier.add(outcome, &watch)) {
            outlier::sweep::ring();
        }
        if self.terms.latency {
            // Refused for too many requests: no failure, but no answer either.
            let refused = outcome == Outcome::Status(StatusCode::TOO_MANY_REQUESTS.as_u16());
            self.state.latency.observe(!refused && !outcome.is_failure(), took, now_ms);
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

    const FREE: Terms = Terms {
        breaker: Rules { settings: None, held: HeldBreaker::Free },
        latency: true,
        outliers: None,
        max_requests: None,
    };

    #[test]
    fn in_flight_counts_stays_and_forgets_them_when_they_end() {
        let state = Arc::new(EndpointState::default());
        let first = Admission::enter(&state, FREE, 0).unwrap();
        let second = Admission::enter(&state, FREE, 0).unwrap();
        assert_eq!(state.in_flight.load(Ordering::Relaxed), 2);
        drop((first, second));
        assert_eq!(state.in_flight.load(Ordering::Relaxed), 0);
        let held = Terms { breaker: Rules { held: HeldBreaker::Open, ..FREE.breaker }, ..FREE };
        assert!(Admission::enter(&state, held, 0).is_none());
        assert_eq!(state.in_flight.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn an_endpoint_that_has_as_many_as_it_may_takes_no_more() {
        let state = Arc::new(EndpointState::default());
        let two = Terms { max_requests: Some(2), ..FREE };
        let stays: Vec<_> = (0..3).map(|_| Admission::enter(&state, two, 0)).collect();
        assert_eq!(stays.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, false]);
        assert_eq!(state.in_flight.load(Ordering::Relaxed), 2);
        drop(stays);
        assert!(Admission::enter(&state, two, 0).is_some());
    }

    #[test]
    fn a_fast_429_does_not_make_an_endpoint_look_quick() {
        let (honest, refusing) = (Arc::new(EndpointState::default()), Arc::new(EndpointState::default()));
        let ask = |state: &Arc<EndpointState>, status, took| {
            Admission::enter(state, FREE, 1).unwrap().settle(Outcome::Status(status), took, 1);
        };
        for _ in 0..20 {
            ask(&honest, 200, Duration::from_millis(50));
            ask(&refusing, 429, Duration::from_micros(100));
        }
        assert!(refusing.latency.cost(0.0, 1) > honest.latency.cost(0.0, 1));
    }
}
