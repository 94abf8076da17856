//! What holds for a request by one route to one service: times, attempts, priority.

use std::rc::Rc;
use std::time::Duration;

use crate::live_state::LiveService;
use crate::settings::{Priority, Retry, Route, Server};

/// See the module.
#[derive(Debug)]
pub struct CallTerms {
    /// From the request's head to the response's head, over all attempts.
    pub request_timeout: Duration,
    /// To reach an endpoint.
    pub connect_timeout: Duration,
    /// For one attempt.
    pub per_try: Option<Duration>,
    /// Between two pieces of a response's body.
    pub idle_timeout: Option<Duration>,
    /// When a failed request is sent again; absent: never.
    pub retry: Option<Rc<Retry>>,
    /// Who goes first.
    pub priority: Priority,
}

impl CallTerms {
    /// The narrower wins: route over service over server. A lease takes the place of the service's timeout,
    /// and a route may be shorter than a lease but not longer.
    #[must_use]
    pub fn new(route: &Route, service: &LiveService, server: &Server) -> Self {
        let (settings, tuning) = (&service.settings, &service.tuning);
        let configured = route.request_timeout.or(settings.request_timeout).unwrap_or(server.request_timeout);
        let request_timeout = match (tuning.request_timeout, route.request_timeout) {
            (Some(leased), own) => own.map_or(leased, |own| own.min(leased)),
            (None, _) => configured,
        };
        let retry = tuning.retry.as_ref().filter(|retry| route.retries && retry.max_attempts > 1);
        Self {
            request_timeout,
            connect_timeout: settings.connect_timeout.unwrap_or(server.connect_timeout),
            per_try: route.per_try.or(retry.and_then(|retry| retry.per_try)),
            idle_timeout: settings.idle_timeout,
            retry: retry.cloned().map(Rc::new),
            priority: route.priority,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::leases::Leases;
    use crate::leases::sample::{request, settings, with};
    use crate::live_state::derive;
    use protocol::id::ServiceName;
    use serde_json::json;

    #[test]
    fn a_route_may_be_shorter_than_a_lease_and_a_lease_replaces_the_services_time() {
        let settings = settings();
        let lease = request("cart", json!({"type": "set_timeout", "request_timeout_ms": 900}));
        let leased = derive(&settings, &with(&Leases::default(), "a", lease));
        let cart = ServiceName::new("cart").unwrap();
        let timeout = |live: &crate::live_state::LiveState, own: Option<u64>| {
            let route = Route { request_timeout: own.map(Duration::from_millis), ..Route::default() };
            CallTerms::new(&route, &live.services[&cart], &settings.server).request_timeout
        };
        let free = derive(&settings, &Leases::default());
        assert_eq!(timeout(&free, None), settings.server.request_timeout);
        assert_eq!(timeout(&free, Some(7_000)), Duration::from_secs(7));
        assert_eq!(timeout(&leased, None), Duration::from_millis(900));
        assert_eq!(timeout(&leased, Some(7_000)), Duration::from_millis(900));
        assert_eq!(timeout(&leased, Some(300)), Duration::from_millis(300));
    }
}
